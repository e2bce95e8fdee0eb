"""What ends a process is handled the same way in each of the three places, and what was ignored stays so."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import nullcontext

import pytest

from aeexp.errors import UsageError
from aeexp.signals import ENDING, catch_signals, interrupt_when_told, keep_handlers, let_finish
from aeexp.sweeps.cluster import Ray
from aeexp.sweeps.cluster.pool import Ending

ALL = pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)


@pytest.fixture(autouse=True)
def the_interpreter_s_handlers():
    """As in a process of one's own: whatever ran here before may have left others."""
    before = {number: signal.getsignal(number) for number in ENDING}
    for number in ENDING:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@ALL
def test_the_first_is_a_flag_in_training_and_the_second_is_at_once(number, monkeypatch):
    monkeypatch.setattr("aeexp.signals.TOGETHER", 0.0)
    with pytest.raises(KeyboardInterrupt), catch_signals() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        os.kill(os.getpid(), number)


@ALL
def test_one_word_that_comes_twice_is_one(number):
    """As to all processes of a group, one of which passes it on."""
    with catch_signals() as stop:
        for _ in range(2):
            os.kill(os.getpid(), number)
        assert stop()


@ALL
def test_it_interrupts_anything_else_but_a_last_word(number):
    with pytest.raises(KeyboardInterrupt), interrupt_when_told():
        with let_finish():
            os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("handle", [catch_signals, interrupt_when_told, let_finish])
def test_what_was_ignored_stays_ignored_and_handlers_come_back(handle):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    own = signal.getsignal(signal.SIGTERM)
    try:
        with handle():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == own
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("handle", [catch_signals, interrupt_when_told, let_finish])
def test_off_the_main_thread_nothing_changes(handle):
    seen = []

    def enter() -> None:
        with handle():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


@ALL
def test_what_a_library_sets_is_gone_behind_it(number):
    def own(number, frame):
        raise AssertionError

    before = signal.getsignal(number)
    with keep_handlers():
        signal.signal(number, own)
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("address", [None, "127.0.0.1:1"])
def test_ray_leaves_the_handlers_as_they_were(address, monkeypatch):
    """Also where it finds no cluster."""
    ray = pytest.importorskip("ray")

    def init(**options):
        signal.signal(signal.SIGTERM, lambda number, frame: None)  # as ray.init does before anything else
        if address:
            raise ConnectionError

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2})
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    pool = Ray(address=address)
    with nullcontext() if address is None else pytest.raises(UsageError):
        pool.run([], Ending())
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

"""One process at a time has a folder, whoever dies, stands still, or lives on another machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeexp.runs import locks
from aeexp.runs.locks import Held, Lock, hold, is_held
from aeexp.runs.owners import describe_process

HOLD = "import sys, time; from aeexp.runs.locks import hold; from pathlib import Path\n" \
       "with hold(Path(sys.argv[1])): print('held', flush=True); time.sleep(100)"  # fmt: skip


def write_owner(folder: Path, age: float = 0.0, **values: object) -> Path:
    """A lock of somebody who gave a sign of life so many seconds ago."""
    path = folder / locks.NAME
    path.write_text(json.dumps({**describe_process(), "token": "theirs", **values}))
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def test_it_is_held_until_the_end_and_leaves_nothing(tmp_path):
    with hold(tmp_path) as lock:
        assert is_held(tmp_path) and lock.is_mine()
        with pytest.raises(Held, match=f"process {os.getpid()} on "), hold(tmp_path):
            pass
    assert not is_held(tmp_path) and list(tmp_path.iterdir()) == []
    assert all(thread.name != "locks" or not thread.is_alive() for thread in _wait_for_threads())


def _wait_for_threads() -> list[threading.Thread]:
    for thread in threading.enumerate():
        if thread.name == "locks":
            thread.join(5)
    return threading.enumerate()


def test_a_process_that_was_killed_holds_nothing(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with pytest.raises(Held, match=f"process {process.pid} "), hold(tmp_path):
        pass
    process.kill()
    process.communicate()
    with hold(tmp_path) as lock:
        assert lock.is_mine()


@pytest.mark.parametrize("owner", [{"machine": "another"}, {"machine": None}, {"pid": "x"}, {"pid": None}])
def test_of_another_machine_signs_of_life_alone_count(owner, tmp_path):
    write_owner(tmp_path, locks.MISSED - 5, **owner)
    assert is_held(tmp_path)
    with pytest.raises(Held), hold(tmp_path):
        pass
    write_owner(tmp_path, locks.STALE + 5, **owner)
    assert not is_held(tmp_path)
    with hold(tmp_path) as lock:
        assert lock.is_mine()


def test_one_that_missed_a_few_signs_is_watched_until_it_is_dead_or_gives_one(tmp_path):
    path = write_owner(tmp_path, locks.STALE - 1, machine="another")
    with hold(tmp_path) as lock:
        assert lock.is_mine()
    path = write_owner(tmp_path, locks.STALE - 20, machine="another")
    threading.Timer(0.5, os.utime, [path]).start()
    with pytest.raises(Held), hold(tmp_path):
        pass


def test_a_number_that_another_process_has_now_is_no_owner(tmp_path):
    write_owner(tmp_path, began=describe_process()["began"] - 100)
    with hold(tmp_path):
        pass


@given(st.binary(max_size=100))
def test_whatever_stands_in_the_file_counts_by_its_age(content):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as name:
        path = Path(name, locks.NAME)
        path.write_bytes(content)
        assert is_held(Path(name))
        os.utime(path, (0, 0))
        with hold(Path(name)):
            pass


def test_who_holds_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "RENEWED", 0.05)
    with hold(tmp_path) as lock:
        os.utime(lock.path, (0, 0))
        until = time.monotonic() + 20
        while lock.path.stat().st_mtime < time.time() - 60:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_who_was_taken_for_dead_knows_it_and_leaves_the_new_owner_alone(tmp_path):
    with hold(tmp_path) as mine:
        theirs = write_owner(tmp_path)
        assert not mine.is_mine()
        mine.renew()
    assert theirs.is_file(), "it is not released by somebody else"


def test_a_stale_lock_that_somebody_renewed_meanwhile_goes_back(tmp_path):
    path = write_owner(tmp_path, token="new")
    locks._take_away(path, {"token": "old"})
    assert locks.read_owner(path)["token"] == "new" and [path] == list(tmp_path.iterdir())


def test_while_one_takes_a_lock_away_who_saw_it_too_waits(tmp_path, monkeypatch):
    """Else it would have a new lock by then, and that would be taken away."""
    path = write_owner(tmp_path, 1000, machine="another")
    rename, other, waited = os.rename, Lock(tmp_path), []
    thread = threading.Thread(target=other.acquire)

    def slow(source, target):
        monkeypatch.setattr(os, "rename", rename)
        thread.start()
        thread.join(0.3)
        waited.append(thread.is_alive())
        rename(source, target)

    monkeypatch.setattr(os, "rename", slow)
    locks._set_aside(path, locks.read_owner(path))
    thread.join(20)
    assert waited == [True] and other.is_mine() and [path] == list(tmp_path.iterdir())


def test_a_turn_of_who_was_killed_in_it_passes(tmp_path):
    path = write_owner(tmp_path, 1000, machine="another")
    turns, create = [], locks._create

    def die(path, owner):
        create(path, owner)
        turns.append(path)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(locks, "_create", die)
        locks._set_aside(path, locks.read_owner(path))
    (turn,) = turns
    assert turn.exists()
    os.utime(turn, (0, 0))
    lock = Lock(tmp_path)
    lock.acquire()
    assert lock.is_mine() and [path] == list(tmp_path.iterdir())


def test_of_many_that_take_over_at_once_one_has_it(tmp_path):
    for _ in range(20):
        write_owner(tmp_path, 1000, machine="another")
        mine = [Lock(tmp_path) for _ in range(8)]
        got: list[Lock] = []
        ready = threading.Barrier(len(mine))

        def take(lock: Lock, ready=ready, got=got) -> None:
            ready.wait()
            try:
                lock.acquire()
                got.append(lock)
            except Held:
                pass

        threads = [threading.Thread(target=take, args=(lock,)) for lock in mine]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1 and got[0].is_mine()
        got[0].release()


def test_who_waits_has_it_next(tmp_path):
    order = []

    def second() -> None:
        with hold(tmp_path, wait=True):
            order.append("second")

    with hold(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]


def test_a_lock_that_was_let_go_and_taken_by_another_meanwhile_stays_the_others(tmp_path):
    """Between the look at an owner and the taking away of what it left."""
    path = write_owner(tmp_path, token="third")
    locks._set_aside(path, {})
    assert locks.read_owner(path)["token"] == "third"
    assert locks.measure_silence(tmp_path / "gone", {}) == 0

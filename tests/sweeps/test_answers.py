"""What the processes of `hydra/launcher=processes` answer, however much that is, and when they do not."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import SimpleNamespace

import pytest

from aeexp.sweeps.cluster import processes
from aeexp.sweeps.cluster.pool import Ending, Lost, Outcome

MANY = {number: 0.5 for number in range(20_000)}  # 240 kB, of which a pipe holds 64


class Stand:
    """In place of a process: a thread, whose end the sentinel tells as a process's does."""

    exitcode = -9

    def __init__(self, act: Callable[[Connection], None], sender: Connection):
        self.sentinel, self.alive = os.pipe()
        self.thread = threading.Thread(target=self._run, args=(act, sender), daemon=True)
        self.thread.start()

    def _run(self, act: Callable[[Connection], None], sender: Connection) -> None:
        act(sender)
        os.close(self.alive)

    def join(self) -> None:
        self.thread.join()


def run(monkeypatch, *acts: Callable[[Connection], None]) -> list[Outcome]:
    """What a pool of two makes of parts that do this; fails where it waits for ever."""

    def start(context, place, part, threads):
        answer, sender = multiprocessing.Pipe(duplex=False)
        return processes.Running(place, Stand(part.act, sender), answer)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(processes, "start", start)
    found: list[Outcome] = []
    parts = [SimpleNamespace(act=act) for act in acts]
    work = threading.Thread(
        target=lambda: found.extend(processes.Processes(n_jobs=2).run(parts, Ending())),  # pyright: ignore[reportArgumentType]
        daemon=True,
    )
    work.start()
    work.join(20)
    assert not work.is_alive(), "it waits for ever"
    return found


def answer(values: dict[int, float]) -> Callable[[Connection], None]:
    def act(sender: Connection) -> None:
        sender.send(values)
        sender.close()

    return act


def break_off(sender: Connection) -> None:
    """Killed in the middle of its answer."""
    os.write(sender.fileno(), (1000).to_bytes(4, "big") + b"half of it")
    sender.close()


def test_an_answer_of_more_than_a_pipe_holds_is_read_before_its_process_ends(monkeypatch):
    assert run(monkeypatch, answer(MANY), answer({1: 0.25}), answer(MANY)) == [MANY, {1: 0.25}, MANY]


def test_an_answer_that_nobody_waits_for_any_longer_is_no_error(monkeypatch):
    monkeypatch.setattr(processes, "ENDING", ())  # this process keeps its handlers
    reader, sender = multiprocessing.Pipe(duplex=False)
    reader.close()
    processes.call(lambda: MANY, sender)  # pyright: ignore[reportArgumentType] -- a stand-in
    assert sender.closed


@pytest.mark.parametrize("act", [lambda sender: sender.close(), break_off, lambda sender: None])
def test_a_process_without_an_answer_is_lost_also_where_something_it_began_keeps_its_pipe(act, monkeypatch):
    kept, values = [], {0: 0.5}

    def end(sender: Connection) -> None:
        kept.append(sender)
        act(sender)

    lost, there = run(monkeypatch, end, answer(values))
    assert isinstance(lost, Lost) and "exit code -9" in lost.reason and there == values

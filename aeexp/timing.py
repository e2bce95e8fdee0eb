"""Where the seconds of a run go, by stage, each counted once: in the innermost stage that is open. And when it is time
to write again."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import final

BEGAN = time.perf_counter()  # the package loads this module first
BETWEEN_WRITES = 2.0  # seconds, of a file that is written anew while a run trains: more often nobody looks


@final
class Clock:
    """Seconds by stage, of what is done in this thread while it is running: once, or in several parts."""

    def __init__(self, before: Mapping[str, float] | None = None):
        """`before` are stages that lie before the clock was made."""
        self.seconds = dict(before or {})
        self._began = time.perf_counter() - sum(self.seconds.values())
        self._open: list[str] = []
        self._since = 0.0

    @property
    def total(self) -> float:
        """Seconds since its beginning, whether in a stage or in none."""
        return time.perf_counter() - self._began

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the stages inside; clocks that are running already go on."""
        token = _running.set((*_running.get(), self))
        try:
            yield
        finally:
            _running.reset(token)

    def add(self, name: str, seconds: float) -> None:
        """Count what was timed elsewhere."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def enter(self, name: str) -> None:
        """A stage begins; the one around it waits."""
        self._count()
        self._open.append(name)

    def leave(self) -> None:
        """The innermost stage ends."""
        self._count()
        self._open.pop()

    def _count(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.add(self._open[-1], now - self._since)
        self._since = now


_running: ContextVar[tuple[Clock, ...]] = ContextVar("running", default=())


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count what is inside for the clocks that are running: data, fit, metric/probe, plot/scatter, ...

    Also a decorator. Without a clock, as in a thread that was begun inside, it does nothing.
    """
    clocks = _running.get()
    for clock in clocks:
        clock.enter(name)
    try:
        yield
    finally:
        for clock in clocks:
            clock.leave()


def swap_clocks(clocks: tuple[Clock, ...] = ()) -> tuple[Clock, ...]:
    """These are running from here on; gives back those that were: what is set aside does not count another's time."""
    before = _running.get()
    _running.set(clocks)
    return before


_spent: dict[str, float] = {}
_until: float | None = None  # what this process has told of its time; None: nothing yet


def spend(name: str, since: float | None = None) -> None:
    """What passed since the last call is a stage of the run to come, whose clock is not there yet.

    The first call of a process says `since` when; without one there is nothing to count from, and nothing is done.
    """
    global _until
    now, since = time.perf_counter(), _until if since is None else since
    if since is None:
        return
    _spent[name] = _spent.get(name, 0.0) + now - since
    _until = now
    for clock in _running.get():
        clock.add(name, now - since)


def take_spent() -> dict[str, float]:
    """What was spent for the run that now begins: no other run's then."""
    spent = dict(_spent)
    _spent.clear()
    return spent


def end_run() -> None:
    """What passes from here on is spent for the next run."""
    global _until
    _until = _until and time.perf_counter()


@final
class Pace:
    """Whether a file is to be written anew: the first time, and where `BETWEEN_WRITES` have passed since the last."""

    def __init__(self):
        self._written = -math.inf

    def is_due(self) -> bool:
        """True is taken for a write."""
        now = time.monotonic()
        if now - self._written < BETWEEN_WRITES:
            return False
        self._written = now
        return True

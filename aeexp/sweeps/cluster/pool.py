"""What a launcher asks of a place where jobs run."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple, final

import psutil

from aeexp.signals import handle_endings
from aeexp.sweeps.cluster.part import Part, Values

PATIENCE = 60.0  # seconds in which jobs that were told to end may save their runs


@final
class Lost(NamedTuple):
    """What is known of a part that ended without a word."""

    reason: str


Outcome = Values | Lost | None  # None: it was not begun


@final
class Ending:
    """Whether a signal came that ends the process; `act` is called with the first, the second one ends at once."""

    def __init__(self) -> None:
        self.heard = False
        self.act: Callable[[], None] = lambda: None
        self._held = False

    def hear(self, number: int, frame: object) -> None:
        """A handler of signals."""
        if self.heard:
            raise KeyboardInterrupt
        self.heard = True
        if not self._held:
            self.act()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """What `act` would do waits until this is through: a process that is told while it is begun dies before it has
        read what it is sent, and who sends more than a pipe holds would wait for ever."""
        before, self._held = self.heard, True
        try:
            yield
        finally:
            self._held = False
        if self.heard and not before:
            self.act()


class Pool(ABC):
    """Processes for the parts of a sweep: one that dies takes no other with it."""

    @abstractmethod
    def run(self, parts: Sequence[Part], ending: Ending) -> list[Outcome]:
        """What came of each part, in their order. Once the ending is heard no further one is begun, and those
        that run are told and waited for. Raises UsageError where there is no such place."""


@contextmanager
def hear_endings() -> Iterator[Ending]:
    """Of the whole sweep."""
    ending = Ending()
    with handle_endings(ending.hear):
        yield ending


def tell_children() -> None:
    """By the signal that they listen to: a terminal sends them the others, too."""
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it has ended meanwhile
            child.send_signal(signal.SIGTERM)


def kill_descendants() -> None:
    """Those that did not end when they were told."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()

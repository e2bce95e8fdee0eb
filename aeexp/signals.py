"""What a signal that ends a process does, by where it comes: while training, while anything else is done, or in a last
word. Signals are the main thread's: off it nothing changes. One that was ignored by whoever started this stays so."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Ctrl-C, what a scheduler sends, a terminal that is closed; Windows lacks the last.
ENDING = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__]
TOGETHER = 1.0  # seconds in which one word may come twice: to all processes of a group, and by the one that began them
Handler = Callable[[int, Any], Any] | int


@contextmanager
def handle_endings(handler: Handler, others: bool = True) -> Iterator[None]:
    """`handler` for every signal that ends the process; without `others` those alone that nobody has a handler for."""
    in_main = threading.current_thread() is threading.main_thread()
    plain = (signal.SIG_DFL, signal.default_int_handler)
    numbers = [number for number in ENDING if in_main and signal.getsignal(number) != signal.SIG_IGN]
    numbers = [number for number in numbers if others or signal.getsignal(number) in plain]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, past in before.items():
            signal.signal(number, past)


@contextmanager
def keep_handlers() -> Iterator[None]:
    """For a library that sets handlers of its own and leaves them: afterwards they are what they were."""
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # nobody can set them elsewhere
            for number, past in before.items():
                if past is not None:  # else one that C has set
                    signal.signal(number, past)


@contextmanager
def interrupt_when_told() -> Iterator[None]:
    """All raise KeyboardInterrupt, as Ctrl-C does: what is open is tidied up."""
    with handle_endings(signal.default_int_handler):
        yield


@contextmanager
def let_finish() -> Iterator[None]:
    """None cuts off what is short and must be whole, such as a last word."""
    with handle_endings(signal.SIG_IGN):
        yield


@contextmanager
def catch_signals() -> Iterator[Callable[[], bool]]:
    """The first becomes a flag that the loop reads between steps; the second one is at once, if it does not come
    TOGETHER with the first. A handler that whoever calls has set of its own stays."""
    signals: list[float] = []

    def remember(number: int, frame: Any) -> None:
        now = time.monotonic()
        if signals and now - signals[0] > TOGETHER:
            raise KeyboardInterrupt
        signals.append(now)

    with handle_endings(remember, others=False):
        yield lambda: bool(signals)


def do_nothing(number: int, frame: Any) -> None:
    """A handler that is none: a signal that is ignored altogether is not heard by a run either."""

"""Processes that decode stored rows ahead of whoever reads them: the same rows in the same order."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, NamedTuple, final
from weakref import WeakSet

import numpy as np

log = logging.getLogger(__name__)

Decode = Callable[[Sequence[Any]], np.ndarray]  # what is stored of B rows -> (B, *shape); a process can be sent it
AHEAD = 4  # tasks for each process that are under way or wait to be read
TASK_ROWS, TASK_BYTES = 128, 2**20  # of a task, whichever is less: some hundredths of a second of decoding
_begun: WeakSet[Workers] = WeakSet()


class Sent(NamedTuple):
    """A task that a process has, or will have."""

    pool: ProcessPoolExecutor
    future: Future[np.ndarray]


@final
class Workers:
    """`count` processes, begun by the first rows that are worth it, and ended by `end` or with this object.

    They are spawned, for a fork of a process with threads may hang, import neither torch nor the caller's script, and
    end by themselves where their parent is gone. Where one is killed, what they had is decoded here, and others
    are begun: no run is lost by it.
    """

    def __init__(self, count: int):
        self.count = count
        self._pool: ProcessPoolExecutor | None = None
        self._ends = 0  # times that `end` was called
        self._lock = threading.Lock()

    def map(self, decode: Decode, tasks: Iterable[Sequence[Any]]) -> Iterator[np.ndarray]:
        """What each task decodes to, in order; no more of them are taken than `AHEAD` for each process.

        An error is raised where its rows would be, that of a task as it was raised in the process. Where `end` is
        called meanwhile the rest is decoded here.
        """
        waiting: deque[tuple[Sequence[Any], Sent | None]] = deque()
        flow, failed, ends = iter(tasks), None, self._ends
        try:
            while failed is None:
                try:
                    task = next(flow)
                except StopIteration:
                    break
                except Exception as error:  # told behind the rows before
                    failed = error
                    break
                waiting.append((task, self._submit(decode, task, ends)))
                if len(waiting) >= AHEAD * self.count:
                    yield self._collect(decode, *waiting.popleft())
            while waiting:
                yield self._collect(decode, *waiting.popleft())
        finally:
            for _, sent in waiting:
                if sent is not None:
                    sent.future.cancel()
        if failed is not None:
            raise failed

    def end(self) -> None:
        """Wait until no process is left; one is begun again where rows are asked for later."""
        with self._lock:
            pool, self._pool = self._pool, None
            self._ends += 1
        _begun.discard(self)
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def _submit(self, decode: Decode, task: Sequence[Any], ends: int) -> Sent | None:
        """None where it is to be decoded here."""
        with self._lock:
            if self._ends != ends:
                return None
            if self._pool is None:
                self._pool = begin(self.count)
                _begun.add(self)
            try:
                return Sent(self._pool, self._pool.submit(decode, task))
            except BrokenProcessPool:
                return None  # those that were sent before tell it

    def _collect(self, decode: Decode, task: Sequence[Any], sent: Sent | None) -> np.ndarray:
        if sent is None:
            return decode(task)
        try:
            return sent.future.result()
        except CancelledError:  # by `end`
            return decode(task)
        except BrokenProcessPool:
            self._drop(sent.pool)
            return decode(task)

    def _drop(self, pool: ProcessPoolExecutor) -> None:
        """A broken one; the next task begins another."""
        with self._lock:
            if self._pool is not pool:
                return
            self._pool = None
        log.warning("dataset.workers=%d: one of the processes was killed: others are begun", self.count)
        pool.shutdown(wait=False)


def begin(count: int) -> ProcessPoolExecutor:
    """All of the processes; what is inherited by them is nothing but where modules lie."""
    # of ranks (runs/ranks.py), which may have no processes of their own else; those here end with it
    multiprocessing.current_process().daemon = False
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), settle)
    with hide_main():
        for _ in range(count):  # none is idle yet: each begins one
            pool.submit(os.getpid)
    return pool


@contextmanager
def hide_main() -> Iterator[None]:
    """Processes that are spawned inside do not import the script that runs, which may have no guard against it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def settle() -> None:
    """In each process: Ctrl-C is its parent's, which ends it, and whose death, of whatever kind, is its own."""
    for name in ("SIGINT", "SIGHUP"):
        if name in signal.Signals.__members__:
            signal.signal(signal.Signals[name], signal.SIG_IGN)
    threading.Thread(target=follow, daemon=True).start()


def follow() -> None:
    """End with the parent; a queue of tasks alone would be waited at for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def end_workers() -> Iterator[None]:
    """Processes that are begun inside end with it."""
    before = set(_begun)
    try:
        yield
    finally:
        for workers in set(_begun) - before:
            workers.end()


def count_rows(shape: Sequence[int], dtype: np.dtype) -> int:
    """Rows (*shape) of a task."""
    return max(1, min(TASK_ROWS, TASK_BYTES // max(1, int(np.prod(shape)) * dtype.itemsize)))

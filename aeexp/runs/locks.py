"""A folder that one process has to itself, on file systems of several machines too: a file names the owner, and its
time is renewed while the owner lives.

No `flock`: network file systems lack it, or have it for one machine alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

from aeexp import files
from aeexp.runs.owners import describe, describe_process, identify_machine, is_alive

log = logging.getLogger(__name__)

NAME = ".held"
RENEWED = 5.0  # seconds between two signs of life
MISSED = 3 * RENEWED  # seconds without one after which its owner may be dead
STALE = 60.0  # and after which it is


class Held(Exception):
    """Another process has the folder; the words say which."""


@final
class Lock:
    """Of one folder, or of one of the things in it that have a lock of their own name, by one holder."""

    def __init__(self, folder: Path, name: str = NAME):
        self.path = folder / name
        self.token = uuid.uuid4().hex

    def acquire(self) -> None:
        """Raises `Held` where a process that lives has it, and OSError where nothing can be written there. One whose
        owner is dead, or has given no sign of life for STALE seconds, is taken over; one that has missed a few signs is
        watched until then."""
        while True:
            try:
                _create(self.path, {**describe_process(), "token": self.token})
                return
            except FileExistsError:
                owner = read_owner(self.path)
            if not self.path.exists():
                continue  # it was let go meanwhile
            silence = measure_silence(self.path, owner)
            if silence < MISSED:
                raise Held(describe(owner))
            if silence < STALE:
                log.info("%s gives no sign of life: waiting whether it is dead", describe(owner))
                time.sleep(RENEWED / 5)
            else:
                _set_aside(self.path, owner)

    def is_mine(self) -> bool:
        """Whether nobody took it over meanwhile; where the file cannot be read now, nobody says so."""
        try:
            owner = files.read_json(self.path)
        except FileNotFoundError:
            return False
        except (OSError, ValueError) as error:
            return isinstance(error, OSError)
        return isinstance(owner, dict) and owner.get("token") == self.token

    def renew(self) -> None:
        """A sign of life, if it is this one's still; what cannot be written now may be the next time."""
        with suppress(OSError):
            if self.is_mine():
                os.utime(self.path)

    def release(self) -> None:
        """Let go, if it is this one's still."""
        with suppress(OSError):
            if self.is_mine():
                self.path.unlink()


@contextmanager
def hold(folder: Path, wait: bool = False, name: str = NAME) -> Iterator[Lock]:
    """The lock of a folder that is there, renewed meanwhile. Raises `Held`; with `wait` others are waited for."""
    lock = Lock(folder, name)
    while True:
        try:
            lock.acquire()
            break
        except Held:
            if not wait:
                raise
            time.sleep(0.02)
    try:
        renewing.add(lock)
        yield lock
    finally:
        renewing.remove(lock)
        lock.release()


@final
class Renewing:
    """One thread of the process, while it holds anything."""

    def __init__(self) -> None:
        self._locks: set[Lock] = set()
        self._changing = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, lock: Lock) -> None:
        """From now on."""
        with self._changing:
            if not self._locks:
                self._ended = threading.Event()
                self._thread = threading.Thread(target=self._renew, args=(self._ended,), daemon=True, name="locks")
                self._thread.start()
            self._locks = {*self._locks, lock}

    def remove(self, lock: Lock) -> None:
        """Not any longer."""
        with self._changing:
            self._locks = self._locks - {lock}
            if self._locks or self._ended.is_set():
                return
            self._ended.set()
            if self._thread is not None and self._thread.is_alive():
                self._thread.join(RENEWED)

    def _renew(self, ended: threading.Event) -> None:
        while not ended.wait(RENEWED):
            for lock in self._locks:
                lock.renew()


renewing = Renewing()


def is_held(folder: Path) -> bool:
    """Whether a process that lives has the folder."""
    path = folder / NAME
    return path.exists() and measure_silence(path, read_owner(path)) < STALE


def read_owner(path: Path) -> dict[str, Any]:
    """What a lock file says; {} where it is not there, still empty, or says something else."""
    try:
        owner = files.read_json(path)
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}


def measure_silence(path: Path, owner: dict[str, Any]) -> float:
    """Seconds since its last sign of life; of a process of this machine 0 while it is there, and then for ever. 0 of
    what is not there."""
    if owner.get("machine") == identify_machine() and isinstance(owner.get("pid"), int):
        return 0.0 if is_alive(owner["pid"], owner.get("began")) else math.inf
    try:
        return _read_clock(path) - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _create(path: Path, owner: dict[str, Any]) -> None:
    """A new file. Raises FileExistsError."""
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    try:
        os.write(handle, json.dumps(owner).encode())
    except OSError:  # a full disk
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def _set_aside(path: Path, owner: dict[str, Any]) -> None:
    """Take a stale lock away, one of several that try at a time: it has a file that is named for this owner, for else
    the lock of who was faster could be taken for the stale one. What turns out to be a new owner's goes back."""
    digest = hashlib.sha256(repr(owner).encode()).hexdigest()
    turn = path.with_name(f"{path.name}.{digest}.tmp")
    try:
        _create(turn, {})
    except FileExistsError:
        if measure_silence(turn, {}) >= STALE:  # who had it was killed
            turn.unlink(missing_ok=True)
        time.sleep(0.01)
        return
    try:
        if read_owner(path) == owner and measure_silence(path, owner) >= STALE:
            _take_away(path, owner)
    finally:
        turn.unlink(missing_ok=True)


def _take_away(path: Path, owner: dict[str, Any]) -> None:
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if read_owner(aside).get("token") != owner.get("token"):
        with suppress(OSError):
            os.link(aside, path)
    aside.unlink(missing_ok=True)


def _read_clock(path: Path) -> float:
    """The time by the clock of the file system, which is that of the files on it: machines differ in theirs."""
    probe = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:  # nothing can be written there
        return time.time()
    finally:
        with suppress(OSError):
            probe.unlink()

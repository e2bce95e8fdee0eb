"""Which folder of a sweep has which run: a file and a lock for each run's id, beside the folders.

One process at a time looks for a place for a run, whatever its number, and a look takes as many questions to the file
system among ten thousand runs as among ten. The files are no more than hints: what lies in a folder says whose it is.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import final

from aeexp import files
from aeexp.runs.folder import PLACES, RunFolder, order
from aeexp.runs.locks import Held, hold, is_held

COMPLETE = ".complete"  # there once all that lay in the sweep's folder before has been noted
NEXT = ".next"  # above all numbers that were given instead of another run's
ID = re.compile(r"\w{1,64}", re.ASCII)
LONGEST = 255  # bytes of a folder's name
PATIENCE, PAUSE = 3.0, 0.05  # seconds for which one is waited for who has no folder yet, and between two looks


@final
class Places:
    """Of one sweep. Who changes where a run lies holds its lock; a note on a run that has none may be made without."""

    def __init__(self, sweep: Path):
        self.sweep = sweep
        self.path = sweep / PLACES

    @contextmanager
    def hold(self, identity: str) -> Iterator[None]:
        """No other process has this run meanwhile. Raises `Held`: at once where its folder is held too, else after a
        while, for another one may only look.

        The lock lies beside the notes: so a network file system that remembers what was not there looks again.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + PATIENCE
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(hold(self.path, name=f"{identity}.held"))
                    break
                except Held:
                    place = self.find(identity)
                    if (place is not None and is_held(place.checkpoints)) or time.monotonic() > until:
                        raise
                    time.sleep(PAUSE)
            yield

    def find(self, identity: str) -> RunFolder | None:
        """The folder that was noted, if it may hold this run; None where there is none."""
        try:
            name = os.fsdecode(files.read_bytes(self.path / identity, LONGEST))
        except (OSError, ValueError):
            return None
        if not name or name.startswith(".") or name != os.path.basename(name) or "\0" in name:
            return None  # of nobody's making
        folder = RunFolder(self.sweep / name)
        recorded = _read_id(folder)
        return folder if recorded == identity or (recorded is None and folder.checkpoints.is_dir()) else None

    def look_up(self, identity: str) -> RunFolder | None:
        """As `find`, by who holds the run: where nothing is known of it that holds, and something should be, all that
        lies in the sweep's folder is noted anew, as in one of an older version, or one whose folders were renamed."""
        place = self.find(identity)
        if place is None and (os.path.lexists(self.path / identity) or not (self.path / COMPLETE).exists()):
            self._note_all(identity)
            place = self.find(identity)
        return place

    def note(self, identity: str, folder: RunFolder) -> None:
        """Its place from now on; by who holds the run."""
        place = self.find(identity)
        if place is None or place.path != folder.path:
            (self.path / identity).unlink(missing_ok=True)
            self._add(identity, folder)

    def note_unheld(self, identity: str, folder: RunFolder) -> None:
        """The place of a run that has none yet, where others look for it: else they will find it by themselves."""
        if ID.fullmatch(identity) and (self.path / COMPLETE).exists():
            self._add(identity, folder)

    def list_free(self, number: int) -> Iterator[RunFolder]:
        """New folders, of the next free numbers."""
        for free in count(max(number + 1, self._read_next())):
            with suppress(FileExistsError):  # of another job of this sweep, or of an earlier one
                (self.sweep / str(free)).mkdir()
                (self.path / NEXT).write_bytes(str(free + 1).encode())
                yield RunFolder(self.sweep / str(free))

    def _read_next(self) -> int:
        """0 where nothing, or no such number, is known: each is tried then."""
        try:
            number = int(files.read_bytes(self.path / NEXT, 18))
        except (OSError, ValueError):
            return 0
        return number if (self.sweep / str(number - 1)).is_dir() else 0

    def _add(self, identity: str, folder: RunFolder) -> None:
        """Whole, or, where the process ends within, a note that nobody believes; no file of another name is left."""
        with suppress(FileExistsError):
            with open(self.path / identity, "xb") as file:
                file.write(os.fsencode(folder.path.name))

    def _note_all(self, held: str) -> None:
        """Note what lies there, a finished run before what else has its id, and forget what does not."""
        found: dict[str, RunFolder] = {}
        beside = [path for path in self.sweep.iterdir() if (path / "status.json").is_file()]
        for run in map(RunFolder, sorted(beside, key=lambda path: order(Path(path.name)))):
            identity = _read_id(run)
            if identity is None or not ID.fullmatch(identity):
                continue
            if identity not in found or (run.is_finished() and not found[identity].is_finished()):
                found[identity] = run
        for name in filter(ID.fullmatch, os.listdir(self.path)):
            if self.find(name) is None:
                with suppress(Held), ExitStack() as stack:  # who has it knows better
                    if name != held:
                        stack.enter_context(hold(self.path, name=f"{name}.held"))
                    if self.find(name) is None:
                        (self.path / name).unlink(missing_ok=True)
        for identity, run in found.items():
            self._add(identity, run)
        (self.path / COMPLETE).touch()


def _read_id(folder: RunFolder) -> str | None:
    """Of status.json; None where there is none, or it says nothing."""
    try:
        identity = folder.read_status().get("run_id")
    except (OSError, ValueError):
        return None
    return identity if isinstance(identity, str) else None

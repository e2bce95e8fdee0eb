"""Jobs of a sweep that have no last word in a folder of their own: refused, or on a disk that takes none."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from aeexp import files

log = logging.getLogger(__name__)

NAME = ".refused.{}.json"  # in the sweep's folder: a launcher may run a job in a process, or on a machine, of its own
_UNWRITTEN: dict[tuple[Path, int], dict[str, Any]] = {}  # of this process


def note_refusal(root: Path, number: int, message: str, exit_code: int) -> None:
    """What job `number` of the sweep in `root` ended with."""
    state = {"message": message, "exit_code": exit_code}
    _UNWRITTEN[root.absolute(), number] = state
    try:
        files.write_json(root / NAME.format(number), state)
    except OSError as error:
        log.debug("%s: %s", root, error)


def take_refusals(root: Path) -> dict[int, dict[str, Any]]:
    """What was noted in `root`, by the number of the job, and noted no longer."""
    taken = {}
    for folder, number in list(_UNWRITTEN):
        if folder == root.absolute():
            taken[number] = _UNWRITTEN.pop((folder, number))
    for path in root.glob(NAME.format("*")):
        try:
            taken.setdefault(int(path.name.split(".")[2]), files.read_json(path))
            path.unlink()
        except (OSError, ValueError) as error:
            log.warning("%s: %s", path, error)
    return taken

"""status.json: what became of a run, from its first second on."""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import platform
import subprocess
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, final

from aeexp.errors import UsageError, explain_machine
from aeexp.runs.folder import RunFolder, digest
from aeexp.timing import Pace

log = logging.getLogger(__name__)

_PACKAGES = ("aeexp", "torch", "numpy", "scikit-learn", "hydra-core", "omegaconf", "matplotlib", "tensorboard")


class Taken(UsageError):
    """Another run's folder, or one that another process writes to."""


@final
class Status:
    """One of running, finished, pruned, failed, interrupted; every change is on disk at once, but for what is noted.

    A folder whose run is finished already stays as it is: `finished` holds what that run left.
    """

    def __init__(self, folder: RunFolder, run_id: str, asked: Mapping[str, str]):
        """`asked` are the texts of the files of `.hydra`, by name."""
        self.folder = folder
        self.finished = read_finished(folder)
        self.asked = dict(asked)
        self.check: Callable[[], None] = lambda: None  # raises Taken where another process has the folder now
        self._pace = Pace()
        self.values: dict[str, Any] = {
            "status": "running",
            "run_id": run_id,
            "hydra_digest": digest(text.encode() for _, text in sorted(self.asked.items())) if asked else None,
            "step": 0,
            "started": now(),
            "ended": None,
            "versions": {"python": platform.python_version(), **read_versions()},
            "git_commit": read_commit(),
            "message": None,
            "exit_code": 0,
        }

    def begin(self) -> None:
        """The first word, and what was asked for; of a finished run nothing."""
        if self.finished is not None:
            return
        self.update()
        for name, text in self.asked.items():
            self.folder.write_asked(name, text)

    def update(self, **values: Any) -> None:
        """Change some of the values. Raises Taken."""
        self.values |= values
        if self.finished is None:
            self.check()
            self.folder.write_status(self.values)

    def note(self, **values: Any) -> None:
        """Change some of the values, on disk within seconds or with the next change."""
        if self._pace.is_due():
            self.update(**values)
        self.values |= values

    def end(self, status: str, message: str | None = None, exit_code: int = 0) -> bool:
        """The last word; whether it is on disk, where a finished run's stays, and one that another process has taken
        over, and a machine may refuse any."""
        try:
            self.update(status=status, ended=now(), message=message, exit_code=exit_code)
        except (OSError, Taken) as error:
            log.error("status.json cannot be written: %s", explain_machine(error) or error)
            return False
        return self.finished is None


def read_finished(folder: RunFolder) -> dict[str, Any] | None:
    """Best value, and fingerprint of the data, of the finished run in this folder, if there is one."""
    try:
        if folder.read_status()["status"] != "finished":
            return None
        metrics = folder.read_metrics()
        return {"best": metrics["best"], "fingerprint": metrics["data"]["fingerprint"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def now() -> str:
    """The time in UTC, ISO 8601 with milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def read_versions() -> dict[str, str]:
    """Of the packages that numbers depend on, where they are installed."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


@functools.cache  # the code that runs is what it was when it was imported
def read_commit() -> str | None:
    """Of the checkout that this code lies in, `-dirty` where it has changes; None outside of one."""
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=5, check=True)
        return done.stdout.decode("ascii", "replace").strip()
    except (OSError, subprocess.SubprocessError):
        return None

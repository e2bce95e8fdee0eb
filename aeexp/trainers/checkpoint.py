"""State on disk: tensors and plain values only, written atomically, loadable with weights_only=True."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, final

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from aeexp import files
from aeexp.errors import UsageError
from aeexp.models.learner import Learner

Saved = dict[str, Any]


@final
@dataclass
class Progress:
    """Where a run stands, and what it has seen."""

    step: int = 0
    best: float = math.inf
    reference: float = math.inf  # what an improvement is counted from
    best_step: int = 0
    best_epoch: int = 0
    waited: int = 0  # validations since the last improvement
    samples: int = 0
    seconds: float = 0.0
    sums: list[float] = field(default_factory=list)  # of each term since the last validation
    history: list[dict[str, Any]] = field(default_factory=list)  # one row an evaluation


class Snapshot(Protocol):
    """What can be put into a file: a run's state, or a stage's with the run around it."""

    def dump(self) -> Saved:
        """Tensors and plain values."""
        ...


@final
@dataclass
class State:
    """All that a run is at one step. Order of rows and noise follow from seed and step: no generator is kept."""

    learner: Learner
    optimizer: Optimizer
    scheduler: LRScheduler
    progress: Progress

    def dump(self) -> Saved:
        """Tensors and plain values, which share their memory with the state."""
        return {
            "learner": self.learner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "progress": asdict(self.progress),
        }

    def load(self, saved: Saved) -> None:
        """Become what was dumped."""
        self.learner.load_state_dict(saved["learner"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scheduler.load_state_dict(saved["scheduler"])
        self.progress = Progress(**saved["progress"])


@final
class Store:
    """`last.pt` and `best.pt` of one run. Between writes the best state is kept in memory.

    `header` (run id, config, data shape) goes into every file, so that a file explains itself. Without a folder
    nothing is written.
    """

    def __init__(self, folder: Path | None, header: Saved, every_seconds: float = 10.0):
        self.folder = None if folder is None else Path(folder)
        self.header = header
        self.every_seconds = every_seconds
        self.best: Saved | None = None
        self.resumed: Saved | None = None
        self._written = -math.inf

    def keep_best(self, state: Snapshot) -> None:
        """Remember this state, in memory, as the best one so far."""
        self.best = copy.deepcopy(state.dump())

    def save(self, state: Snapshot, *, now: bool = False) -> None:
        """Write both files, at most every `every_seconds` unless `now`: a kill costs no more than that."""
        if self.folder is None or not now and time.monotonic() - self._written < self.every_seconds:
            return
        content = state.dump()
        if not all(bool(tensor.isfinite().all()) for tensor in content["learner"].values()):
            return  # the next loss will say so; the last good state stays
        # A kill between the two leaves a best state that is ahead of the last one: going on finds it again.
        self.save_best()
        self._write(self.folder / "last.pt", content)
        self._written = time.monotonic()

    def save_best(self) -> None:
        """Write `best.pt` alone, where there is a best state."""
        if self.best is not None and self.folder is not None:
            self._write(self.folder / "best.pt", self.best)

    def resume(self, folder: Path) -> None:
        """Go on from the `last.pt` and `best.pt` of `folder`, which must be of the same configuration."""
        last = load(folder / "last.pt")
        if last["run_id"] != self.header["run_id"]:
            raise UsageError(
                f"resume={folder.parent}: that run has another configuration (id {last['run_id']}, this one "
                f"{self.header['run_id']}): repeat its overrides, or start a new run"
            )
        if last.get("fingerprint") != self.header.get("fingerprint"):
            raise UsageError(
                f"resume={folder.parent}: the data has changed since (fingerprint {last.get('fingerprint')}, now "
                f"{self.header.get('fingerprint')}): start a new run"
            )
        self.resumed = last
        if (folder / "best.pt").is_file():
            self.best = load(folder / "best.pt")

    def _write(self, path: Path, content: Saved) -> None:
        files.write(path, lambda file: torch.save({**self.header, **content}, file))


def load(path: Path) -> Saved:
    """The content of a checkpoint, on the CPU; nothing is unpickled. Raises UsageError where it is none."""
    if not path.is_file():
        raise UsageError(f"{path}: there is no such checkpoint")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises anything: UnpicklingError, IndexError, UnicodeDecodeError ...
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UsageError(f"{path} is no readable checkpoint: {reason}") from error
    if not isinstance(saved, dict) or not {"run_id", "learner"} <= saved.keys():
        raise UsageError(f"{path} is no checkpoint of a run")
    return saved

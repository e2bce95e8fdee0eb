"""State on disk: tensors and plain values only, written atomically, loadable with weights_only=True."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from aeexp import files
from aeexp.errors import UsageError
from aeexp.models.learner import Learner
from aeexp.trainers.archive import Damaged, read_archive, write_archive

log = logging.getLogger(__name__)

Saved = dict[str, Any]


class Unreadable(UsageError):
    """A checkpoint that is gone or damaged."""


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
    history: list[dict[str, Any]] = field(default_factory=list)  # one row an evaluation; rows never change

    def dump(self) -> Saved:
        """Plain values as they are now; rows of the history are shared."""
        return {**vars(self), "sums": list(self.sums), "history": list(self.history)}


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
            "progress": self.progress.dump(),
        }

    def load(self, saved: Saved) -> None:
        """Become what was dumped."""
        check_weights(self.learner, saved["learner"])
        self.learner.load_state_dict(saved["learner"])
        self.optimizer.load_state_dict(copy.deepcopy(saved["optimizer"]))  # which it would go on to change in place
        self.scheduler.load_state_dict(saved["scheduler"])
        self.progress = Progress(**Progress(**saved["progress"]).dump())


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
        self.extends = False
        self._written = -math.inf
        self._places: list[Tensor] = []  # that tensors of the best state are copied to

    def keep_best(self, state: Snapshot) -> None:
        """Remember this state, in memory, as the best one so far; its tensors in the places of the last one's."""
        content = state.dump()
        progress = content.pop("progress")  # plain, and its own already
        self.best = {**self._copy(content), "progress": progress}

    def _copy(self, content: Saved) -> Saved:
        """A copy that shares nothing with what training changes. What is one tensor under two names stays one."""
        tensors = list(find_tensors(content))
        sources = {_locate(tensor): tensor for tensor in tensors}
        places = {}
        for i, (key, source) in enumerate(sources.items()):
            place = self._places[i] if i < len(self._places) else None
            if place is None or _describe(place) != _describe(source):
                place = torch.empty_like(source, requires_grad=False)
            places[key] = place.copy_(source.detach())
        self._places = list(places.values())
        return copy.deepcopy(content, {id(tensor): places[_locate(tensor)] for tensor in tensors})

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

    def resume(self, folder: Path, extends: bool = False) -> None:
        """Go on from the `last.pt` and `best.pt` of `folder`, which must be of the same configuration; with `extends`
        they are of a run that was to end earlier, and alike in all else, as the caller has made sure.

        Where last.pt is damaged or gone, from best.pt, which is an earlier state of the same run. Where the best state
        is lost, from the beginning: the run finds it again, as its bits are the same.
        Raises UsageError, `Unreadable` where there is no whole state to go on from.
        """
        best_file, last_file = folder / "best.pt", folder / "last.pt"
        best, damage = try_load(best_file)
        try:
            last = load(last_file)
        except Unreadable as error:
            if best is None:
                raise
            log.warning("%s: the run goes on from best.pt, an earlier state", error)
            last = best
        self._check_same(folder, last, extends)
        here = last["progress"]
        if best is None and here["best_step"] == here["step"]:
            best = last if here["step"] else None
        elif best is None and here["best_step"]:
            if extends:
                raise Unreadable(f"{damage}: without its best state a run cannot be extended")
            log.warning("%s: the best state is lost, so the run begins anew", damage)
            return
        self.resumed, self.best, self.extends = last, best, extends

    def _check_same(self, folder: Path, saved: Saved, extends: bool) -> None:
        """Raises UsageError where a state is of another configuration or of other data."""
        if not extends and saved["run_id"] != self.header["run_id"]:
            raise UsageError(
                f"resume={folder.parent}: that run has another configuration (id {saved['run_id']}, this one "
                f"{self.header['run_id']}): repeat its overrides, or start a new run"
            )
        if saved.get("fingerprint") != self.header.get("fingerprint"):
            raise UsageError(
                f"resume={folder.parent}: the data has changed since (fingerprint {saved.get('fingerprint')}, now "
                f"{self.header.get('fingerprint')}): start a new run"
            )

    def _write(self, path: Path, content: Saved) -> None:
        files.write(path, lambda file: write_archive({**self.header, **content}, file))


def find_tensors(node: Any) -> Iterator[Tensor]:
    """All tensors of nested tables and lists."""
    if isinstance(node, Tensor):
        yield node
    elif isinstance(node, dict | list | tuple):
        for value in node.values() if isinstance(node, dict) else node:
            yield from find_tensors(value)


def _locate(tensor: Tensor) -> tuple[Any, ...]:
    """Where a tensor lies, and what of it it takes."""
    return tensor.data_ptr(), tensor.device, tensor.dtype, tensor.shape, tensor.stride()


def _describe(tensor: Tensor) -> tuple[Any, ...]:
    """What two tensors have alike where one can hold the other in just its way."""
    return tensor.device, tensor.dtype, tensor.shape, tensor.stride()


def load(path: Path) -> Saved:
    """The content of a checkpoint, on the CPU; nothing is unpickled. Raises Unreadable where it is none."""
    if not path.is_file():
        raise Unreadable(f"{path}: there is no such checkpoint")
    try:
        with open(path, "rb") as file:
            saved = read_archive(file)
    except (OSError, Damaged) as error:
        raise Unreadable(f"{path} is no readable checkpoint: {error}") from error
    if not isinstance(saved, dict) or not {"run_id", "learner"} <= saved.keys():
        raise Unreadable(f"{path} is no checkpoint of a run")
    if (reason := _find_fault(saved["learner"])) is not None:
        raise Unreadable(f"{path} is no readable checkpoint: {reason}")
    return saved


def try_load(path: Path) -> tuple[Saved | None, str]:
    """The content, or None and why."""
    try:
        return load(path), ""
    except Unreadable as error:
        return None, str(error)


def check_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raises UsageError unless the weights are those of such a module: names, shapes and types."""
    own = {name: value for name, value in module.state_dict().items()}
    for name in (*own, *weights):
        if name not in weights:
            raise UsageError(f"its weights lack {name}, which its configuration asks for: they are of another model")
        if name not in own:
            raise UsageError(f"its weights have {name}, which its configuration does not: they are of another model")
        want, have = ((tuple(part.shape), part.dtype) for part in (own[name], weights[name]))
        if want != have:
            raise UsageError(
                f"its weights have {name} as {have[0]} of {have[1]}, where its configuration asks for {want[0]} of "
                f"{want[1]}: they are of another model"
            )


def _find_fault(weights: Any) -> str | None:
    """Why weights are none that training writes; None where they are."""
    if not isinstance(weights, dict):
        return "its weights are no table of tensors"
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
            return f"its weights hold {str(name)[:100]!r}, no plain tensor"
        if value.is_quantized or value.numel() * value.element_size() > value.untyped_storage().nbytes():
            return f"its weights hold {name[:100]!r}, no plain tensor"  # one that repeats a number without end
        if not bool(value.isfinite().all()):
            return f"its weights hold numbers that are not finite ({name[:100]!r})"
    return None

"""What holds of runs that are trained as one: each is the run alone. Raises AssertionError with what is wrong."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aeexp import schedulers
from aeexp.datasets.core.data import Data
from aeexp.testing.learners import Build, require
from aeexp.trainers.checkpoint import Progress, Store
from aeexp.trainers.contracts import MakeOptimizer, MakeScheduler, Tracker, Training
from aeexp.trainers.joint import Joint
from aeexp.trainers.stacking import fit_together
from aeexp.trainers.stacking.members import Outcome

# float32: a bmm adds its products in another order, some 1e-6 of a sum, which now and then moves a number over the kink
# of a rectifier: up to a hundredth of a gradient, and of the way that the weights have come by it. Gradients are
# clipped to norm 1: of the loss, some 100 with a gradient of 1000, a step at a rate of 2e-3 changes a fiftieth, and the
# hundredth part of that is 2e-4 of it.
CLOSE, WAY = 5e-4, 3e-2
ADAM_WAY = 0.2  # a gradient that is 0 but for rounding moves by the whole rate either way
PLAIN: MakeOptimizer = functools.partial(torch.optim.SGD, lr=2e-3, momentum=0.5)
FAST: MakeOptimizer = functools.partial(torch.optim.SGD, lr=3e-3, momentum=0.5)


def check_stacking(
    build: Build, data: Data, *, trainer: Joint | None = None, optimizers: Sequence[MakeOptimizer] = (PLAIN, FAST),
    scheduler: MakeScheduler = schedulers.constant, way: float = WAY,
) -> str:  # fmt: skip
    """Two runs of other seeds, rates and numbers in buffers, trained together, leave the histories and states of the
    runs alone. Returns why this cannot be, as the code says it."""
    trainer = trainer or Joint(steps=5, batch_size=8, validate_every_steps=2, log_every_steps=1, clip_norm=1.0)

    def prepare() -> list[Training]:
        learners = [build(seed) for seed in range(2)]
        for buffer in learners[1].buffers():
            if buffer.dim() == 0 and buffer.is_floating_point():
                buffer.mul_(0.9)
        return [
            Training(trainer, learner, data, maker, scheduler, Store(None, {}), Tracker(), seed)
            for seed, (learner, maker) in enumerate(zip(learners, optimizers, strict=True))
        ]

    reasons: list[str] = []
    together, alone, begun = prepare(), prepare(), prepare()
    outcomes = fit_together(together, lambda: False, lambda places, why: reasons.append(why), math.inf, 2)
    if any(reasons):
        return " and ".join(dict.fromkeys(reasons))
    for one, other, outcome, before in zip(together, alone, outcomes, begun, strict=True):
        progress, start = other.fit(), before.learner.state_dict()
        compare_progress(outcome, progress)
        for mine, wanted in ((one.learner.state_dict(), other.learner.state_dict()),
                             (_read_best(one)["learner"], _read_best(other)["learner"])):  # fmt: skip
            require(mine.keys() == wanted.keys(), "other tensors in a stack")
            for name, tensor in wanted.items():
                require_near(mine[name], tensor, way, name, start[name])
        require_near(_read_best(one)["optimizer"], _read_best(other)["optimizer"], way, "optimizer")
        require_near(_read_best(one)["scheduler"], _read_best(other)["scheduler"], way, "scheduler")
    return ""


def _read_best(training: Training) -> dict[str, Any]:
    require(training.store.best is not None, "no best state was kept")
    assert training.store.best is not None
    return training.store.best


def compare_progress(outcome: Outcome | None, progress: Progress, close: float = CLOSE) -> None:
    """The same rows of the history, and the same steps."""
    if isinstance(outcome, BaseException):
        raise AssertionError(f"it fails in a stack and not alone: {outcome!r}") from outcome
    require(outcome is not None, "it was left out without a reason")
    assert outcome is not None
    for row, wanted in zip(outcome.history, progress.history, strict=True):
        require(row.keys() == wanted.keys(), f"other columns in a stack: {row.keys() ^ wanted.keys()}")
        for key, value in wanted.items():
            same = row[key] == value if not isinstance(value, float) else is_near(row[key], value, close)
            require(same, f"{key} is {row[key]} in a stack and {value} alone, at step {wanted['step']}")
    steps = [(each.step, each.best_step, each.samples, each.waited) for each in (outcome, progress)]
    require(steps[0] == steps[1], f"other steps in a stack: {steps}")


def is_near(a: float, b: float, close: float) -> bool:
    """Within that share of the larger, or of 1."""
    return math.isclose(a, b, rel_tol=close, abs_tol=close) or (math.isnan(a) and math.isnan(b))


def require_near(a: Any, b: Any, way: float, path: str, start: Tensor | None = None) -> None:
    """Through dicts and lists: of a tensor, that share of the way from `start` or from 0, beside what rounding is."""
    if isinstance(b, Tensor):
        require(isinstance(a, Tensor) and a.dtype == b.dtype and a.shape == b.shape, f"{path} is another in a stack")
        gone = b.double() if start is None else b.double() - start.double()
        off, allowed = (
            float((a.double() - b.double()).norm()),
            way * float(gone.norm()) + 1e-6 * (1 + float(b.double().norm())),
        )
        require(
            off <= allowed or not bool(b.isfinite().all()), f"{path} is off by {off:.2g} in a stack, of {allowed:.2g}"
        )
    elif isinstance(b, dict):
        require(isinstance(a, dict) and a.keys() == b.keys(), f"{path} has other keys in a stack")
        for key in b:
            require_near(a[key], b[key], way, f"{path}.{key}")
    elif isinstance(b, list | tuple):
        require(len(a) == len(b), f"{path} is of another length in a stack")
        for place, (x, y) in enumerate(zip(a, b, strict=True)):
            require_near(x, y, way, f"{path}.{place}")
    else:
        same = is_near(a, b, CLOSE) if isinstance(b, float) else a == b
        require(same, f"{path} is {a} in a stack and {b} alone")

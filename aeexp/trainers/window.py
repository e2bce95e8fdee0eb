"""Term means between two readings, without a host sync a step."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from aeexp.trainers.checkpoint import Progress


@final
class Diverged(RuntimeError):
    """The loss is no longer a finite number."""


@final
class Window:
    """Term means of the steps since the last reading, left on the device: one transfer a reading."""

    def __init__(self, progress: Progress):
        self.progress = progress
        self.names: list[str] = []
        self.steps: list[Tensor] = []

    def add(self, names: list[str], terms: Tensor) -> None:
        """Take in the names and means (T,) of one step's terms."""
        self.names = names
        self.steps.append(terms)

    def read(self) -> dict[str, float]:
        """Means since the last reading. Raises `Diverged` with the first step whose loss is not finite."""
        if not self.steps:
            return {}
        values = torch.stack(self.steps).cpu().double().tolist()
        self.steps.clear()
        sums = self.progress.sums or [0.0] * (len(self.names) + 1)
        for i, terms in enumerate(values):
            if not math.isfinite(sum(terms)):
                step = self.progress.step - len(values) + i + 1
                raise Diverged(f"the loss became {sum(terms)} at step {step}")
            # Added one by one, the sum does not depend on when it was read: a resumed run has the same bits.
            sums = [sums[0] + 1, *(s + t for s, t in zip(sums[1:], terms, strict=True))]
        self.progress.sums = sums
        columns = [sum(column) / len(values) for column in zip(*values, strict=True)]
        return {"loss": sum(columns), **dict(zip(self.names, columns, strict=False))}

    def restart(self) -> dict[str, float]:
        """Means since the last validation."""
        count, *sums = self.progress.sums
        self.progress.sums = []
        return {"loss": sum(sums) / count, **{n: s / count for n, s in zip(self.names, sums, strict=True)}}


def judge(progress: Progress, value: float, min_delta: float, epoch: float, last: bool = False) -> bool:
    """Whether the monitored value of a validation is the lowest so far, or it is to be taken as the `last` one;
    validations without an improvement are counted in `progress`."""
    progress.waited += 1
    if value < progress.reference - min_delta:
        progress.reference, progress.waited = value, 0
    if value >= progress.best and not last:
        return False
    progress.best, progress.best_step, progress.best_epoch = value, progress.step, math.ceil(epoch)
    return True

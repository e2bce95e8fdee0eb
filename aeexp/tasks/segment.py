"""The target is a mask."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from aeexp.contracts import Likelihood, Task
from aeexp.errors import UsageError
from aeexp.types import Batch, Facts

VOID = 255  # of bytes: the usual value of pixels without a class


@final
class Segment(Task):
    """The target is the row's mask, (B, 1, H, W): class c of C as c / (C - 1), the levels of bernoulli and categorical.

    Masks hold class numbers from 0 on; C is the number of `names`, else one more than the largest. Masks of two
    values, 0 and 255 say, have class 0 and 1. A pixel of value `ignore` has no class: its target is -1, and it counts
    in no loss and no metric. The code is that of the picture; what noise does is done to the picture alone.
    """

    masks: ClassVar = True
    names: tuple[str, ...]
    classes: int

    def __init__(self, ignore: int | None = None, names: list[str] | None = None):
        super().__init__()
        if names is not None and (len(names) < 2 or len(set(names)) < len(names)):
            raise UsageError(f"names={names}: name two classes or more, each once")
        self.ignore = ignore
        self.names = tuple(map(str, names or ()))

    def adapt(self, facts: Facts) -> None:
        """Which values the masks take, and how many classes these are. Raises UsageError where they are none."""
        way = "take dataset=textured_digits, or name the data's masks by dataset.target"
        if not facts.target:
            raise UsageError(f"task=segment needs masks: {way}")
        wanted = tuple(facts.shape[1:])
        if len(facts.shape) != 3 or facts.target not in (wanted, (1, *wanted)):
            raise UsageError(
                f"task=segment needs pictures with masks of their size, not rows of shape {facts.shape} with "
                f"targets of shape {facts.target}: {way}"
            )
        values = [value for value in facts.values if value != self.ignore]
        if not values:
            raise UsageError("task=segment needs masks of whole numbers, one for each class; these are none")
        if self.ignore is None and not self.names and values[-1] == VOID and 2 < len(values) < VOID // 2:
            raise UsageError(
                f"ignore=null: the masks hold the values {_list_values(values[:-1])} and {VOID}, which means no class "
                f"in most sets: set task.ignore={VOID}, or name the classes by task.names"
            )
        two = len(values) == 2 and len(self.names or values) == 2
        self.first, self.step = (values[0], values[1] - values[0]) if two else (0, 1)
        self.classes = 2 if two else len(self.names or range(values[-1] + 1))
        key = f"names={list(self.names)}" if self.names and len(values) > 1 else f"ignore={self.ignore}"
        about = f"{key}: the masks hold the values {_list_values(values)}"
        if len(values) < 2 or self.classes < 2 or (not two and values[0] < 0):
            raise UsageError(f"{about}: two classes or more are needed, from 0 on")
        if not two and values[-1] >= self.classes:
            raise UsageError(
                f"{about}, which are no numbers of {self.classes} classes: name as many as there are, or set "
                "task.ignore"
            )
        self.levels = self.classes
        self.names = self.names or tuple(str(self.first + self.step * number) for number in range(self.classes))
        self.shape = (1, *wanted)

    def target_shape(self, row: tuple[int, ...]) -> tuple[int, ...]:
        """One plane of the picture's size."""
        return (1, *row[1:])

    def forward(self, batch: Batch) -> Batch:
        """The batch with its masks, as values from 0 to 1, for target."""
        mask = batch.targets.to(batch.x.dtype)
        target = (mask - self.first) / (self.step * (self.classes - 1))
        if self.ignore is not None:
            target = torch.where(mask == self.ignore, -1.0, target)
        return batch._replace(target=target.reshape(-1, *self.shape))

    def check(self, likelihood: Likelihood) -> None:
        """Raises UsageError where the likelihood does not speak of as many classes."""
        way = "categorical" if self.classes > 2 else "bernoulli"
        way += f" likelihood.levels={self.classes}" if self.classes > 2 else ""
        if likelihood.levels != self.classes:
            raise UsageError(f"task=segment: the masks have {self.classes} classes: take likelihood={way}")

    def truth(self, target: Tensor) -> Tensor:
        """(B, H, W) int64 classes of a target as this task gives it; -1 where there is none."""
        return torch.where(target < 0, -1, (target * (self.classes - 1)).round().long()).squeeze(1)

    def predict(self, likelihood: Likelihood, output: Tensor) -> Tensor:
        """(B, H, W) int64 the most probable class of each pixel."""
        return (likelihood.mode(output) * (self.classes - 1)).round().long().squeeze(1)

    def picture(self, likelihood: Likelihood, output: Tensor) -> Tensor:
        """(B, 1, H, W) the most probable class c of C as c / (C - 1): classes have no mean."""
        return likelihood.mode(output)

    def error(self, likelihood: Likelihood, output: Tensor, batch: Batch) -> Tensor:
        """(B,) how many pixels that have a class are given another one."""
        truth = self.truth(batch.targets)
        return ((self.predict(likelihood, output) != truth) & (truth >= 0)).flatten(1).sum(1).float()


def _list_values(values: list[int]) -> str:
    return ", ".join(map(str, values[:12])) + (", ..." if len(values) > 12 else "")

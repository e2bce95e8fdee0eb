"""The records that pass between the parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, final

import torch
from torch import Tensor


@final
class Batch(NamedTuple):
    """One mini-batch, or a whole split. An absent field is None; an unlabelled row has y == -1."""

    x: Tensor  # (B, *shape) float32
    y: Tensor | None = None  # (B,) int64 label
    s: Tensor | None = None  # (B,) or (B, F) attributes or ground-truth factors
    target: Tensor | None = None  # (B, *shape) what the output is compared with; set by the task
    mask: Tensor | None = None  # (B, T) which steps of a padded sequence are real
    ids: Tensor | None = None  # (B,) row numbers in the source: what a row draws for itself follows from them
    hole: Tensor | None = None  # (B, *shape) bool: what the task took away from x
    weight: Tensor | None = None  # (B,) what a row counts in a mean over rows, 1 on average; None: all alike
    label_weight: Tensor | None = None  # (B,) what it counts in a mean over the labelled rows of its split
    response: Tensor | None = None  # (B,) float32, in place of y: the number to predict, NaN where it is not known
    whole: int | None = None  # rows of the batch of which these are one process's share; None: they are all of it

    @property
    def rows(self) -> int:
        """Of the whole batch, whoever has them."""
        return len(self.x) if self.whole is None else self.whole

    @property
    def labels(self) -> Tensor:
        """`y`, of a batch that has labels."""
        return _present(self.y, "labels")

    @property
    def label_weights(self) -> Tensor:
        """(B,) N / labelled rows of the split, 0 without a label: the mean over all rows of this times a value is the
        mean of the value over the labelled rows. A batch that comes from no split is taken for the whole of one."""
        if self.label_weight is not None:
            return self.label_weight
        known = find_known(self.y, self.response)
        known = _present(known, "labels").to(self.x)
        return known * (len(known) / known.sum().clamp(min=1))

    @property
    def responses(self) -> Tensor:
        """`response`, of a batch that has numbers to predict."""
        return _present(self.response, "numbers to predict")

    @property
    def attributes(self) -> Tensor:
        """`s`, of a batch that has attributes."""
        return _present(self.s, "attributes")

    @property
    def targets(self) -> Tensor:
        """`target`, of a batch that went through the task or whose rows have one."""
        return _present(self.target, "targets")

    def change(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with every field that is there put through `function`."""
        fields = (None if field is None else function(field) for field in self[1:-1])
        return Batch(function(self.x), *fields, whole=self.whole)

    def join(self, other: Batch) -> Batch:
        """The rows of this batch and behind them those of another one, which has the same fields."""
        pairs = zip(self[1:-1], other[1:-1], strict=True)
        rest = (None if one is None or two is None else torch.cat([one, two]) for one, two in pairs)
        return Batch(torch.cat([self.x, other.x]), *rest, whole=None)


@final
class Share(NamedTuple):
    """Which rows of each batch one of several processes takes."""

    rank: int = 0
    size: int = 1  # processes

    def find(self, rows: int) -> tuple[int, int]:
        """Of so many rows the first one, and the one behind the last; the first processes have one row more."""
        least, more = divmod(rows, self.size)
        first = self.rank * least + min(self.rank, more)
        return first, first + least + (self.rank < more)

    def take(self, rows: int) -> tuple[int, int]:
        """The same, but one row, which counts nothing, where there are fewer rows than processes."""
        first, last = self.find(rows)
        return (first, last) if last > first else (0, 1)


ALL = Share()


@final
class Facts(NamedTuple):
    """What a model must know of its data before it is built."""

    shape: tuple[int, ...]  # of one row
    classes: int = 0
    codes: int = 0  # values of an attribute that is a number from 0 on, (B,)
    columns: int = 0  # of attributes that are quantities, (B, F)
    target: tuple[int, ...] = ()  # of the target that a row comes with, such as a mask (H, W)
    values: tuple[int, ...] = ()  # that those targets take, where they are whole numbers; at most 1000
    response: tuple[float, float] | None = None  # mean and deviation of the number to predict; None: there is none
    tokens: int = 0  # kinds of steps of text; 0: rows are no text

    def explain_labels(self, name: str, instead: str) -> str:
        """Why `name` has no classes to act on, and the way out, which is `instead` where the labels are no numbers."""
        if self.response is not None:
            return f"{name} needs classes, and the labels of these data are numbers: drop {name}"
        return f"{name} needs labelled data with at least 2 classes: {instead}"

    def explain_attributes(self) -> str:
        """Why there is no single attribute of numbered values, and the way to one: the end of a message."""
        example = "name one of categories, as in dataset.attributes=[sex]"
        if self.columns > 1:
            return f"there are {self.columns} attributes side by side, and one is needed: {example}"
        if self.columns == 1:
            return f"the attribute is a quantity, not one of numbered values (0, 1, ...): {example}"
        if self.codes:
            return f"the attribute has the same value in all rows: {example}"
        return f"there is no attribute: {example}, or take another data set"


@final
class Code(NamedTuple):
    """What a latent makes of the encoder's output."""

    z: Tensor  # (B, D) what the decoder gets
    mean: Tensor  # (B, D) what probes and plots see: deterministic
    posterior: Any = None  # q(z|x), if the latent is stochastic; books.Nearest is the one-hot one of vq
    losses: dict[str, Tensor] = {}  # terms that nothing can replace (VQ commitment), each (B,) or ()
    skips: tuple[Tensor, ...] = ()  # (B, C, H, W) maps that go round the code from encoder to decoder (unet)
    before: Tensor | None = None  # (B, D) of a sparse code: its units before most of them became 0


@final
class Pass(NamedTuple):
    """Everything that one forward pass produced; penalties read it, none changes it."""

    batch: Batch
    x: Tensor  # (B, *shape) what the encoder saw: corrupted in training
    context: Tensor | None  # (B, C) side information for encoder and decoder
    code: Code
    output: Tensor  # (B, *shape) parameters of the likelihood, as the decoder gave them


def find_known(y: Tensor | None, response: Tensor | None) -> Tensor | None:
    """(B,) bool: which rows are labelled, by a class or a number; None where none can be."""
    if y is not None:
        return y >= 0
    return None if response is None else ~response.isnan()


def _present(field: Tensor | None, name: str) -> Tensor:
    if field is None:
        raise ValueError(f"a batch without {name} came where they are needed")
    return field


Terms = dict[str, Tensor]  # of a loss by name, each (B,) or ()

"""Side information that encoder and decoder get beside picture and code."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.errors import UsageError
from aeexp.types import Batch, Facts


class Unconditional(nn.Module):
    """No side information: the null object of the group."""

    size = 0

    def sized(self, facts: Facts) -> None:
        """Called once, when the data is known; `size` is the width of the context from then on."""

    def forward(self, batch: Batch) -> None:
        return None


class Label(nn.Module):
    """The label, one-hot (B, classes); zeros where a row is unlabelled."""

    size = 0
    reads_label = True

    def sized(self, facts: Facts) -> None:
        if not facts.classes >= 2:
            raise UsageError("condition=label needs labelled data with at least 2 classes: take condition=none")
        self.size = facts.classes

    def forward(self, batch: Batch) -> Tensor:
        known = (batch.y >= 0).unsqueeze(1)
        return F.one_hot(batch.y.clamp(min=0), self.size).to(batch.x.dtype) * known


class Attribute(nn.Module):
    """The attribute: one-hot (B, values) where it is a number from 0 on, else the quantities (B, F) as they are."""

    size = 0
    coded = False

    def sized(self, facts: Facts) -> None:
        self.coded = facts.codes > 0
        self.size = facts.codes or facts.columns
        if self.size < 1:
            raise UsageError(
                "condition=attribute needs data with attributes: take condition=none, or name some in the dataset"
            )

    def forward(self, batch: Batch) -> Tensor:
        if self.coded:
            return F.one_hot(batch.s.long(), self.size).to(batch.x.dtype)
        return batch.s.view(len(batch.x), -1).to(batch.x.dtype)

"""Side information that the decoder gets beside the code, and the encoder, where it is told, beside the picture."""

from __future__ import annotations

from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor

from aeexp.contracts import Condition
from aeexp.errors import UsageError
from aeexp.types import Batch, Facts


@final
class Unconditional(Condition):
    """No side information: the null object of the group."""

    def forward(self, batch: Batch) -> None:
        """Nothing."""


@final
class Label(Condition):
    """The label, one-hot (B, classes); zeros where a row is unlabelled. `encoder` False: for the decoder alone."""

    reads_label: ClassVar = True

    def __init__(self, encoder: bool = True):
        super().__init__()
        self.encoder = encoder

    def adapt(self, facts: Facts) -> None:
        """As wide as there are classes. Raises UsageError on data without labels."""
        if facts.classes < 2:
            raise UsageError(facts.explain_labels("condition=label", "take condition=none"))
        self.size = facts.classes

    def forward(self, batch: Batch) -> Tensor:
        """(B, classes)."""
        known = (batch.labels >= 0).unsqueeze(1)
        return F.one_hot(batch.labels.clamp(min=0), self.size).to(batch.x.dtype) * known


@final
class Attribute(Condition):
    """The attribute: one-hot (B, values) where it is a number from 0 on, else the quantities (B, F) as they are.

    `encoder` False: for the decoder alone. An encoder that is told can write the attribute into the code, where a probe
    reads it better than from the picture; one that is not told cannot.
    """

    reads_attribute: ClassVar = True
    coded = False

    def __init__(self, encoder: bool = True):
        super().__init__()
        self.encoder = encoder

    def adapt(self, facts: Facts) -> None:
        """As wide as there are values or quantities. Raises UsageError on data without attributes."""
        self.coded = facts.codes > 0
        self.size = facts.codes or facts.columns
        if self.size < 1:
            raise UsageError(
                "condition=attribute needs data with attributes: take condition=none, or name some in the dataset"
            )

    def forward(self, batch: Batch) -> Tensor:
        """(B, values) or (B, F)."""
        if self.coded:
            return F.one_hot(batch.attributes.long(), self.size).to(batch.x.dtype)
        return batch.attributes.view(len(batch.x), -1).to(batch.x.dtype)

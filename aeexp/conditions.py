"""Side information that encoder and decoder get beside picture and code."""

from __future__ import annotations

from torch import nn

from aeexp.types import Batch


class Unconditional(nn.Module):
    """No side information: the null object of the group."""

    size = 0

    def forward(self, batch: Batch) -> None:
        return None

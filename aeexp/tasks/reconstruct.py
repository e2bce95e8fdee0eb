"""The target is the input itself."""

from __future__ import annotations

from torch import nn

from aeexp.types import Batch


class Reconstruct(nn.Module):
    """The target is the input itself."""

    def forward(self, batch: Batch) -> Batch:
        return batch._replace(target=batch.x)

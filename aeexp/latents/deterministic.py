"""Codes that are a plain function of the encoder's output."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from aeexp.contracts import Latent
from aeexp.ranges import Count
from aeexp.types import Code


@final
class Deterministic(Latent):
    """The encoder's output is the code, (B, dim) (Hinton and Salakhutdinov 2006).

    Formula: z = f(x)

    Look at: error over latent.dim, with PCA beside it: the gap is what is not linear.
    """

    def __init__(self, dim: Count):
        super().__init__(dim)

    def forward(self, h: Tensor) -> Code:
        """z = h, (B, dim)."""
        return Code(z=h, mean=h)


@final
class Sigmoid(Latent):
    """Units squashed to (0, 1), so that an activation can be read as a firing rate (Rumelhart et al. 1986).

    Formula: z_j = 1 / (1 + exp(-h_j))

    Look at: units that are always 0 or 1 (latent/dead_units).
    """

    range: ClassVar = (0.0, 1.0)

    def __init__(self, dim: Count):
        super().__init__(dim)

    def forward(self, h: Tensor) -> Code:
        """z = sigmoid(h), (B, dim)."""
        z = torch.sigmoid(h)
        return Code(z=z, mean=z)

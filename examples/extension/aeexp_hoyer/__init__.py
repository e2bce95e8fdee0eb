"""A penalty on the Hoyer ratio of a code."""

from __future__ import annotations

from typing import final

from torch import Tensor

from aeexp.contracts import Model, Regularizer
from aeexp.ranges import NonNegative
from aeexp.types import Pass

__version__ = "0.1.0"


@final
class Hoyer(Regularizer):
    """The ratio of the code's two norms, which does not grow with its scale (Hoyer 2004, section 3.1).

    Formula: Σ_j |z_j| / √(Σ_j z_j²)

    Look at: plot=activations: few units are on for a row, and their size is not the price.
    """

    def __init__(self, weight: NonNegative = 0.1):
        super().__init__(weight)

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) between 1, one unit alone, and the root of their number, all alike."""
        z = out.code.mean
        return z.abs().sum(1) / (z.square().sum(1) + 1e-8).sqrt()

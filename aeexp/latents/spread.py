"""What keeps the encoder's numbers spread over the cells of a fixed grid."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from aeexp.contracts import Examples, Model, Part
from aeexp.types import Pass

ROWS = 1024  # of the training split
DECAY = 0.97  # of mean and variance, each step
TINY = 1e-12  # variance of a unit that is the same number in all rows, but for rounding


@final
class Spread(Part):
    """Standardises the encoder's numbers (B, D) by running means and variances, which begin as those of training rows
    (Ioffe and Szegedy 2015, with the averages in place of the batch's own numbers, so that no row depends on another).

    Before the first step all rows may lie within one cell, whose code is the same for all: relu units behind the level
    0 pass no gradient, and nothing leaves it. A start alone does not hold: the mean of all rows, which networks learn
    first, moves all codes into the outermost cell. `width` neighbouring units are a token; tokens share the averages,
    unit by unit. Weights of another run (`init.from`) keep those that they came with.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.width = width
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, h: Tensor) -> Tensor:
        """(B, D) standardised."""
        return ((h.unflatten(-1, (-1, self.width)) - self.mean) * self.variance.rsqrt()).flatten(-2)

    def begin(self, model: Model, split: Examples) -> None:
        """The averages become those of training rows."""
        batches = split.sample(ROWS).batches(ROWS)
        codes = (model.encode(batch.x, model.condition(batch), batch.mask) for batch in batches)
        self._move(torch.cat([code.posterior.before for code in codes]), 1.0)

    def observe(self, out: Pass) -> None:
        """The averages follow the encoder."""
        self._move(out.code.posterior.before, 1 - DECAY)

    def _move(self, before: Tensor, rate: float) -> None:
        """Towards the moments of (B, T, width)."""
        self.mean.lerp_(before.mean((0, 1)), rate)
        variance = self.variance.lerp((before - self.mean).square().mean((0, 1)), rate)
        self.variance.copy_(torch.where(variance > TINY, variance, 1.0))

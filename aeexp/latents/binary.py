"""Codes of bits, softened in training."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
from torch import Tensor

from aeexp.contracts import Capacity, Examples, Latent, Model, Moves
from aeexp.errors import UsageError
from aeexp.ranges import Count, NonNegative
from aeexp.types import Code, Pass

SURE = 0.1  # a unit this near to 0 or 1 has made up its mind


@final
class Binary(Latent):
    """Bits, for semantic hashing (Salakhutdinov and Hinton 2009, section 3).

    In training z is a sigmoid of the encoder's output plus Gaussian noise: only units far from 0 on either side carry
    anything through it. Its standard deviation grows from `start` to `noise` over `warmup_steps`, linearly, for noise
    that is large at once leaves nothing to learn from. `mean` is the sigmoid without noise. In evaluation both are
    bits, 0 or 1, thresholded at an even chance: what the decoder is judged by is what an index stores.

    Formula: training: z = 1 / (1 + exp(-(h + σ ε))); evaluation: z = 1 where h > 0, else 0

    Look at: retrieval/map beside ITQ's, and the share of undecided units in history.csv.
    """

    range: ClassVar = (0.0, 1.0)
    constrained: ClassVar = True
    path: ClassVar = "bit by bit"
    start: Tensor
    noise: Tensor
    current: Tensor
    undecided: Tensor

    def __init__(self, *, dim: Count, noise: NonNegative = 4.0, start: NonNegative = 0.0, warmup_steps: Count = 1000):
        super().__init__(dim)
        if not start <= noise < math.inf:
            raise UsageError(f"noise={noise} must not be below latent.start={start}: it grows")
        self.warmup_steps = warmup_steps
        self.register_buffer("start", torch.tensor(float(start)))
        self.register_buffer("noise", torch.tensor(float(noise)))
        self.register_buffer("current", torch.tensor(float(start)))
        self.register_buffer("undecided", torch.tensor(1.0))

    def forward(self, h: Tensor) -> Code:
        """In training relaxed bits, from h (B, dim); in evaluation bits."""
        if not self.training:
            bits = (h > 0).to(h)
            return Code(z=bits, mean=bits)
        return Code(z=torch.sigmoid(h + self.current * torch.randn_like(h)), mean=torch.sigmoid(h))

    def before_step(self, model: Model, split: Examples, step: int) -> None:
        """The noise grows."""
        share = min(1.0, step / self.warmup_steps)
        self.current.copy_(self.start + share * (self.noise - self.start))

    def observe(self, out: Pass) -> None:
        """Counts units that have not made up their mind."""
        self.undecided.copy_(((out.code.mean - 0.5).abs() < 0.5 - SURE).to(self.undecided).mean())

    def readings(self) -> dict[str, Tensor]:
        """Standard deviation of the noise; share of the batch's units that without it lie between 0.1 and 0.9."""
        return {"code_noise": self.current, "undecided_units": self.undecided}

    def capacity(self) -> Capacity:
        """A bit each unit."""
        return Capacity(self.dim, bits=self.dim)

    def project(self, z: Tensor) -> Tensor:
        """(..., D) the nearest bits."""
        return (z > 0.5).to(z)

    def between(self, a: Tensor, b: Tensor, share: Tensor) -> Tensor:
        """(..., D) on the way from bits a to bits b: the first of those that differ are b's, that share of them."""
        differ = a != b
        return torch.where(differ.cumsum(-1) <= share * differ.sum(-1, keepdim=True), b, a)

    def moves(self, codes: Tensor, steps: int) -> Moves:
        """Each bit is set to 0 and to 1."""
        return Moves(values=torch.tensor([[0.0], [1.0]]), names=("0", "1"), caption="the bit")

"""Corruptions of the encoder's input, in training only. Levels are 0-d buffers, so that a sweep can stack them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from aeexp.contracts import Noise
from aeexp.errors import UsageError
from aeexp.holes import block
from aeexp.ranges import NonNegative, Probability


@final
class Chain(Noise):
    """Several corruptions, one after the other; an empty chain is the identity."""

    def __init__(self, noises: Mapping[str, Noise]):
        super().__init__()
        self.noises = nn.ModuleDict(noises)

    @property
    def parts(self) -> dict[str, Noise]:
        """The corruptions by name."""
        return {name: part for name, part in self.noises.items() if isinstance(part, Noise)}

    def forward(self, x: Tensor) -> Tensor:
        """Through every corruption in turn."""
        for noise in self.noises.values():
            x = noise(x)
        return x

    def at(self, level: float) -> Chain:
        """Every corruption at this level."""
        return Chain({name: part.at(level) for name, part in self.parts.items()})

    def on_range(self, low: float, high: float) -> Chain:
        """Every corruption for data from `low` to `high`."""
        return Chain({name: part.on_range(low, high) for name, part in self.parts.items()})


@final
class Gaussian(Noise):
    """Adds normal noise of standard deviation `std`, in units of x (Vincent et al. 2010, section 3.3).

    Formula: x + std ε, ε ~ N(0, I)

    Look at: plot=reconstructions from corrupted input; filters, which grow local.
    """

    level: ClassVar = "std"
    highest: ClassVar = math.inf
    std: Tensor

    def __init__(self, std: NonNegative):
        super().__init__()
        self.register_buffer("std", torch.tensor(float(std)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, *shape) with noise added."""
        return x + self.std * torch.randn_like(x)


@final
class Masking(Noise):
    """Sets each feature to 0 with probability `p` (Vincent et al. 2010, section 3.3).

    Formula: x_i m_i, m_i ~ Bernoulli(1 - p)

    Look at: plot=reconstructions from corrupted input; the probe over p, which has a best value.
    """

    level: ClassVar = "p"
    p: Tensor

    def __init__(self, p: Probability):
        super().__init__()
        self.register_buffer("p", torch.tensor(float(p)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, *shape) with some features at 0."""
        return x * (torch.rand_like(x) >= self.p)


@final
class SaltPepper(Noise):
    """Sets each feature with probability `p` to `low` or `high`, by a fair coin (Vincent et al. 2010).

    Formula: x_i with probability 1 - p, else low or high

    Look at: plot=reconstructions from corrupted input.
    """

    level: ClassVar = "p"
    p: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, p: Probability, low: float = 0.0, high: float = 1.0):
        super().__init__()
        if not low < high:
            raise UsageError(f"low={low} must lie below high={high}")
        for name, value in (("p", p), ("low", low), ("high", high)):
            self.register_buffer(name, torch.tensor(float(value)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, *shape) with some features at either end."""
        u = torch.rand_like(x)
        extreme = torch.where(u < self.p / 2, self.low, self.high)
        return torch.where(u < self.p, extreme, x)

    def on_range(self, low: float, high: float) -> SaltPepper:
        """Salt and pepper are the ends of the range."""
        return SaltPepper(float(self.p), low, high) if low < high else self


@final
class Block(Noise):
    """Sets one block at a random place of each row to 0: `size` is its share of every side (Pathak et al. 2016).

    Pictures (B, C, H, W) lose round(size H) x round(size W) pixels in all channels, sequences (B, T, F)
    round(size T) neighbouring steps, vectors (B, D) round(size D) neighbouring features.

    Formula: x_i outside of the block, 0 inside

    Look at: plot=reconstructions: whether the hole is filled from what surrounds it.
    """

    level: ClassVar = "size"
    size: Tensor

    def __init__(self, size: Probability):
        super().__init__()
        self.register_buffer("size", torch.tensor(float(size)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, *shape) with one block of each row at 0."""
        return x * ~block(torch.rand(x.shape[0], 2, device=x.device), x, self.size)

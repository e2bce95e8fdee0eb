"""Corruptions of the encoder's input, in training only. Levels are 0-d buffers, so that a sweep can stack them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from aeexp.errors import UsageError
from aeexp.holes import block


class Chain(nn.Module):
    """Several corruptions, one after the other; an empty chain is the identity."""

    def __init__(self, noises: Mapping[str, nn.Module]):
        super().__init__()
        self.noises = nn.ModuleDict(noises)

    def forward(self, x: Tensor) -> Tensor:
        for noise in self.noises.values():
            x = noise(x)
        return x


class Gaussian(nn.Module):
    """Adds normal noise of standard deviation `std`, in units of x (Vincent et al. 2010, section 3.3).

    Formula: x + std ε, ε ~ N(0, I)

    Look at: plot=reconstructions from corrupted input; filters, which grow local.
    """

    std: Tensor

    def __init__(self, std: float):
        super().__init__()
        if not std >= 0:
            raise UsageError(f"std={std} must not be negative")
        self.register_buffer("std", torch.tensor(float(std)))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.std * torch.randn_like(x)


class Masking(nn.Module):
    """Sets each feature to 0 with probability `p` (Vincent et al. 2010, section 3.3).

    Formula: x_i m_i, m_i ~ Bernoulli(1 - p)

    Look at: plot=reconstructions from corrupted input; the probe over p, which has a best value.
    """

    p: Tensor

    def __init__(self, p: float):
        super().__init__()
        if not 0 <= p <= 1:
            raise UsageError(f"p={p} is no probability: take a value from 0 to 1")
        self.register_buffer("p", torch.tensor(float(p)))

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.rand_like(x) >= self.p)


class SaltPepper(nn.Module):
    """Sets each feature with probability `p` to `low` or `high`, by a fair coin (Vincent et al. 2010).

    Formula: x_i with probability 1 - p, else low or high

    Look at: plot=reconstructions from corrupted input.
    """

    p: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, p: float, low: float = 0.0, high: float = 1.0):
        super().__init__()
        if not 0 <= p <= 1:
            raise UsageError(f"p={p} is no probability: take a value from 0 to 1")
        if not low < high:
            raise UsageError(f"low={low} must lie below high={high}")
        for name, value in (("p", p), ("low", low), ("high", high)):
            self.register_buffer(name, torch.tensor(float(value)))

    def forward(self, x: Tensor) -> Tensor:
        u = torch.rand_like(x)
        extreme = torch.where(u < self.p / 2, self.low, self.high)
        return torch.where(u < self.p, extreme, x)


class Block(nn.Module):
    """Sets one block at a random place of each row to 0: `size` is its share of every side (Pathak et al. 2016).

    Pictures (B, C, H, W) lose round(size H) x round(size W) pixels in all channels, sequences (B, T, F)
    round(size T) neighbouring steps, vectors (B, D) round(size D) neighbouring features.

    Formula: x_i outside of the block, 0 inside

    Look at: plot=reconstructions: whether the hole is filled from what surrounds it.
    """

    size: Tensor

    def __init__(self, size: float):
        super().__init__()
        if not 0 <= size <= 1:
            raise UsageError(f"size={size} is no share of a side: take a value from 0 to 1")
        self.register_buffer("size", torch.tensor(float(size)))

    def forward(self, x: Tensor) -> Tensor:
        return x * ~block(torch.rand(x.shape[0], 2, device=x.device), x, self.size)

"""Distributions over codes. Plain functions of tensors, so that a stack of models can be trained at once."""

from __future__ import annotations

import math
from typing import NamedTuple, final

import torch
from torch import Tensor


@final
class Normal(NamedTuple):
    """A Gaussian with diagonal covariance, over codes (B, D)."""

    mean: Tensor
    log_var: Tensor

    def sample(self, samples: int | None = None) -> Tensor:
        """(B, D), or (K, B, D): mean + scale * noise, so that gradients reach both (Kingma and Welling 2014)."""
        shape = self.mean.shape if samples is None else (samples, *self.mean.shape)
        noise = torch.randn(shape, dtype=self.mean.dtype, device=self.mean.device)
        return self.mean + (0.5 * self.log_var).exp() * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """Nats, (..., B) for codes (..., B, D)."""
        return self.log_prob_units(z).sum(-1)

    def log_prob_units(self, z: Tensor) -> Tensor:
        """Nats of each unit, (..., B, D)."""
        square = (z - self.mean).square() * (-self.log_var).exp()
        return -0.5 * (square + self.log_var + math.log(2 * math.pi))

    def kl_to_standard(self) -> Tensor:
        """(B, D) nats from N(0, 1), unit by unit (Kingma and Welling 2014, appendix B)."""
        return 0.5 * (self.mean.square() + self.log_var.exp() - 1 - self.log_var)

    def detach(self) -> Normal:
        """Without gradient to its parameters."""
        return Normal(self.mean.detach(), self.log_var.detach())

    def pick(self, index: Tensor) -> Normal:
        """Those of these rows."""
        return Normal(self.mean[index], self.log_var[index])


def standard_log_prob(z: Tensor) -> Tensor:
    """(..., B) log density of N(0, I) in nats."""
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)

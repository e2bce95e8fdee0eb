"""Distributions over codes. Plain functions of tensors, so that a stack of models can be trained at once."""

from __future__ import annotations

import math
from typing import NamedTuple, final

import torch
from torch import Tensor

from aeexp.latents.flows import Frozen, Transform
from aeexp.tensors import clamp_through

WIDE = 20.0  # of a log-variance either way: beyond, a float32 variance or its inverse is no number


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

    def draw(self, samples: int) -> tuple[Tensor, Tensor]:
        """(K, B, D) and their nats (K, B)."""
        z = self.sample(samples)
        return z, self.log_prob(z)

    def kl_to_standard(self) -> Tensor:
        """(B, D) nats from N(0, 1), unit by unit (Kingma and Welling 2014, appendix B)."""
        return 0.5 * (self.mean.square() + self.log_var.exp() - 1 - self.log_var)

    def detach(self) -> Normal:
        """Without gradient to its parameters."""
        return Normal(self.mean.detach(), self.log_var.detach())

    def pick(self, index: Tensor) -> Normal:
        """Those of these rows."""
        return Normal(self.mean[index], self.log_var[index])


@final
class Flowed(NamedTuple):
    """What an invertible map, told of each row by `context` (B, C), makes of a Gaussian.

    Of the one code a row that it has drawn it knows the density; that of any other goes through the inverse.
    """

    base: Normal
    flow: Transform
    context: Tensor
    frozen: bool = False  # whether the map's own parameters get no gradient
    drawn: Tensor | None = None  # (B, D)
    nats: Tensor | None = None  # (B,) of `drawn`

    def remember(self) -> Flowed:
        """With a draw, which `sample` gives from then on where one code a row is asked for."""
        z, nats = self.draw(1)
        return self._replace(drawn=z[0], nats=nats[0])

    def sample(self, samples: int | None = None) -> Tensor:
        """(B, D), or (K, B, D)."""
        if samples is None:
            return self.draw(1)[0][0] if self.drawn is None else self.drawn
        return self.draw(samples)[0]

    def draw(self, samples: int) -> tuple[Tensor, Tensor]:
        """(K, B, D) and their nats (K, B)."""
        start = self.base.sample(samples)
        z, log_det = self._go(start, back=False)
        return z, self.base.log_prob(start) - log_det

    def log_prob(self, z: Tensor) -> Tensor:
        """Nats, (..., B) for codes (..., B, D)."""
        if z is self.drawn and self.nats is not None:
            return self.nats
        z = z.expand(torch.broadcast_shapes(z.shape, self.base.mean.shape))
        start, log_det = self._go(z, back=True)
        return self.base.log_prob(start) + log_det

    def detach(self) -> Flowed:
        """Without gradient to its parameters, those of the map among them."""
        return Flowed(self.base.detach(), self.flow, self.context.detach(), frozen=True)

    def pick(self, index: Tensor) -> Flowed:
        """Those of these rows."""
        return Flowed(self.base.pick(index), self.flow, self.context[index], self.frozen)

    def _go(self, x: Tensor, *, back: bool) -> tuple[Tensor, Tensor]:
        if self.frozen:
            return Frozen(self.flow).go(x, self.context, back)
        return self.flow.inverse(x, self.context) if back else self.flow(x, self.context)


def standard_log_prob(z: Tensor) -> Tensor:
    """(..., B) log density of N(0, I) in nats."""
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)


def read_normal(h: Tensor) -> Normal:
    """Of means and log-variances side by side (..., 2 D); these are bounded, and their gradient is not."""
    mean, log_var = h.chunk(2, -1)
    return Normal(mean, clamp_through(log_var, -WIDE, WIDE))

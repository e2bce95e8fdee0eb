"""Distributions over codes that live in a bounded space: directions on a sphere, and groups of one-hot values."""

from __future__ import annotations

import math
from typing import NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Gamma

from aeexp.tensors import digamma_gap, log_gamma_ratio


@final
class PowerSpherical(NamedTuple):
    """Directions about `loc`, density ~ (1 + loc . z)^scale on the unit sphere in D >= 2 (De Cao and Aziz 2020).

    At scale 0 it is the uniform law; a large scale is twice the inverse variance along each tangent. float32 holds
    densities and KL to some 1e-3 nats for scales up to 1e6.
    """

    loc: Tensor  # (B, D), of length 1
    scale: Tensor  # (B,)

    def sample(self, samples: int | None = None) -> Tensor:
        """(B, D), or (K, B, D), of length 1; gradients reach both parameters.

        The paper draws a Beta variate and reflects. The same law is a multivariate t about `loc` in its tangent space,
        put onto the sphere by the inverse stereographic projection, which is smooth in `loc` everywhere.
        """
        shape = self.loc.shape if samples is None else (samples, *self.loc.shape)
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        tangent = noise - (noise * self.loc).sum(-1, keepdim=True) * self.loc
        shapes = ((self.loc.shape[-1] - 1) / 2 + self.scale).expand(shape[:-1])
        drawn = Gamma(shapes, 1.0, validate_args=False).rsample().unsqueeze(-1)
        point = tangent / (2 * drawn).sqrt()
        square = point.square().sum(-1, keepdim=True)
        return (2 * point + (1 - square) * self.loc) / (1 + square)

    def log_prob(self, z: Tensor) -> Tensor:
        """Nats, (..., B) for codes (..., B, D) of length 1, against the sphere's area."""
        half = (self.loc.shape[-1] - 1) / 2
        # (1 + loc . z) / 2 by the distance: no cancellation near loc. The opposite pole, where the density is 0, is
        # kept just above.
        away = ((z - self.loc).square().sum(-1) / 4).clamp(max=1 - 1e-7)
        return self.scale * torch.log1p(-away) + log_gamma_ratio(half + self.scale, half) - half * math.log(4 * math.pi)

    def draw(self, samples: int) -> tuple[Tensor, Tensor]:
        """(K, B, D) and their nats (K, B)."""
        z = self.sample(samples)
        return z, self.log_prob(z)

    def entropy(self) -> Tensor:
        """(B,) nats (section 2.3 of the paper)."""
        half = (self.loc.shape[-1] - 1) / 2
        gain = log_gamma_ratio(half + self.scale, half) - self.scale * digamma_gap(half + self.scale, half)
        return half * math.log(4 * math.pi) - gain

    def kl_to_uniform(self) -> Tensor:
        """(B, 1) nats: the entropy that the uniform law has more."""
        return (sphere_area(self.loc.shape[-1]) - self.entropy()).unsqueeze(-1)

    def detach(self) -> PowerSpherical:
        """Without gradient to its parameters."""
        return PowerSpherical(self.loc.detach(), self.scale.detach())

    def pick(self, index: Tensor) -> PowerSpherical:
        """Those of these rows."""
        return PowerSpherical(self.loc[index], self.scale[index])


@final
class Categorical(NamedTuple):
    """G groups, each one of C values; a code is their one-hot vectors side by side, (B, G * C).

    `relaxed` draws are those of a softmax under Gumbel noise (Jang et al. 2017, Maddison et al. 2017), near one-hot at
    a low temperature and differentiable; `hard` makes them one-hot on the way forward and keeps the gradient
    (straight-through). Without `relaxed`, draws are exact and have no gradient.
    """

    logits: Tensor  # (B, G, C)
    temperature: Tensor  # ()
    relaxed: bool
    hard: bool

    def sample(self, samples: int | None = None) -> Tensor:
        """(B, G * C), or (K, B, G * C)."""
        shape = self.logits.shape if samples is None else (samples, *self.logits.shape)
        uniform = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        noise = -(-uniform.clamp(min=torch.finfo(uniform.dtype).tiny).log()).log()
        noisy = self.logits + noise
        if not self.relaxed:
            return one_hot(noisy).flatten(-2)
        soft = (noisy / self.temperature).softmax(-1)
        if self.hard:
            soft = one_hot(soft) + (soft - soft.detach())  # in this order the value is one-hot to the last bit
        return soft.flatten(-2)

    def log_prob(self, z: Tensor) -> Tensor:
        """Nats, (..., B) for one-hot codes (..., B, G * C).

        Of a relaxed code it is the mean over its weights, linear in z; no density of the relaxed law.
        """
        return (z.unflatten(-1, self.logits.shape[-2:]) * self.logits.log_softmax(-1)).sum((-2, -1))

    def draw(self, samples: int) -> tuple[Tensor, Tensor]:
        """(K, B, G * C) and their `log_prob` (K, B)."""
        z = self.sample(samples)
        return z, self.log_prob(z)

    def probabilities(self) -> Tensor:
        """(B, G * C)"""
        return self.logits.softmax(-1).flatten(-2)

    def kl_to_uniform(self) -> Tensor:
        """(B, G) nats, group by group."""
        log_probabilities = self.logits.log_softmax(-1)
        return (log_probabilities.exp() * log_probabilities).sum(-1) + math.log(self.logits.shape[-1])

    def detach(self) -> Categorical:
        """Without gradient to its parameters."""
        return self._replace(logits=self.logits.detach())

    def pick(self, index: Tensor) -> Categorical:
        """Those of these rows."""
        return self._replace(logits=self.logits[index])


def unit(z: Tensor) -> Tensor:
    """(..., D) scaled to length 1; what has no direction becomes the first axis."""
    lost = z.square().sum(-1, keepdim=True) == 0
    z = z + F.pad(lost.to(z.dtype), (0, z.shape[-1] - 1))
    return z / z.norm(dim=-1, keepdim=True)


def one_hot(values: Tensor) -> Tensor:
    """(..., C): 1 at the largest, the first of several, and 0 elsewhere."""
    places = torch.arange(values.shape[-1], device=values.device)
    return (values.argmax(-1, keepdim=True) == places).to(values.dtype)


def sphere_area(dim: int) -> float:
    """log of the area of the unit sphere in R^dim, which is the entropy of its uniform law in nats."""
    return math.log(2) + dim / 2 * math.log(math.pi) - math.lgamma(dim / 2)

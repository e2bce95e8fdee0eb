"""Stochastic codes that live in a bounded space, with the uniform law as their own prior."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from aeexp.contracts import Capacity, Examples, Latent, Model, Moves, Prior
from aeexp.errors import UsageError
from aeexp.latents.bounded_posteriors import Categorical as OneHots
from aeexp.latents.bounded_posteriors import PowerSpherical, one_hot, sphere_area, unit
from aeexp.ranges import Count, Positive, Several
from aeexp.tensors import clamp_through
from aeexp.types import Code

LEVELS = 20  # values of a group that a traversal shows


@final
class Hyperspherical(Latent):
    """A direction on the unit sphere, drawn about the encoder's (Davidson et al. 2018; De Cao and Aziz 2020).

    The encoder gives a direction and one concentration, softplus + 1 as in the authors' code: a code cannot become the
    prior altogether. `mean` is the direction drawn about, of length 1, not the shorter mean vector.

    Formula: q(z|x) ∝ (1 + μ(x)·z)^κ(x) on |z| = 1 (power spherical)

    Look at: the KL beside a Gaussian's of equal width: in few dimensions a sphere has no empty centre.
    """

    range: ClassVar = (-1.0, 1.0)
    space: ClassVar = "sphere"
    unstackable: ClassVar = "a draw on the sphere is made of Gamma variates, which have no vmap rule"
    constrained: ClassVar = True

    def __init__(self, dim: Several, prior: Prior):
        super().__init__(dim, dim + 1, prior)
        self.unit_variance = 1 / dim  # of each unit under the uniform law

    def forward(self, h: Tensor) -> Code:
        """Directions drawn about the encoder's, from h (B, dim + 1)."""
        loc = unit(h[..., :-1])
        scale = clamp_through(F.softplus(h[..., -1]) + 1, high=1e6)  # beyond, float32 cannot tell the codes apart
        posterior = PowerSpherical(loc, scale)
        return Code(z=posterior.sample(), mean=loc, posterior=posterior)

    def project(self, z: Tensor) -> Tensor:
        """(..., D) the nearest point of the sphere."""
        return unit(z)

    def uniform(self, n: int, like: Tensor) -> Tensor:
        """(n, D) directions, each as probable as any other."""
        return unit(torch.randn(n, self.dim, dtype=like.dtype, device=like.device))

    def uniform_log_prob(self, z: Tensor) -> Tensor:
        """(..., B) nats."""
        return z.new_full(z.shape[:-1], -sphere_area(self.dim))


@final
class Categorical(Latent):
    """Groups of `classes` one-hot units, dim in all (Jang et al. 2017; Maddison et al. 2017).

    In training a code is relaxed: a softmax under Gumbel noise, whose temperature falls from `temperature` to
    `final_temperature` over `anneal_steps`, each step by the same factor; `hard` makes it one-hot on the way forward
    (straight-through). In evaluation it is drawn exactly, so that the loss is a proper ELBO, which the relaxed loss of
    training is not. `mean` are the probabilities: what probes see and what reconstructions start from, one-hot only
    where the encoder is sure.

    Formula: z = softmax((log p + g) / T) in each group, g Gumbel noise, T the temperature

    Look at: KL of each group, and the gap between training (relaxed) and validation (drawn).
    """

    range: ClassVar = (0.0, 1.0)
    space: ClassVar = "onehot"
    constrained: ClassVar = True
    reparameterized: ClassVar = False  # draws of training are not of the law whose log_prob stands in the bound
    start: Tensor
    final: Tensor
    current: Tensor

    def __init__(
        self,
        dim: Count,
        prior: Prior,
        classes: Several = 8,
        temperature: Positive = 1.0,
        final_temperature: Positive = 0.5,
        anneal_steps: Count = 1000,
        hard: bool = False,
    ):
        if dim < classes or dim % classes != 0:
            raise UsageError(
                f"dim={dim} is no multiple of latent.classes={classes}: take "
                f"latent.dim={classes * max(1, dim // classes)} "
                "or other classes"
            )
        if not 0 < final_temperature <= temperature:
            raise UsageError(
                f"final_temperature={final_temperature} must lie above 0 and not above latent.temperature={temperature}"
            )
        super().__init__(dim, prior=prior)
        self.classes = classes
        self.anneal_steps = anneal_steps
        self.hard = hard
        self.unit_variance = (1 - 1 / classes) / classes  # of each unit under the uniform law
        self.register_buffer("start", torch.tensor(float(temperature)))
        self.register_buffer("final", torch.tensor(float(final_temperature)))
        self.register_buffer("current", torch.tensor(float(temperature)))

    def before_step(self, model: Model, split: Examples, step: int) -> None:
        """The temperature falls."""
        share = min(1.0, step / self.anneal_steps)
        self.current.copy_(self.start * (self.final / self.start) ** share)

    def forward(self, h: Tensor) -> Code:
        """Relaxed groups in training, drawn ones in evaluation, from logits h (B, dim)."""
        posterior = OneHots(h.unflatten(-1, (-1, self.classes)), self.current, self.training, self.hard)
        return Code(z=posterior.sample(), mean=posterior.probabilities(), posterior=posterior)

    def project(self, z: Tensor) -> Tensor:
        """(..., D) each group's largest unit becomes 1, the others 0."""
        return one_hot(z.unflatten(-1, (-1, self.classes))).flatten(-2)

    def capacity(self) -> Capacity:
        """The value of each group, as it is drawn, in bits that are rounded up.

        Probabilities of an encoder that is not sure say more than that, which no draw does.
        """
        return Capacity(self.dim, bits=math.ceil(self.dim // self.classes * math.log2(self.classes)))

    def uniform(self, n: int, like: Tensor) -> Tensor:
        """(n, D) one-hot groups, each value as probable as any other."""
        return self.project(torch.rand(n, self.dim, dtype=like.dtype, device=like.device))

    def uniform_log_prob(self, z: Tensor) -> Tensor:
        """(..., B) nats."""
        return z.new_full(z.shape[:-1], -(self.dim // self.classes) * math.log(self.classes))

    def moves(self, codes: Tensor, steps: int) -> Moves:
        """Each group is set to each of its values, the first `LEVELS`."""
        values = torch.eye(self.classes)[:LEVELS]
        few = "" if len(values) == self.classes else f", the first {LEVELS} of {self.classes}"
        names = tuple(str(i + 1) for i in range(len(values)))
        return Moves(self.classes, "group", values, names, f"value of the group{few}")

"""A Gaussian code, the stochastic one of the VAE, and what its Gaussian may be bent to."""

from __future__ import annotations

from typing import final

from torch import Tensor

from aeexp.contracts import Family, Latent, Prior
from aeexp.latents.families import Diagonal
from aeexp.ranges import Count
from aeexp.types import Code


@final
class Gaussian(Latent):
    """A sample of N(mean, diag(variance)), both from the encoder (Kingma and Welling 2014).

    In training and in evaluation z is drawn; `mean` is what probes see and what reconstructions start from. `posterior`
    says what becomes of the draw: nothing (diagonal), or a flow bends it to another law.

    Formula: z = μ(x) + σ(x) ε, ε ~ N(0, I); under a flow T: z = T(μ(x) + σ(x) ε)

    Look at: active units (latent/active_units), samples from the prior.
    """

    def __init__(self, dim: Count, prior: Prior, posterior: Family | None = None):
        family = Diagonal() if posterior is None else posterior
        family.adapt(dim)
        super().__init__(dim, family.params, prior)
        self.posterior = family
        self.by_unit = family.by_unit

    def forward(self, h: Tensor) -> Code:
        """A draw from the posterior of h (B, params)."""
        posterior, mean = self.posterior(h)
        return Code(z=posterior.sample(), mean=mean, posterior=posterior)

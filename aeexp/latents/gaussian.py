"""A Gaussian code, the stochastic one of the VAE."""

from __future__ import annotations

from typing import final

from torch import Tensor

from aeexp.contracts import Latent, Prior
from aeexp.latents.posteriors import Normal
from aeexp.ranges import Count
from aeexp.tensors import clamp_through
from aeexp.types import Code


@final
class Gaussian(Latent):
    """A sample of N(mean, diag(variance)), both from the encoder (Kingma and Welling 2014).

    In training and in evaluation z is drawn; `mean` is what probes see and what reconstructions start from.

    Formula: z = μ(x) + σ(x) ε, ε ~ N(0, I)

    Look at: active units (latent/active_units), samples from the prior.
    """

    def __init__(self, dim: Count, prior: Prior):
        super().__init__(dim, 2 * dim, prior)

    def forward(self, h: Tensor) -> Code:
        """A draw about the mean, from mean and log-variance side by side, h (B, 2 dim)."""
        mean, log_var = h.chunk(2, -1)
        # Beyond these a float32 variance or its inverse is no number; the gradient stays 1.
        posterior = Normal(mean, clamp_through(log_var, -20, 20))
        return Code(z=posterior.sample(), mean=mean, posterior=posterior)

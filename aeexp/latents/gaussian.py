"""A Gaussian code, the stochastic one of the VAE."""

from __future__ import annotations

import math

from torch import Tensor, nn

from aeexp.errors import UsageError
from aeexp.latents.posteriors import Normal
from aeexp.latents.priors import need_space
from aeexp.types import Code


class Gaussian(nn.Module):
    """A sample of N(mean, diag(variance)), both from the encoder (Kingma and Welling 2014).

    In training and in evaluation z is drawn; `mean` is what probes see and what reconstructions start from.

    Formula: z = μ(x) + σ(x) ε, ε ~ N(0, I)

    Look at: active units (latent/active_units), samples from the prior.
    """

    range = (-math.inf, math.inf)

    def __init__(self, dim: int, prior: nn.Module):
        super().__init__()
        if dim < 1:
            raise UsageError(f"dim={dim}: a code needs at least 1 unit")
        need_space(self, prior)
        self.dim = dim
        self.params = 2 * dim
        self.prior = prior

    def forward(self, h: Tensor) -> Code:
        mean, log_var = h.chunk(2, -1)
        # Beyond these a float32 variance or its inverse is no number; the gradient stays 1.
        log_var = log_var + (log_var.clamp(-20, 20) - log_var).detach()
        posterior = Normal(mean, log_var)
        return Code(z=posterior.sample(), mean=mean, posterior=posterior)

"""What becomes of the encoder's output: one class per kind of code."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aeexp.distributions import Normal
from aeexp.errors import require
from aeexp.needs import need_space
from aeexp.types import Code


class Deterministic(nn.Module):
    """The encoder's output is the code, (B, dim) (Hinton and Salakhutdinov 2006).

    Formula: z = f(x)

    Look at: error over latent.dim, with PCA beside it: the gap is what is not linear.
    """

    range = (-math.inf, math.inf)

    def __init__(self, dim: int):
        super().__init__()
        require(dim >= 1, f"dim={dim}: a code needs at least 1 unit")
        self.dim = self.params = dim

    def forward(self, h: Tensor) -> Code:
        return Code(z=h, mean=h)


class Sigmoid(nn.Module):
    """Units squashed to (0, 1), so that an activation can be read as a firing rate (Rumelhart et al. 1986).

    Formula: z_j = 1 / (1 + exp(-h_j))

    Look at: units that are always 0 or 1 (latent/dead_units).
    """

    range = (0.0, 1.0)

    def __init__(self, dim: int):
        super().__init__()
        require(dim >= 1, f"dim={dim}: a code needs at least 1 unit")
        self.dim = self.params = dim

    def forward(self, h: Tensor) -> Code:
        z = torch.sigmoid(h)
        return Code(z=z, mean=z)


class TopK(nn.Module):
    """Keeps the k largest units of each row and sets the others to 0 (Makhzani and Frey 2014, k-sparse).

    Exactly k units stay, also under ties; k = dim is the identity. `k` is a buffer: it may vary in a stack.

    Formula: z_j = h_j where it is among the k largest of its row, else 0

    Look at: units that never fire (latent/dead_units), and the probe over k.
    """

    range = (-math.inf, math.inf)
    k: Tensor

    def __init__(self, dim: int, k: int):
        super().__init__()
        require(dim >= 1, f"dim={dim}: a code needs at least 1 unit")
        require(1 <= k <= dim, f"k={k} must lie between 1 and latent.dim={dim}")
        self.dim = self.params = dim
        self.register_buffer("k", torch.tensor(k))

    def forward(self, h: Tensor) -> Code:
        rank = h.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)  # by keyword: vmap takes no other way
        z = torch.where(rank < self.k, h, torch.zeros_like(h))
        return Code(z=z, mean=z)


class Gaussian(nn.Module):
    """A sample of N(mean, diag(variance)), both from the encoder (Kingma and Welling 2014).

    In training and in evaluation z is drawn; `mean` is what probes see and what reconstructions start from.

    Formula: z = μ(x) + σ(x) ε, ε ~ N(0, I)

    Look at: active units (latent/active_units), samples from the prior.
    """

    range = (-math.inf, math.inf)

    def __init__(self, dim: int, prior: nn.Module):
        super().__init__()
        require(dim >= 1, f"dim={dim}: a code needs at least 1 unit")
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

"""Codes that training softens or ties to its batch, and that a threshold decides in evaluation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aeexp.errors import require
from aeexp.types import Code, Pass

SURE = 0.1  # a unit this near to 0 or 1 has made up its mind


class Binary(nn.Module):
    """Bits, for semantic hashing (Salakhutdinov and Hinton 2009, section 3).

    In training z is a sigmoid of the encoder's output plus Gaussian noise: only units far from 0 on either side carry
    anything through it. Its standard deviation grows from `start` to `noise` over `warmup_steps`, linearly, for noise
    that is large at once leaves nothing to learn from. `mean` is the sigmoid without noise. In evaluation both are
    bits, 0 or 1, thresholded at an even chance: what the decoder is judged by is what an index stores.

    Formula: training: z = 1 / (1 + exp(-(h + σ ε))); evaluation: z = 1 where h > 0, else 0

    Look at: retrieval/map beside ITQ's, and the share of undecided units in history.csv.
    """

    range = (0.0, 1.0)
    start: Tensor
    noise: Tensor
    current: Tensor
    undecided: Tensor

    def __init__(self, *, dim: int, noise: float = 4.0, start: float = 0.0, warmup_steps: int = 1000):
        super().__init__()
        require(dim >= 1, f"dim={dim}: a code needs at least 1 bit")
        require(0 <= start < math.inf, f"start={start} must not be negative")
        require(start <= noise < math.inf, f"noise={noise} must not be below latent.start={start}: it grows")
        require(warmup_steps >= 1, f"warmup_steps={warmup_steps} must be at least 1")
        self.dim = self.params = dim
        self.warmup_steps = warmup_steps
        self.register_buffer("start", torch.tensor(float(start)))
        self.register_buffer("noise", torch.tensor(float(noise)))
        self.register_buffer("current", torch.tensor(float(start)))
        self.register_buffer("undecided", torch.tensor(1.0))

    def forward(self, h: Tensor) -> Code:
        if not self.training:
            bits = (h > 0).to(h)
            return Code(z=bits, mean=bits)
        return Code(z=torch.sigmoid(h + self.current * torch.randn_like(h)), mean=torch.sigmoid(h))

    def before_step(self, model: nn.Module, split, step: int) -> None:
        share = min(1.0, step / self.warmup_steps)
        self.current.copy_(self.start + share * (self.noise - self.start))

    def observe(self, out: Pass) -> None:
        self.undecided.copy_(((out.code.mean - 0.5).abs() < 0.5 - SURE).to(self.undecided).mean())

    def readings(self) -> dict[str, Tensor]:
        """Standard deviation of the noise; share of the batch's units that without it lie between 0.1 and 0.9."""
        return {"code_noise": self.current, "undecided_units": self.undecided}

    def project(self, z: Tensor) -> Tensor:
        """(..., D) the nearest bits."""
        return (z > 0.5).to(z)

    def between(self, a: Tensor, b: Tensor, share: Tensor) -> Tensor:
        """(..., D) on the way from bits a to bits b: the first of those that differ are b's, that share of them."""
        differ = a != b
        return torch.where(differ.cumsum(-1) <= share * differ.sum(-1, keepdim=True), b, a)


class BatchTopK(nn.Module):
    """Keeps the k B largest units of a batch of B rows: k a row on average (Bussmann et al. 2024, BatchTopK).

    A row that is hard to explain gets more of them. In evaluation rows do not know each other: a unit stays above a
    threshold, the mean over training batches of the smallest unit kept (section 3; the first batches count alike, then
    each `decay` of the next). `k` is a buffer: it may vary in a stack.

    Formula: z_j = h_j where it is among the k B largest of the batch, else 0

    Look at: units that never fire (latent/dead_units); whether evaluation keeps k a row (latent/l0).
    """

    range = (-math.inf, math.inf)
    k: Tensor
    threshold: Tensor
    seen: Tensor

    def __init__(self, dim: int, k: int, decay: float = 0.99):
        super().__init__()
        require(dim >= 1, f"dim={dim}: a code needs at least 1 unit")
        require(1 <= k <= dim, f"k={k} must lie between 1 and latent.dim={dim}")
        require(0 <= decay < 1, f"decay={decay} must lie in [0, 1)")
        self.dim = self.params = dim
        self.decay = decay
        self.register_buffer("k", torch.tensor(k))
        self.register_buffer("threshold", torch.tensor(0.0))
        self.register_buffer("seen", torch.tensor(0.0))  # batches in the threshold

    def forward(self, h: Tensor) -> Code:
        threshold = self.smallest(h) if self.training else self.threshold
        z = torch.where(h >= threshold, h, torch.zeros_like(h))
        return Code(z=z, mean=z)

    def smallest(self, h: Tensor) -> Tensor:
        """() the least unit that this batch keeps; more than k B stay only where units tie with it."""
        ordered = h.detach().flatten().sort(descending=True).values
        return ordered.gather(0, (self.k * len(h) - 1).reshape(1))[0]

    def observe(self, out: Pass) -> None:
        kept = out.code.z != 0
        least = torch.where(kept, out.code.z, torch.inf).min()
        self.seen.add_(1)
        rate = torch.maximum(1 / self.seen, torch.full_like(self.seen, 1 - self.decay))
        moved = self.threshold + rate * (least - self.threshold)
        self.threshold.copy_(torch.where(least.isfinite(), moved, self.threshold))

    def readings(self) -> dict[str, Tensor]:
        return {"threshold": self.threshold}

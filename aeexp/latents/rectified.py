"""Codes of which few units speak because each has a threshold: rectified, with a learned jump, behind a gate."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from aeexp.contracts import Capacity, Latent
from aeexp.latents.silence import Silence
from aeexp.ranges import Count, NonNegative, Positive
from aeexp.types import Code

PACE = 10.0  # of thresholds: a step of Adam at rate 0.001 moves one by a hundredth of itself


@final
class Relu(Latent):
    """Units below 0 are 0, exactly (Bricken et al. 2023): what an L1 penalty makes small, this makes silent.

    L1 alone is also lowered by smaller codes and a larger decoder: `model.unit_norm=true` leaves it no such way.

    Formula: z_j = max(0, h_j)

    Look at: latent/l0, and dead_share in history.csv over regularizer.l1.weight.
    """

    range: ClassVar = (0.0, math.inf)

    def __init__(self, dim: Count, dead_after: Count = 200, resample_every: Count | None = None):
        super().__init__(dim)
        self.silence = Silence(dim, dead_after, resample_every)

    def forward(self, h: Tensor) -> Code:
        """z = max(0, h), (B, dim)."""
        z = h.relu()
        return Code(z=z, mean=z, before=h)

    def project(self, z: Tensor) -> Tensor:
        """(..., D) the nearest code without a negative unit."""
        return z.relu()

    def find_dead(self) -> Tensor:
        """(D,) bool: 0 for `dead_after` steps."""
        return self.silence.find_dead()

    def capacity(self) -> Capacity:
        """As many units as a row has that are not 0, on average."""
        return self.silence.capacity()


@final
class JumpRelu(Latent):
    """A unit speaks as it is above its own threshold, which is learned (Rajamanoharan et al. 2024, JumpReLU).

    The loss counts the units that speak, `sparsity` for each: L0 itself, and nothing pulls at what they say. A count
    has no gradient: that of the threshold is the straight-through estimate (section 3 of the paper), by which units
    within half a `bandwidth` of it say what a higher one would cost. Thresholds are exp of 10 times their parameters:
    above 0, and quick enough to leave where they start within some hundred steps.

    Formula: z_j = h_j where h_j > θ_j, else 0; loss + sparsity Σ_j 1[h_j > θ_j]

    Look at: latent/l0 over latent.sparsity; mean_threshold in history.csv: does it still rise?
    """

    range: ClassVar = (0.0, math.inf)
    terms: ClassVar = ("l0",)
    sparsity: Tensor
    bandwidth: Tensor

    def __init__(
        self,
        dim: Count,
        sparsity: NonNegative = 0.2,
        threshold: Positive = 0.1,
        bandwidth: Positive = 0.2,
        dead_after: Count = 200,
        resample_every: Count | None = None,
    ):
        super().__init__(dim)
        self.level = nn.Parameter(torch.full((dim,), math.log(threshold) / PACE))
        self.register_buffer("sparsity", torch.tensor(float(sparsity)))
        self.register_buffer("bandwidth", torch.tensor(float(bandwidth)))
        self.silence = Silence(dim, dead_after, resample_every)

    def forward(self, h: Tensor) -> Code:
        """Units of h (B, dim) above their thresholds; `losses` has the weighted count."""
        threshold = self.find_thresholds()
        speaks = (h > threshold).to(h)
        near = ((h - threshold).abs() < self.bandwidth / 2).to(h).detach() / self.bandwidth
        moved = near * (threshold - threshold.detach())  # 0, with the gradient of what a higher threshold silences
        z = h * speaks - threshold.detach() * moved
        return Code(z=z, mean=z, losses={"l0": self.sparsity * (speaks - moved).sum(-1)}, before=h)

    def project(self, z: Tensor) -> Tensor:
        """(..., D) with 0 where a unit is below its threshold."""
        return torch.where(z > self.find_thresholds(), z, torch.zeros_like(z))

    def find_dead(self) -> Tensor:
        """(D,) bool: 0 for `dead_after` steps."""
        return self.silence.find_dead()

    def capacity(self) -> Capacity:
        """As many units as a row has that are not 0, on average."""
        return self.silence.capacity()

    def find_thresholds(self) -> Tensor:
        """(D,) above 0."""
        return (PACE * self.level).exp()

    def readings(self) -> dict[str, Tensor]:
        """The thresholds' mean."""
        return {"mean_threshold": self.find_thresholds().mean()}


@final
class Gated(Latent):
    """One half of a unit says whether it speaks, the other how loudly (Rajamanoharan et al. 2024a, gated SAE).

    The encoder's output is the gate; loudness reads it too, by a scale and a shift of each unit. A penalty on the gate
    (regularizer=gate, which the gate also learns by) then shrinks nothing of what is said.

    Formula: z_j = 1[h_j > 0] max(0, exp(r_j) h_j + b_j)

    Look at: latent/l0 and the error beside those of latent=relu under l1: at as many units a lower error.
    """

    range: ClassVar = (0.0, math.inf)

    def __init__(self, dim: Count, dead_after: Count = 200, resample_every: Count | None = None):
        super().__init__(dim)
        self.log_scale = nn.Parameter(torch.zeros(dim))
        self.shift = nn.Parameter(torch.zeros(dim))
        self.silence = Silence(dim, dead_after, resample_every)

    def forward(self, h: Tensor) -> Code:
        """Where the gate h (B, dim) is open, a rectified unit; `before` is the gate."""
        z = (h > 0).to(h) * (self.log_scale.exp() * h + self.shift).relu()
        return Code(z=z, mean=z, before=h)

    def project(self, z: Tensor) -> Tensor:
        """(..., D) the nearest code without a negative unit."""
        return z.relu()

    def find_dead(self) -> Tensor:
        """(D,) bool: 0 for `dead_after` steps."""
        return self.silence.find_dead()

    def capacity(self) -> Capacity:
        """As many units as a row has that are not 0, on average."""
        return self.silence.capacity()

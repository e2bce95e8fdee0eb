"""p(target | output of the decoder): what "a good reconstruction" means.

`distortion` is -log p in nats per example without the part that no parameter moves, so that a Gaussian's
loss reads as squared error; `distortion + constant` is the proper -log p.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.errors import require
from aeexp.types import summed


class Gaussian(nn.Module):
    """Normal with fixed variance; at 0.5 the distortion is the squared error, summed over features."""

    density = True
    variance: Tensor

    def __init__(self, variance: float = 0.5):
        super().__init__()
        require(variance > 0, f"variance={variance} must be above 0")
        self.register_buffer("variance", torch.tensor(float(variance)))

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return summed((output - target).square(), mask) / (2 * self.variance)

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def constant(self, features: int | Tensor) -> float | Tensor:
        return 0.5 * features * math.log(2 * math.pi * float(self.variance))

    def mean(self, output: Tensor) -> Tensor:
        return output

    def check(self, low: float, high: float) -> None:
        """Any real value will do."""


class Laplace(nn.Module):
    """Laplace with unit scale: the distortion is the absolute error, summed over features."""

    density = True

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return summed((output - target).abs(), mask)

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def constant(self, features: int | Tensor) -> float | Tensor:
        return features * math.log(2)

    def mean(self, output: Tensor) -> Tensor:
        return output

    def check(self, low: float, high: float) -> None:
        """Any real value will do."""


class Bernoulli(nn.Module):
    """Independent coin flips; the output is their logits.

    On grey pixels in [0, 1] the distortion is a cross-entropy and no likelihood.
    """

    density = False

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return summed(F.binary_cross_entropy_with_logits(output, target, reduction="none"), mask)

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def constant(self, features: int | Tensor) -> float | Tensor:
        return 0.0 * features

    def mean(self, output: Tensor) -> Tensor:
        return torch.sigmoid(output)

    def check(self, low: float, high: float) -> None:
        require(
            low >= 0 and high <= 1,
            f"likelihood=bernoulli needs values in [0, 1], but the data has {low:.4g} to {high:.4g}: "
            "take likelihood=gaussian, or scale the data",
        )

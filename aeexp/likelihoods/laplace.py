"""Likelihoods about the output with heavier tails than the normal one: absolute error, and its smooth cousin."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from aeexp.contracts import Likelihood
from aeexp.ranges import Positive
from aeexp.tensors import sum_features


@final
class Laplace(Likelihood):
    """Laplace with unit scale: the distortion is the absolute error, summed over features (Zhao et al. 2017).

    Formula: Σ_i |x_i - D_i|

    Look at: edges: the median of all that may be is sharper than the mean.
    """

    density: ClassVar = True
    identity_link: ClassVar = True

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B,) absolute error."""
        return sum_features((output - target).abs(), mask)

    def constant(self, features: int | Tensor) -> float | Tensor:
        """log 2 for each feature."""
        return features * math.log(2)

    def draw(self, output: Tensor, target: Tensor | None = None) -> Tensor:
        """The output with Laplace noise."""
        u = torch.rand_like(output) - 0.5
        return output - u.sign() * torch.log1p(-2 * u.abs().clamp(max=0.5 - 1e-7))

    def mean(self, output: Tensor) -> Tensor:
        """The output itself, which is the median as well."""
        return output


@final
class LogCosh(Likelihood):
    """Hyperbolic secant: near 0 a squared error, far away an absolute one, smooth between (Chen et al. 2018, Log
    hyperbolic cosine loss improves variational auto-encoder).

    The error turns from one to the other at about `scale`.

    Formula: Σ_i log cosh((x_i - D_i) / s), s the scale; + log(π s) for each: -log p

    Look at: error and edges between those of gaussian and laplace.
    """

    density: ClassVar = True
    identity_link: ClassVar = True
    width: Tensor

    def __init__(self, scale: Positive = 0.1):
        super().__init__()
        self.register_buffer("width", torch.tensor(float(scale)))

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B,) nats."""
        size = ((output - target) / self.width).abs()
        return sum_features(size + F.softplus(-2 * size) - math.log(2), mask)

    def constant(self, features: int | Tensor) -> float | Tensor:
        """log(π s) for each feature."""
        return features * math.log(math.pi * float(self.width))

    def draw(self, output: Tensor, target: Tensor | None = None) -> Tensor:
        """The output with such noise, by the inverse of the distribution function."""
        u = torch.rand_like(output).clamp(1e-6, 1 - 1e-6)
        return output + self.width * torch.tan(math.pi / 2 * u).log()

    def mean(self, output: Tensor) -> Tensor:
        """The output itself."""
        return output

"""The Laplace likelihood: absolute error."""

from __future__ import annotations

import math

from torch import Tensor, nn

from aeexp.types import sum_features


class Laplace(nn.Module):
    """Laplace with unit scale: the distortion is the absolute error, summed over features (Zhao et al. 2017).

    Formula: Σ_i |x_i - D_i|

    Look at: edges: the median of all that may be is sharper than the mean.
    """

    density = True
    identity_link = True

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return sum_features((output - target).abs(), mask)

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def constant(self, features: int | Tensor) -> float | Tensor:
        return features * math.log(2)

    def mean(self, output: Tensor) -> Tensor:
        return output

    def check(self, low: float, high: float, step: float | None = None) -> None:
        """Any real value will do."""

"""The Laplace likelihood: absolute error."""

from __future__ import annotations

import math
from typing import ClassVar, final

from torch import Tensor

from aeexp.contracts import Likelihood
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

    def mean(self, output: Tensor) -> Tensor:
        """The output itself, which is the median as well."""
        return output

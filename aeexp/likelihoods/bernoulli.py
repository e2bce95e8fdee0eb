"""Likelihoods of values from 0 to 1: coin flips, and the density that their cross-entropy lacks."""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from aeexp.contracts import Likelihood
from aeexp.errors import UsageError
from aeexp.tensors import sum_features


@final
class Bernoulli(Likelihood):
    """Independent coin flips; the output is their logits (Kingma and Welling 2014, appendix C).

    On grey pixels in [0, 1] the distortion is a cross-entropy and no likelihood. A target below 0 is unknown and counts
    0.

    Formula: -Σ_i [x_i log s_i + (1 - x_i) log(1 - s_i)], s = 1 / (1 + exp(-output))

    Look at: nats on data that is binary (dataset.binarise=fixed); on grey pixels they are no likelihood.
    """

    density: ClassVar = False
    levels = 2

    def __init__(self) -> None:
        super().__init__()
        self.partial = True  # whether a target may be unknown

    def adapt(self, levels: int | None, shape: tuple[int, ...] = ()) -> None:
        """Only a task with targets of its own leaves some unknown: of pictures, `check` refuses values below 0."""
        self.partial = levels is not None

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B,) cross-entropy in nats."""
        if not self.partial:  # three passes over all values less
            return sum_features(F.binary_cross_entropy_with_logits(output, target, reduction="none"), mask)
        values = F.binary_cross_entropy_with_logits(output, target.clamp(min=0), reduction="none")
        return sum_features(values * (target >= 0), mask)

    def mean(self, output: Tensor) -> Tensor:
        """(B, *shape) probabilities of 1."""
        return torch.sigmoid(output)

    def mode(self, output: Tensor) -> Tensor:
        """The more probable value."""
        return (output > 0).to(output.dtype)

    def draw(self, output: Tensor, target: Tensor | None = None) -> Tensor:
        """Coin flips."""
        return (torch.rand_like(output) < torch.sigmoid(output)).to(output.dtype)

    def check(self, low: float, high: float, step: float | None = None) -> None:
        """Raises UsageError on values outside of [0, 1]."""
        _unit("bernoulli", low, high)


@final
class ContinuousBernoulli(Likelihood):
    """A density over [0, 1], proportional to exp(logit * x); the output is the logit.

    Loaiza-Ganem and Cunningham 2019: what Bernoulli on grey pixels lacks is the normaliser. log p is
    logit * x - log((exp(logit) - 1) / logit). With h = logit / 2 the latter is h + log(sinh(h) / h), here without
    overflow, and by its series where h is near 0.

    Formula: -Σ_i (x_i a_i - log((exp(a_i) - 1) / a_i)), a the logit

    Look at: bits per dimension beside gaussian_optimal's: both are densities on the same data.
    """

    density: ClassVar = True

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B,) nats."""
        h = output / 2
        series = h**2 / 6 - h**4 / 180 + h**6 / 2835 - h**8 / 37800
        size = torch.where(h.abs() < SMALL, 1.0, h.abs())  # the branch not taken must have a finite gradient, too
        exact = size + torch.log(-torch.expm1(-2 * size)) - torch.log(2 * size)
        return sum_features(h - output * target + torch.where(h.abs() < SMALL, series, exact), mask)

    def mean(self, output: Tensor) -> Tensor:
        """1 / (1 - exp(-logit)) - 1 / logit: nearer to 1/2 than the sigmoid is."""
        h = output / 2
        series = h / 3 - h**3 / 45 + 2 * h**5 / 945 - h**7 / 4725
        safe = torch.where(h.abs() < SMALL, 1.0, h)
        return 0.5 + 0.5 * torch.where(h.abs() < SMALL, series, 1 / torch.tanh(safe) - 1 / safe)

    def draw(self, output: Tensor, target: Tensor | None = None) -> Tensor:
        """By the inverse of the distribution function, log(1 + u (exp(a) - 1)) / a."""
        u = torch.rand_like(output)
        # of a positive logit by the mirror image, so that nothing overflows
        size = torch.where(output.abs() < 1e-3, 1e-3, output.abs())
        value = -torch.log1p(u * torch.expm1(-size)) / size
        drawn = torch.where(output > 0, 1 - value, value)
        return torch.where(output.abs() < 1e-3, u, drawn).clamp(0, 1)

    def check(self, low: float, high: float, step: float | None = None) -> None:
        """Raises UsageError on values outside of [0, 1]."""
        _unit("continuous_bernoulli", low, high)


SMALL = 0.25  # half a logit below which the series is used: its next term is 2e-12 there


def _unit(name: str, low: float, high: float) -> None:
    if not low >= 0 or not high <= 1:
        raise UsageError(
            f"likelihood={name} needs values in [0, 1], but the data has {low:.4g} to {high:.4g}: "
            "take likelihood=gaussian, or scale the data"
        )

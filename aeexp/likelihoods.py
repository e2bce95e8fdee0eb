"""p(target | output of the decoder): what "a good reconstruction" means. `Categorical` has a file of its own.

`distortion` is -log p in nats per example without the part that no parameter moves, so that a Gaussian's
loss reads as squared error; `distortion + constant` is the proper -log p.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.errors import require
from aeexp.types import Pass, summed

DECAY = 0.95  # of the running variance: batches of 128 pictures leave an error below 1 %, 1e-4 nats a feature
LEAST = 1e-8  # variance: exact reconstructions would have an infinite density


class Gaussian(nn.Module):
    """Normal with one variance for all values (Kingma and Welling 2014, appendix C); at 0.5 the distortion is the
    squared error, summed over features.

    `estimate`: fixed at `variance`; learned, a log-variance parameter that starts there; or optimal, the mean squared
    error per value (optimal sigma-VAE, Rybkin et al. 2021): of the batch in training, its running average in
    evaluation. No gradient passes through it: at the optimum that gradient is zero, and under importance weights the
    variance is a constant of the step. A variance that moves is part of the distortion.

    Formula: Σ_i (x_i - D_i)² / (2 v), where the variance moves + ½ Σ_i log v; v = 0.5: the squared error

    Look at: error beside PCA's, which minimises the same; blur: the mean of all that may be.
    """

    density = True
    identity_link = True
    variance: Tensor
    seen: Tensor

    def __init__(self, variance: float = 0.5, estimate: Literal["fixed", "learned", "optimal"] = "fixed"):
        super().__init__()
        require(variance > 0, f"variance={variance} must be above 0")
        self.estimate = estimate
        if estimate == "learned":
            self.log_variance = nn.Parameter(torch.tensor(math.log(variance)))
            return
        self.register_buffer("variance", torch.tensor(float(variance)))
        if estimate == "optimal":
            self.register_buffer("seen", torch.tensor(0.0))  # batches in the running average

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        square = (output - target).square()
        if self.estimate == "fixed":
            return summed(square, mask) / (2 * self.variance)
        log_variance = self._log_variance(square, mask)
        return summed(0.5 * (square * (-log_variance).exp() + log_variance), mask)

    def _log_variance(self, square: Tensor, mask: Tensor | None) -> Tensor:
        if self.estimate == "learned":
            # beyond these a float32 variance or its inverse is no number; the gradient stays 1
            return self.log_variance + (self.log_variance.clamp(-20, 20) - self.log_variance).detach()
        return (_mean_square(square.detach(), mask) if self.training else self.variance).clamp(min=LEAST).log()

    @torch.no_grad()
    def observe(self, out: Pass) -> None:
        """After a step: the running average takes in the error of this batch."""
        if self.estimate == "optimal":
            keep = torch.clamp(self.seen / (self.seen + 1), max=DECAY)  # the first batches count fully
            error = _mean_square((out.output - out.batch.target).square(), out.batch.mask)
            self.variance.copy_(keep * self.variance + (1 - keep) * error)
            self.seen.add_(1)

    @torch.no_grad()
    def fit(self, passes: Iterable[Pass]) -> None:
        """Without training: a variance that is not fixed becomes the mean squared error per value of all passes."""
        if self.estimate == "fixed":
            return
        total = count = 0.0
        for out in passes:
            square = (out.output - out.batch.target).square()
            total += float(summed(square, out.batch.mask).double().sum())
            count += float(summed(torch.ones_like(square), out.batch.mask).double().sum())
        variance = max(total / count, LEAST)
        if self.estimate == "learned":
            self.log_variance.fill_(math.log(variance))
        else:
            self.variance.fill_(variance)

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def constant(self, features: int | Tensor) -> float | Tensor:
        fixed = float(self.variance) if self.estimate == "fixed" else 1.0
        return 0.5 * features * math.log(2 * math.pi * fixed)

    def mean(self, output: Tensor) -> Tensor:
        return output

    def check(self, low: float, high: float, step: float | None = None) -> None:
        """Any real value will do."""


def _mean_square(square: Tensor, mask: Tensor | None) -> Tensor:
    """() mean over all values that the mask leaves."""
    return square.mean() if mask is None else summed(square, mask).sum() / (mask.sum() * square.shape[-1])


class Laplace(nn.Module):
    """Laplace with unit scale: the distortion is the absolute error, summed over features (Zhao et al. 2017).

    Formula: Σ_i |x_i - D_i|

    Look at: edges: the median of all that may be is sharper than the mean.
    """

    density = True
    identity_link = True

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return summed((output - target).abs(), mask)

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def constant(self, features: int | Tensor) -> float | Tensor:
        return features * math.log(2)

    def mean(self, output: Tensor) -> Tensor:
        return output

    def check(self, low: float, high: float, step: float | None = None) -> None:
        """Any real value will do."""


class Bernoulli(nn.Module):
    """Independent coin flips; the output is their logits (Kingma and Welling 2014, appendix C).

    On grey pixels in [0, 1] the distortion is a cross-entropy and no likelihood. A target below 0 is unknown and counts
    0.

    Formula: -Σ_i [x_i log s_i + (1 - x_i) log(1 - s_i)], s = 1 / (1 + exp(-output))

    Look at: nats on data that is binary (dataset.binarise=fixed); on grey pixels they are no likelihood.
    """

    density = False
    identity_link = False
    levels = 2

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        values = F.binary_cross_entropy_with_logits(output, target.clamp(min=0), reduction="none")
        return summed(values * (target >= 0), mask)

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def constant(self, features: int | Tensor) -> float | Tensor:
        return 0.0 * features

    def mean(self, output: Tensor) -> Tensor:
        return torch.sigmoid(output)

    def mode(self, output: Tensor) -> Tensor:
        """The more probable value."""
        return (output > 0).to(output.dtype)

    def check(self, low: float, high: float, step: float | None = None) -> None:
        _unit("bernoulli", low, high)


class ContinuousBernoulli(nn.Module):
    """A density over [0, 1], proportional to exp(logit * x); the output is the logit.

    Loaiza-Ganem and Cunningham 2019: what Bernoulli on grey pixels lacks is the normaliser. log p is
    logit * x - log((exp(logit) - 1) / logit). With h = logit / 2 the latter is h + log(sinh(h) / h), here without
    overflow, and by its series where h is near 0.

    Formula: -Σ_i (x_i a_i - log((exp(a_i) - 1) / a_i)), a the logit

    Look at: bits per dimension beside gaussian_optimal's: both are densities on the same data.
    """

    density = True
    identity_link = False

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        h = output / 2
        series = h**2 / 6 - h**4 / 180 + h**6 / 2835 - h**8 / 37800
        size = torch.where(h.abs() < SMALL, 1.0, h.abs())  # the branch not taken must have a finite gradient, too
        exact = size + torch.log(-torch.expm1(-2 * size)) - torch.log(2 * size)
        return summed(h - output * target + torch.where(h.abs() < SMALL, series, exact), mask)

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def constant(self, features: int | Tensor) -> float | Tensor:
        return 0.0 * features

    def mean(self, output: Tensor) -> Tensor:
        """1 / (1 - exp(-logit)) - 1 / logit: nearer to 1/2 than the sigmoid is."""
        h = output / 2
        series = h / 3 - h**3 / 45 + 2 * h**5 / 945 - h**7 / 4725
        safe = torch.where(h.abs() < SMALL, 1.0, h)
        return 0.5 + 0.5 * torch.where(h.abs() < SMALL, series, 1 / torch.tanh(safe) - 1 / safe)

    def check(self, low: float, high: float, step: float | None = None) -> None:
        _unit("continuous_bernoulli", low, high)


SMALL = 0.25  # half a logit below which the series is used: its next term is 2e-12 there


def _unit(name: str, low: float, high: float) -> None:
    require(
        low >= 0 and high <= 1,
        f"likelihood={name} needs values in [0, 1], but the data has {low:.4g} to {high:.4g}: "
        "take likelihood=gaussian, or scale the data",
    )

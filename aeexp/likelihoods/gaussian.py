"""The normal likelihood: squared error, with a variance that is given, learned or estimated."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.contracts import Likelihood
from aeexp.ranges import Positive
from aeexp.tensors import clamp_through, sum_features, whole_mean
from aeexp.types import Pass

DECAY = 0.95  # of the running variance: batches of 128 pictures leave an error below 1 %, 1e-4 nats a feature
LEAST = 1e-8  # variance: exact reconstructions would have an infinite density


@final
class Gaussian(Likelihood):
    """Normal with one variance for all values (Kingma and Welling 2014, appendix C); at 0.5 the distortion is the
    squared error, summed over features.

    `estimate`: fixed at `variance`; learned, a log-variance parameter that starts there; or optimal, the mean squared
    error per value (optimal sigma-VAE, Rybkin et al. 2021): of the batch in training, its running average in
    evaluation. No gradient passes through it: at the optimum that gradient is zero, and under importance weights the
    variance is a constant of the step. A variance that moves is part of the distortion.

    Formula: Σ_i (x_i - D_i)² / (2 v), where the variance moves + ½ Σ_i log v; v = 0.5: the squared error

    Look at: error beside PCA's, which minimises the same; blur: the mean of all that may be.
    """

    density: ClassVar = True
    identity_link: ClassVar = True
    variance: Tensor
    seen: Tensor

    def __init__(self, variance: Positive = 0.5, estimate: Literal["fixed", "learned", "optimal"] = "fixed"):
        super().__init__()
        self.estimate = estimate
        self.observing = estimate == "optimal"
        self.uses_batch = estimate == "optimal"
        if estimate == "learned":
            self.log_variance = nn.Parameter(torch.tensor(math.log(variance)))
            return
        self.register_buffer("variance", torch.tensor(float(variance)))
        if estimate == "optimal":
            self.register_buffer("seen", torch.tensor(0.0))  # batches in the running average

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B,) nats; at variance 0.5 the squared error."""
        square = F.mse_loss(output, target, reduction="none")  # one pass over the values each way
        if self.estimate == "fixed":
            return sum_features(square, mask) / (2 * self.variance)
        log_variance = self._log_variance(square, mask)
        return sum_features(0.5 * (square * (-log_variance).exp() + log_variance), mask)

    def _log_variance(self, square: Tensor, mask: Tensor | None) -> Tensor:
        if self.estimate == "learned":
            # beyond these a float32 variance or its inverse is no number; the gradient stays 1
            return clamp_through(self.log_variance, -20, 20)
        return (_mean_square(square.detach(), mask) if self.training else self.variance).clamp(min=LEAST).log()

    @torch.no_grad()
    def observe(self, out: Pass) -> None:
        """After a step: the running average takes in the error of this batch."""
        if self.estimate == "optimal":
            keep = torch.clamp(self.seen / (self.seen + 1), max=DECAY)  # the first batches count fully
            error = _mean_square((out.output - out.batch.targets).square(), out.batch.mask)
            self.variance.copy_(keep * self.variance + (1 - keep) * error)
            self.seen.add_(1)

    @torch.no_grad()
    def fit(self, passes: Iterable[Pass]) -> None:
        """Without training: a variance that is not fixed becomes the mean squared error per value of all passes."""
        if self.estimate == "fixed":
            return
        total = count = 0.0
        for out in passes:
            square = (out.output - out.batch.targets).square()
            total += float(sum_features(square, out.batch.mask).double().sum())
            count += float(sum_features(torch.ones_like(square), out.batch.mask).double().sum())
        variance = max(total / count, LEAST)
        if self.estimate == "learned":
            self.log_variance.fill_(math.log(variance))
        else:
            self.variance.fill_(variance)

    def constant(self, features: int | Tensor) -> float | Tensor:
        """½ log 2πv for each feature; where the variance moves, log v is in the distortion."""
        fixed = float(self.variance) if self.estimate == "fixed" else 1.0
        return 0.5 * features * math.log(2 * math.pi * fixed)

    def draw(self, output: Tensor, target: Tensor | None = None) -> Tensor:
        """The output with noise of the variance."""
        variance = self.log_variance.exp() if self.estimate == "learned" else self.variance
        return output + variance.sqrt() * torch.randn_like(output)

    def mean(self, output: Tensor) -> Tensor:
        """The output itself."""
        return output


def _mean_square(square: Tensor, mask: Tensor | None) -> Tensor:
    """() mean over all values that the mask leaves."""
    if mask is None:
        return whole_mean(square.mean())
    rows, values = len(square), mask.sum() * square.shape[-1]
    return whole_mean(sum_features(square, mask).sum() / rows) / whole_mean(values / rows)

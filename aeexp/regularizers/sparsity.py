"""Units that seldom fire: a penalty on mean activations. Weights are 0-d buffers."""

from __future__ import annotations

import functools
from typing import Literal, final

import torch
from torch import Tensor

from aeexp.contracts import Examples, Model, Regularizer
from aeexp.errors import UsageError
from aeexp.ranges import Count, Decay, NonNegative, Share
from aeexp.tensors import whole_mean
from aeexp.types import Facts, Pass


def bernoulli_kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(Bernoulli(p) || Bernoulli(q)) in nats; q is kept 1e-6 away from 0 and 1, where the value is infinite."""
    q = q.clamp(1e-6, 1 - 1e-6)
    return p * torch.log(p / q) + (1 - p) * torch.log((1 - p) / (1 - q))


@final
class KLSparsity(Regularizer):
    """KL from Bernoulli(rho) to Bernoulli(mean activation), summed over units (Ng 2011, sparse autoencoder).

    The penalty speaks of the mean over the training set. `estimate` says what stands for it: the mean of the
    batch, its exponential average over past batches (`decay` each step), or the mean over the whole training
    set, measured before every `refresh_steps`-th step. In training the gradient is that of the batch's mean at
    the estimate's value; in evaluation `ema` and `dataset` use the stored estimate. An estimate that lags drives
    the units past their target and can collapse the code: keep `decay` and `refresh_steps` small.

    Formula: Σ_j [ρ log(ρ / a_j) + (1 - ρ) log((1 - ρ) / (1 - a_j))], a_j the mean activation of unit j

    Look at: whether units still differ between rows (latent/effective_rank), and dead ones (latent/dead_units).
    """

    rho: Tensor
    mean: Tensor
    seen: Tensor

    def __init__(
        self,
        weight: NonNegative,
        rho: Share,
        estimate: Literal["batch", "ema", "dataset"] = "batch",
        decay: Decay = 0.9,
        refresh_steps: Count = 5,
    ):
        super().__init__(weight)
        self.estimate = estimate
        self.observing = estimate == "ema"
        self.decay = decay
        self.refresh_steps = refresh_steps
        self.register_buffer("rho", torch.tensor(float(rho)))
        self.register_buffer("seen", torch.tensor(0.0))  # steps in the exponential average

    def adapt(self, model: Model, facts: Facts) -> None:
        """The estimate starts at the target."""
        self.register_buffer("mean", self.rho.expand(model.latent.dim).clone())

    def forward(self, out: Pass, model: Model) -> Tensor:
        """() nats, summed over units."""
        batch = whole_mean(out.code.mean.mean(0))
        if self.estimate == "batch":
            mean = batch
        elif not self.training:
            mean = self.mean
        elif self.estimate == "ema":
            mean = batch + (self._average(batch) - batch).detach()
        else:
            mean = batch + (self.mean - batch).detach()
        return bernoulli_kl(self.rho, mean).sum()

    def observe(self, out: Pass) -> None:
        """The exponential average takes in this batch."""
        if self.estimate == "ema":
            self.mean.copy_(self._average(out.code.mean.mean(0)))
            self.seen.add_(1)

    def before_step(self, model: Model, split: Examples, step: int) -> None:
        """Measure the mean over the training set, where that is the estimate and it is time."""
        if self.estimate == "dataset" and step % self.refresh_steps == 0:
            codes = (model.encode(batch.x, model.condition(batch), batch.mask).mean for batch in split.batches(1024))
            self.mean.copy_(functools.reduce(torch.add, (code.sum(0) for code in codes)) / len(split))

    def check(self, model: Model) -> None:
        """Raises UsageError where units are no rates from 0 to 1."""
        if model.latent.range != (0.0, 1.0):
            raise UsageError(
                "kl_sparsity needs units in (0, 1), which this latent does not give: take latent=sigmoid, "
                "or regularizer=l1"
            )

    def _average(self, batch: Tensor) -> Tensor:
        # The first batches count fully: the average must not start from a made-up value.
        keep = torch.clamp(self.seen / (self.seen + 1), max=self.decay)
        return keep * self.mean + (1 - keep) * batch

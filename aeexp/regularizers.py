"""Penalties on a forward pass, (B,) or (), before their weight. Weights are 0-d buffers."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import vjp, vmap

from aeexp.distributions import bernoulli_kl
from aeexp.errors import require
from aeexp.needs import weight_of
from aeexp.types import Pass


class L1(nn.Module):
    """Sum of the absolute values of the code: pulls units to 0 (Goodfellow et al. 2016, section 14.2.1).

    Formula: Σ_j |z_j|

    Look at: how many units stay near 0 (latent/l0), and the probe beside the error.
    """

    weight: Tensor

    def __init__(self, weight: float):
        super().__init__()
        self.register_buffer("weight", weight_of(weight))

    def forward(self, out: Pass, model: nn.Module) -> Tensor:
        return out.code.z.abs().sum(1)

    def check(self, model: nn.Module) -> None:
        """Acts on any code."""


class KLSparsity(nn.Module):
    """KL from Bernoulli(rho) to Bernoulli(mean activation), summed over units (Ng 2011, sparse autoencoder).

    The penalty speaks of the mean over the training set. `estimate` says what stands for it: the mean of the
    batch, its exponential average over past batches (`decay` each step), or the mean over the whole training
    set, measured before every `refresh_steps`-th step. In training the gradient is that of the batch's mean at
    the estimate's value; in evaluation `ema` and `dataset` use the stored estimate. An estimate that lags drives
    the units past their target and can collapse the code: keep `decay` and `refresh_steps` small.

    Formula: Σ_j [ρ log(ρ / a_j) + (1 - ρ) log((1 - ρ) / (1 - a_j))], a_j the mean activation of unit j

    Look at: whether units still differ between rows (latent/effective_rank), and dead ones (latent/dead_units).
    """

    weight: Tensor
    rho: Tensor
    mean: Tensor
    seen: Tensor

    def __init__(
        self,
        weight: float,
        rho: float,
        dim: int,
        estimate: Literal["batch", "ema", "dataset"] = "batch",
        decay: float = 0.9,
        refresh_steps: int = 5,
    ):
        super().__init__()
        require(0 < rho < 1, f"rho={rho} must lie strictly between 0 and 1")
        require(0 <= decay < 1, f"decay={decay} must lie in [0, 1)")
        self.estimate = estimate
        require(refresh_steps >= 1, f"refresh_steps={refresh_steps} must be at least 1")
        self.decay = decay
        self.refresh_steps = refresh_steps
        self.register_buffer("weight", weight_of(weight))
        self.register_buffer("rho", torch.tensor(float(rho)))
        self.register_buffer("mean", torch.full((dim,), float(rho)))
        self.register_buffer("seen", torch.tensor(0.0))  # steps in the exponential average

    def forward(self, out: Pass, model: nn.Module) -> Tensor:
        batch = out.code.mean.mean(0)
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
        if self.estimate == "ema":
            self.mean.copy_(self._average(out.code.mean.mean(0)))
            self.seen.add_(1)

    def before_step(self, model: nn.Module, split, step: int) -> None:
        if self.estimate == "dataset" and step % self.refresh_steps == 0:
            codes = (model.encode(batch.x, model.condition(batch), batch.mask).mean for batch in split.batches(1024))
            self.mean.copy_(sum(code.sum(0) for code in codes) / len(split))

    def check(self, model: nn.Module) -> None:
        require(
            model.latent.range == (0.0, 1.0),
            "kl_sparsity needs units in (0, 1), which this latent does not give: take latent=sigmoid, "
            "or regularizer=l1",
        )

    def _average(self, batch: Tensor) -> Tensor:
        # The first batches count fully: the average must not start from a made-up value.
        keep = torch.clamp(self.seen / (self.seen + 1), max=self.decay)
        return keep * self.mean + (1 - keep) * batch


class Contractive(nn.Module):
    """Squared Frobenius norm of the encoder's Jacobian at the input it saw, (B,) (Rifai et al. 2011).

    `exact` takes one backward pass per unit of the code; `hutchinson` averages over `probes` random
    directions in code space, E |J^T v|^2 = |J|_F^2 for v ~ N(0, I). The mean code is differentiated,
    never a sample.

    Formula: |J|_F² = Σ_ij (∂mean_i / ∂x_j)²

    Look at: the Jacobian's norm (latent/jacobian_norm) against the reconstruction error.
    """

    weight: Tensor

    def __init__(self, weight: float, estimate: Literal["exact", "hutchinson"] = "exact", probes: int = 1):
        super().__init__()
        require(probes >= 1, f"probes={probes} must be at least 1")
        self.estimate = estimate
        self.probes = probes
        self.register_buffer("weight", weight_of(weight))

    def forward(self, out: Pass, model: nn.Module) -> Tensor:
        # a grey picture may have strides that pass for channels-last ones, for which GroupNorm has no vmap rule
        x = out.x.clone(memory_format=torch.contiguous_format)
        code, pull = vjp(lambda x: model.encode(x, out.context, out.batch.mask).mean, x)
        if self.estimate == "exact":
            eye = torch.eye(code.shape[1], dtype=code.dtype, device=code.device)
            rows = vmap(lambda unit: pull(unit.expand_as(code))[0])(eye)
            return rows.square().flatten(2).sum((0, 2))
        directions = torch.randn(self.probes, *code.shape, dtype=code.dtype, device=code.device)
        rows = vmap(lambda v: pull(v)[0])(directions)
        return rows.square().flatten(2).sum(2).mean(0)

    def check(self, model: nn.Module) -> None:
        """Acts on any differentiable encoder."""


class CodeL2(nn.Module):
    """Half the squared norm of the code, (B,): the KL where nothing is drawn (RAE, Ghosh et al. 2020, equation 8).

    Formula: ½ Σ_j z_j²

    Look at: samples of a density fitted to the codes (plot=samples), and the error that they cost.
    """

    weight: Tensor

    def __init__(self, weight: float):
        super().__init__()
        self.register_buffer("weight", weight_of(weight))

    def forward(self, out: Pass, model: nn.Module) -> Tensor:
        return 0.5 * out.code.z.square().sum(1)

    def check(self, model: nn.Module) -> None:
        """Acts on any code."""

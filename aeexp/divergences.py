"""Penalties that hold the law of the codes against another: a prior, or their own by group. Weights are buffers."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.critics import Critic, taught
from aeexp.errors import require
from aeexp.needs import need_posterior
from aeexp.types import Facts, Pass


class KL(nn.Module):
    """KL from the posterior to the latent's prior, nats per example; weight 1 (beta) makes the loss the negative ELBO
    (Kingma and Welling 2014, appendix B; beta: Higgins et al. 2017, equation 4).

    `warmup` scales the weight from 0 to 1 over `warmup_steps`, once (linear, Bowman et al. 2016) or again and again
    with half of each period at 1 (cyclic, Fu et al. 2019). `free_bits` is the least number of nats that each unit (of
    a categorical code each group, of a spherical one the whole) costs on average over the batch (Kingma et al. 2016).
    Where the KL does not fall into units (priors mixture and vamp) it is the least of the whole code. `capacity`
    replaces KL by |KL - C| of the batch's mean, where C rises to `capacity` nats over `warmup_steps` (Burgess et al.
    2018). In evaluation weight and capacity are those of the end, so that losses of different steps can be compared.

    Formula: KL(q(z|x) ‖ p(z)); latent=gaussian under N(0, I): ½ Σ_j (μ_j² + σ_j² - log σ_j² - 1)

    Look at: KL of each unit and how many carry anything (latent/kl, latent/active_units): at 0 the code has collapsed.
    """

    target: Tensor
    free_bits: Tensor
    capacity: Tensor | None
    progress: Tensor

    def __init__(
        self,
        weight: float = 1.0,
        warmup: Literal["none", "linear", "cyclic"] = "none",
        warmup_steps: int = 1000,
        free_bits: float = 0.0,
        capacity: float | None = None,
    ):
        super().__init__()
        require(weight >= 0, f"weight={weight} must not be negative")
        require(warmup_steps >= 1, f"warmup_steps={warmup_steps} must be at least 1")
        require(free_bits >= 0, f"free_bits={free_bits} must not be negative")
        require(capacity is None or capacity >= 0, f"capacity={capacity} must not be negative")
        words = f"capacity={capacity} holds the whole KL, and free_bits={free_bits} a part of it: set one of them only"
        require(capacity is None or free_bits == 0, words)
        self.warmup = warmup
        self.warmup_steps = warmup_steps
        self.register_buffer("capacity", None if capacity is None else torch.tensor(float(capacity)))
        self.register_buffer("target", torch.tensor(float(weight)))
        self.register_buffer("free_bits", torch.tensor(float(free_bits)))
        self.register_buffer("progress", torch.tensor(1.0))

    @property
    def weight(self) -> Tensor:
        return self.target * self.progress if self.training and self.warmup != "none" else self.target

    def before_step(self, model: nn.Module, split, step: int) -> None:
        share = step / self.warmup_steps
        self.progress.fill_(min(1.0, 2 * (share % 1)) if self.warmup == "cyclic" else min(1.0, share))

    def readings(self) -> dict[str, Tensor]:
        return {} if self.warmup == "none" else {"kl_weight": self.weight}

    def forward(self, out: Pass, model: nn.Module) -> Tensor:
        units = model.latent.prior.kl(out.code.posterior, out.code.z, model)
        if self.capacity is not None:
            allowed = self.capacity * (self.progress if self.training else 1.0)
            return (units.sum(1).mean() - allowed).abs()
        # At 0 free bits the rows are kept; else a unit below its minimum has no gradient.
        floored = torch.maximum(units.mean(0), self.free_bits)
        return torch.where(self.free_bits > 0, floored.sum().expand(len(units)), units.sum(1))

    def check(self, model: nn.Module) -> None:
        need_posterior("kl", model)


class TotalCorrelation(nn.Module):
    """How far the units of the aggregate posterior are from independent, nats, (B,).

    - `minibatch`: the batch's posteriors stand for those of the data set: minibatch-weighted sampling without its
      constant (D - 1) log N, which moves the value and no gradient. Biased upwards where posteriors are narrow, the
      more the fewer rows: it is taken in groups of about `rows`, those of a batch of training, in evaluation too. A
      weight of beta - 1 beside `kl` gives the loss of beta-TC-VAE (Chen et al. 2018) with alpha = gamma = 1.
    - `critic`: the log-odds of a critic that tells codes from codes whose units were shuffled over the rows of the
      batch, trained in the same backward pass (FactorVAE, Kim and Mnih 2018, equation 3 and algorithm 2); `weight`
      is the paper's gamma. Acts on any code. Critic and model share the optimizer.

    Formula: KL(q(z) ‖ Π_j q(z_j))

    Look at: traversals: one factor a unit; where factors are known metric=disentanglement.
    """

    weight: Tensor

    def __init__(
        self,
        weight: float,
        hidden_dims: list[int],
        estimate: Literal["minibatch", "critic"] = "minibatch",
        rows: int = 128,
    ):
        super().__init__()
        require(weight >= 0, f"weight={weight} must not be negative")
        require(rows >= 2, f"rows={rows} must be at least 2")
        self.estimate = estimate
        self.rows = rows
        self.hidden_dims = list(hidden_dims)
        self.register_buffer("weight", torch.tensor(float(weight)))

    def sized(self, model: nn.Module, facts: Facts) -> None:
        """Called once, when model and data are known."""
        if self.estimate == "critic":
            self.critic = Critic(model.latent.dim, self.hidden_dims, 1)

    def forward(self, out: Pass, model: nn.Module) -> Tensor:
        z = out.code.z
        if self.estimate == "minibatch":
            groups = torch.arange(len(z), device=z.device).tensor_split(max(1, round(len(z) / self.rows)))
            return torch.cat([total_correlation(out.code.posterior.pick(group), z[group]) for group in groups])
        apart = shuffled(z.detach())
        lesson = F.softplus(-self.critic(z.detach())) + F.softplus(self.critic(apart))
        return taught(self.critic(z, frozen=True).squeeze(1), lesson.squeeze(1), self.weight)

    def check(self, model: nn.Module) -> None:
        if self.estimate == "critic":
            return
        need_posterior("total_correlation", model)
        require(
            getattr(model.latent, "space", "real") == "real",
            "total_correlation needs the density of each unit by itself, which this latent does not give: "
            "take regularizer.total_correlation.estimate=critic, or latent=gaussian",
        )


def shuffled(z: Tensor) -> Tensor:
    """Codes (B, D) each of whose units has its own order of the rows: a draw of the product of the marginals."""
    return z.gather(0, torch.rand_like(z).argsort(dim=0))


def total_correlation(posterior, z: Tensor) -> Tensor:
    """(B,) log q(z) - sum log q(z_j) with q(z) the mean of the batch's posteriors (Chen et al. 2018, appendix C.1)."""
    each = posterior.log_prob_units(z.unsqueeze(1))  # (B, B, D): sample i under the posterior of row j
    count = math.log(len(z))
    return (each.sum(-1).logsumexp(1) - count) - (each.logsumexp(1) - count).sum(-1)

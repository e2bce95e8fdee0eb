"""How dependent the units of a code are. Weights are buffers."""

from __future__ import annotations

import math
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor

from aeexp.contracts import Model, Regularizer
from aeexp.errors import UsageError
from aeexp.latents.posteriors import Normal
from aeexp.models.nn.critic import Critic
from aeexp.ranges import Count, NonNegative, Several
from aeexp.regularizers.needs import need_prior
from aeexp.tensors import own_rows, whole_rows
from aeexp.types import Facts, Pass

RIDGE = 1e-6  # on correlations: units that are copies of each other have a finite value


@final
class TotalCorrelation(Regularizer):
    """How far the units of the aggregate posterior are from independent, nats, (B,).

    - `minibatch`: the batch's posteriors stand for those of the data set: minibatch-weighted sampling without its
      constant (D - 1) log N, which moves the value and no gradient. No total correlation as a number: biased upwards
      where posteriors are narrow (by 10 nats of ten independent units and 128 rows), the more the fewer rows. It is
      taken in groups of about `rows` in evaluation too; batches hold fewer where `trainer.min_steps_per_epoch` makes
      them smaller, and training and validation then differ by the bias. A weight of beta - 1 beside `kl`
      gives the loss of beta-TC-VAE (Chen et al. 2018) with alpha = gamma = 1.
    - `critic`: the log-odds of a critic that tells codes from codes whose units were shuffled over the rows of the
      batch, trained in the same backward pass (FactorVAE, Kim and Mnih 2018, equation 3 and algorithm 2); `weight`
      is the paper's gamma. Acts on any code. Critic and model share the optimizer.

    `total_correlation_gaussian` is logged beside the term, where a batch has more rows than the code units: nats by the
    correlations of its drawn codes, 0 on average where units are independent.

    Formula: KL(q(z) ‖ Π_j q(z_j))

    Look at: latent/total_correlation_gaussian; traversals: one factor a unit; where factors are known
    metric=disentanglement.
    """

    gaussian: Tensor

    def __init__(
        self,
        weight: NonNegative,
        hidden_dims: list[Count],
        estimate: Literal["minibatch", "critic"] = "minibatch",
        rows: Several = 128,
    ):
        super().__init__(weight)
        self.estimate = estimate
        self.rows = rows
        self.hidden_dims = list(hidden_dims)
        self.register_buffer("gaussian", torch.tensor(0.0), persistent=False)  # of the last step

    def adapt(self, model: Model, facts: Facts) -> None:
        """The critic, where there is one."""
        if self.estimate == "critic":
            self.critic = Critic(model.latent.dim, self.hidden_dims, 1)

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) nats."""
        if self.estimate == "critic":
            return self.critic(out.code.z, frozen=True).squeeze(1)
        z, posterior = whole_rows(out.code.z), Normal(*map(whole_rows, out.code.posterior))
        groups = torch.arange(len(z), device=z.device).tensor_split(max(1, round(len(z) / self.rows)))
        return own_rows(torch.cat([total_correlation(posterior.pick(group), z[group]) for group in groups]))

    def observe(self, out: Pass) -> None:
        """After a step: what the drawn codes' correlations say, without the bias of few rows."""
        self.gaussian.copy_(gaussian_total_correlation(out.code.z))

    def readings(self) -> dict[str, Tensor]:
        """`total_correlation_gaussian`, nats, of the last step's batch; none where it had too few rows."""
        return {} if self.gaussian.isnan() else {"total_correlation_gaussian": self.gaussian}

    def lesson(self, out: Pass, model: Model) -> Tensor | None:
        """(B,) the critic's error in telling codes from shuffled ones."""
        if self.estimate == "minibatch":
            return None
        z = out.code.z.detach()
        shuffled = own_rows(shuffle_units(whole_rows(z), whole_rows(torch.rand_like(z))))
        return (F.softplus(-self.critic(z)) + F.softplus(self.critic(shuffled))).squeeze(1)

    def check(self, model: Model) -> None:
        """Raises UsageError where the density of a unit by itself is not to be had."""
        if self.estimate == "critic":
            return
        need_prior("total_correlation", model)
        if model.latent.space != "real" or not model.latent.by_unit:
            raise UsageError(
                "total_correlation needs the density of each unit by itself, which this latent does not give: "
                "take regularizer.total_correlation.estimate=critic, or latent=gaussian with latent/posterior=diagonal"
            )


def gaussian_total_correlation(z: Tensor) -> Tensor:
    """() nats of codes (B, D) by their correlations, less what B rows of D independent normal units have on average;
    nan where there are no more rows than units. A unit that does not vary counts as independent.

    The mean of log det of their sample correlations is the sum over i of digamma((B - i) / 2) - digamma((B - 1) / 2)
    (Muirhead 1982, theorem 3.2.20, whose determinant is a product of independent beta variables).
    """
    rows, units = z.shape
    if rows <= units:
        return z.new_tensor(math.nan)
    scaled = (z - z.mean(0)) / z.std(0, correction=0).clamp(min=1e-12)
    off = 1 - torch.eye(units, dtype=z.dtype, device=z.device)
    correlations = scaled.mT @ scaled / rows * off + (1 + RIDGE) * (1 - off)
    place = torch.arange(1, units + 1, dtype=torch.float64)
    chance = torch.digamma((rows - place) / 2) - torch.digamma(torch.tensor((rows - 1) / 2, dtype=torch.float64))
    varying = (z.std(0, correction=0) > 1e-12).sum()  # a unit that does not vary has a correlation of exactly 0
    expected = (chance.to(z) * (place.to(z) <= varying)).sum()
    return -0.5 * (torch.linalg.slogdet(correlations).logabsdet - expected)


def shuffle_units(z: Tensor, noise: Tensor) -> Tensor:
    """Codes (B, D) each of whose units has the order of the rows that its uniform noise (B, D) gives: a draw of the
    product of the marginals."""
    return z.gather(0, noise.argsort(dim=0))


def total_correlation(posterior: Normal, z: Tensor) -> Tensor:
    """(B,) log q(z) - sum log q(z_j) with q(z) the mean of the batch's posteriors (Chen et al. 2018, appendix C.1)."""
    each = posterior.log_prob_units(z.unsqueeze(1))  # (B, B, D): sample i under the posterior of row j
    count = math.log(len(z))
    return (each.sum(-1).logsumexp(1) - count) - (each.logsumexp(1) - count).sum(-1)

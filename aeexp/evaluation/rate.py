"""What the KL of a VAE is spent on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aeexp.contracts import Model
from aeexp.evaluation.encode import encode
from aeexp.evaluation.run import Run
from aeexp.latents.posteriors import Normal

ROWS, NUMBERS = 1000, 2**25  # that stand for the data, and densities of units under rows that are computed at most
BLOCK = 64  # codes that are held against all rows at a time


@torch.no_grad()
def decompose(run: Run, split: str) -> dict[str, float]:
    """The three parts of the KL in nats, as `split_kl`, of drawn rows of a split; {} where units have no densities."""
    latent = run.model.latent
    if latent.prior is None or latent.space != "real" or not latent.by_unit:
        return {}
    rows = min(ROWS, math.isqrt(NUMBERS // latent.dim))
    found: list[Normal] = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for batch in run.rows(split).sample(rows).batches(1024):
            posterior = encode(run.learner, batch).code.posterior
            if not isinstance(posterior, Normal):
                return {}
            found.append(posterior)
        whole = Normal(*(torch.cat([part[i] for part in found]) for i in range(2)))
        return split_kl(whole, whole.sample(), run.model)


def split_kl(posterior: Normal, z: Tensor, model: Model) -> dict[str, float]:
    """Of codes z (N, D), one of each row's posterior: index-code mutual information, total correlation, and the KL of
    the units' own laws from the prior (Chen et al. 2018, equation 2), with the mean of the N posteriors as q(z).

    Their sum is the mean of log q(z|x) - log p(z). Each row is among those of its own q(z): the first is log N at most.
    """
    prior = model.latent.prior
    assert prior is not None
    rows = math.log(len(z))
    joint, units = [], []
    for part in z.split(BLOCK):
        each = posterior.log_prob_units(part.unsqueeze(1))  # (b, N, D)
        joint.append(each.sum(-1).logsumexp(1) - rows)
        units.append((each.logsumexp(1) - rows).sum(-1))
    of_row, of_all, of_units = posterior.log_prob(z), torch.cat(joint), torch.cat(units)
    parts = {
        "kl_index_code": of_row - of_all,
        "kl_total_correlation": of_all - of_units,
        "kl_dimension_wise": of_units - prior.log_prob(z, model),
    }
    return {name: float(value.double().mean()) for name, value in parts.items()}

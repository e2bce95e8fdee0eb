"""The three parts of a KL: their sum, and Gaussians for which each is known."""

from __future__ import annotations

import math

import pytest
import torch
from drawn import stochastic

from aeexp.evaluation.rate import decompose, split_kl
from aeexp.latents.families import IAF
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.posteriors import Normal
from aeexp.latents.priors import Standard


class Held:
    """A model that has a prior and nothing else."""

    def __init__(self, dim: int):
        prior = Standard()
        prior.adapt(dim, ())
        self.latent = Gaussian(dim, prior)


def split_of(mean: torch.Tensor, log_var: float) -> tuple[dict[str, float], Normal, torch.Tensor]:
    posterior = Normal(mean, torch.full_like(mean, log_var))
    torch.manual_seed(1)
    z = posterior.sample()
    return split_kl(posterior, z, Held(mean.shape[1])), posterior, z


def test_the_parts_sum_to_the_kl_of_the_draws():
    torch.manual_seed(0)
    parts, posterior, z = split_of(torch.randn(200, 3, dtype=torch.float64), -1.0)
    whole = (posterior.log_prob(z) - torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)).mean()
    assert sum(parts.values()) == pytest.approx(float(whole), rel=1e-12)


def test_posteriors_that_are_the_prior_spend_nothing_and_independent_units_no_total_correlation():
    nothing, _, _ = split_of(torch.zeros(500, 3, dtype=torch.float64), 0.0)
    assert nothing["kl_index_code"] == pytest.approx(0, abs=1e-12)
    assert nothing["kl_total_correlation"] == pytest.approx(0, abs=1e-12)
    assert nothing["kl_dimension_wise"] == pytest.approx(0, abs=1e-12)


def test_of_a_gaussian_aggregate_the_parts_are_known():
    """Means N(0, v), posteriors of variance 1 - v: the aggregate is N(0, 1), and row and code share ½ log 1/(1-v)."""
    torch.manual_seed(0)
    share = 0.75
    one = math.sqrt(share) * torch.randn(1500, 1, dtype=torch.float64)
    parts, _, _ = split_of(one, math.log(1 - share))
    # 1,500 draws of terms of deviation about 1, and the aggregate from as many rows
    assert parts["kl_index_code"] == pytest.approx(0.5 * math.log(4), abs=0.08)
    assert abs(parts["kl_total_correlation"]) < 1e-9 and abs(parts["kl_dimension_wise"]) < 0.05
    # the same unit twice, each with noise of its own: correlation v, -½ log(1 - v²) of dependence
    both, _, _ = split_of(one.expand(-1, 2).contiguous(), math.log(1 - share))
    assert both["kl_total_correlation"] == pytest.approx(-0.5 * math.log(1 - share**2), abs=0.1)


def test_a_run_has_them_where_its_units_have_densities(digit_data):
    run = stochastic(digit_data)
    parts = decompose(run, "test")
    assert set(parts) == {"kl_index_code", "kl_total_correlation", "kl_dimension_wise"}
    assert 0 <= parts["kl_index_code"] <= math.log(len(run.rows("test"))) and parts == decompose(run, "test")
    run.model.latent.by_unit = False
    assert decompose(run, "test") == {}
    assert not IAF().by_unit

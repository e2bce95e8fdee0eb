"""DIP-VAE and sliced Wasserstein: their zeros and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp.errors import UsageError
from aeexp.latents.bounded import Hyperspherical
from aeexp.latents.deterministic import Sigmoid
from aeexp.latents.families import IAF
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.posteriors import Normal
from aeexp.latents.priors import Standard, Uniform
from aeexp.regularizers.dip import DIP, find_covariance, measure_covariance
from aeexp.regularizers.sliced import SlicedWasserstein, sliced_wasserstein
from aeexp.types import Batch, Code, Pass


def passed(mean, log_var=None) -> Pass:
    posterior = Normal(mean, torch.full_like(mean, -30.0) if log_var is None else log_var)
    return Pass(Batch(mean), mean, None, Code(mean, mean, posterior), mean)


def white(rows=40, units=3) -> torch.Tensor:
    z = torch.randn(rows, units, dtype=torch.float64)
    z = z - z.mean(0)
    return z @ torch.linalg.inv(torch.linalg.cholesky(find_covariance(z))).mT


def test_white_means_cost_nothing_and_anything_else_its_distance_from_the_identity():
    torch.manual_seed(0)
    z = white()
    first, second = DIP(1.0), DIP(1.0, kind="II", diagonal=1.0)
    # a Cholesky root of 40 rows in double
    assert float(first(passed(z), None)) < 1e-20
    # II: means that vary by 0.6 and posteriors by 0.4 make codes that vary by 1
    assert float(second(passed(z * 0.6**0.5, torch.full_like(z, math.log(0.4))), None)) < 1e-12
    scaled = z * torch.tensor([1.0, 2.0, 1.0]).double()
    assert float(first(passed(scaled), None)) == pytest.approx(10 * (4 - 1) ** 2)
    same = z[:, [0, 0, 1]]
    assert float(first(passed(same), None)) == pytest.approx(2 * 1.0)


@given(st.integers(0, 500))
def test_the_penalty_is_its_formula(seed):
    z = torch.randn(9, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    covariance = torch.cov(z.T, correction=0)
    torch.testing.assert_close(find_covariance(z), covariance)
    off = (covariance - torch.diag(covariance.diag())).square().sum()
    diagonal = (covariance.diag() - 1).square().sum()
    torch.testing.assert_close(measure_covariance(covariance, 3.0), off + 3 * diagonal)


def test_codes_without_a_covariance_are_refused(build_learner):
    def model(latent):
        if latent.prior is not None:
            latent.prior.adapt(latent.dim, (6,))
        return build_learner((6,), latent=latent).model

    with pytest.raises(UsageError, match="^dip needs a stochastic code"):
        DIP().check(build_learner((6,)).model)
    with pytest.raises(UsageError, match="^dip needs codes that may have any covariance"):
        DIP().check(model(Hyperspherical(3, Uniform())))
    bent = model(Gaussian(3, Standard(), IAF(hidden=4)))
    DIP().check(bent)
    with pytest.raises(UsageError, match="^regularizer.dip.kind=II.*posterior=diagonal"):
        DIP(kind="II").check(bent)
    with pytest.raises(UsageError, match="^sliced_wasserstein holds codes against"):
        SlicedWasserstein().check(model(Sigmoid(3)))


@given(st.integers(0, 500), st.integers(1, 5))
def test_equal_samples_are_0_apart_in_any_order_and_a_shift_is_its_square(seed, units):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(30, units, generator=generator, dtype=torch.float64)
    lines = torch.randn(units, 20, generator=generator, dtype=torch.float64)
    assert float(sliced_wasserstein(z, z[torch.randperm(30, generator=generator)], lines)) < 1e-28
    shift = torch.randn(units, generator=generator, dtype=torch.float64)
    # on each line a shift moves all sorted shadows by the same
    along = (shift @ (lines / lines.norm(dim=0))).square().mean()
    torch.testing.assert_close(sliced_wasserstein(z + shift, z, lines), along)
    # along all axes, times their number: the squared length of the shift
    axes = torch.eye(len(shift), dtype=z.dtype)
    torch.testing.assert_close(sliced_wasserstein(z + shift, z, axes) * len(shift), shift.square().sum())


def test_two_draws_of_the_prior_are_near_and_over_all_lines_a_shift_costs_its_length(build_learner):
    learner = build_learner((6,), 4)
    torch.manual_seed(0)
    z = torch.randn(3000, 4)
    near = float(SlicedWasserstein()(passed(z), learner.model))
    far = float(SlicedWasserstein(projections=500)(passed(z + torch.tensor([1.0, 0.0, 2.0, 0.0])), learner.model))
    # E (w.s)^2 = |s|^2 / D over lines; 500 of them scatter by 4 %
    assert near < 0.02 and far == pytest.approx(5.0, rel=0.2)

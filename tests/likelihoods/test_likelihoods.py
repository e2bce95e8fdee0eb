"""Each likelihood is the distribution whose name it bears.

Everything is computed in double: both sides round fewer than 100 positive or cancelling terms of size below 1e3,
so they agree to 1e2 * 1e3 * 2^-53 = 1e-11; 1e-9 leaves room for exp and log.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributions

from aeexp.errors import UsageError
from aeexp.likelihoods.bernoulli import Bernoulli
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.likelihoods.laplace import Laplace

seeds = st.integers(0, 10_000)
shapes = st.sampled_from([(7,), (1, 3, 4), (3, 2, 5)])


def draw(seed, shape):
    generator = torch.Generator().manual_seed(seed)
    return [3 * torch.randn(4, *shape, generator=generator, dtype=torch.float64) for _ in range(2)]


def nll(likelihood, output, target):
    return likelihood.distortion(output, target) + likelihood.constant(target[0].numel())


@given(seeds, shapes, st.floats(0.01, 10))
def test_gaussian_distortion_and_constant_are_minus_log_probability(seed, shape, variance):
    output, target = draw(seed, shape)
    likelihood = Gaussian(variance)
    exact = distributions.Normal(output, likelihood.variance.double().sqrt()).log_prob(target).flatten(1).sum(1)
    torch.testing.assert_close(nll(likelihood, output, target), -exact, rtol=1e-9, atol=1e-9)


@given(seeds, shapes)
def test_gaussian_distortion_at_variance_one_half_is_the_squared_error(seed, shape):
    output, target = draw(seed, shape)
    squared = ((output - target) ** 2).flatten(1).sum(1)
    torch.testing.assert_close(Gaussian().distortion(output, target), squared, rtol=1e-12, atol=0)


def test_the_gaussian_constant_makes_the_mean_squared_error_the_best_variance():
    output, target = draw(0, (50,))
    best = float((output - target).square().mean())
    # d nll / d variance = 0 there, and the second derivative is positive: 5 % away is worse on either side
    at = {factor: float(nll(Gaussian(best * factor), output, target).mean()) for factor in (0.95, 1.0, 1.05)}
    assert at[1.0] < at[0.95] and at[1.0] < at[1.05]


@given(seeds, shapes)
def test_laplace_distortion_and_constant_are_minus_log_probability(seed, shape):
    output, target = draw(seed, shape)
    exact = distributions.Laplace(output, 1.0).log_prob(target).flatten(1).sum(1)
    torch.testing.assert_close(nll(Laplace(), output, target), -exact, rtol=1e-9, atol=1e-9)


@given(seeds, shapes)
def test_bernoulli_distortion_of_bits_is_minus_log_probability(seed, shape):
    output, target = draw(seed, shape)
    bits = (target > 0).double()
    exact = distributions.Bernoulli(logits=output).log_prob(bits).flatten(1).sum(1)
    torch.testing.assert_close(nll(Bernoulli(), output, bits), -exact, rtol=1e-9, atol=1e-9)


@given(seeds, shapes)
def test_bernoulli_distortion_of_grey_pixels_is_the_cross_entropy_and_least_at_the_pixels_themselves(seed, shape):
    output, target = draw(seed, shape)
    grey, picture = torch.sigmoid(target), Bernoulli().mean(output)
    entropy = -(grey * picture.log() + (1 - grey) * (1 - picture).log()).flatten(1).sum(1)
    torch.testing.assert_close(Bernoulli().distortion(output, grey), entropy, rtol=1e-9, atol=1e-9)
    # Gibbs: the logits of the target itself cannot be beaten
    assert (Bernoulli().distortion(target, grey) <= Bernoulli().distortion(output, grey)).all()


@pytest.mark.parametrize("likelihood", [Gaussian(), Laplace()])
def test_the_mean_of_a_density_explains_itself_at_no_distortion(likelihood):
    output, _ = draw(1, (1, 3, 3))
    assert torch.equal(likelihood.mean(output), output)
    assert not likelihood.distortion(output, likelihood.mean(output)).any()


@pytest.mark.parametrize(("low", "high"), [(-0.01, 1.0), (0.0, 1.01), (0.0, 255.0), (-1.0, 1.0)])
def test_bernoulli_refuses_values_outside_zero_to_one(low, high):
    with pytest.raises(UsageError, match="^likelihood=bernoulli .*likelihood=gaussian"):
        Bernoulli().check(low, high)


def test_values_that_fit_are_not_refused():
    Bernoulli().check(0.0, 1.0)
    Gaussian().check(-1e9, 1e9)
    Laplace().check(-1e9, 1e9)

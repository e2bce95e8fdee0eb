"""Likelihoods of counts are scipy's laws; sizes, zeros and draws are what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from aeexp.likelihoods.counts import NegativeBinomial, Poisson, negative_binomial_log_prob
from aeexp.likelihoods.laplace import LogCosh
from aeexp.likelihoods.ms_ssim import MSSSIM, ms_ssim

seeds = st.integers(0, 1000)
shapes = st.sampled_from([(7,), (1, 3, 4), (3, 2)])
# in double: lgamma of numbers below 100 is good to 1e-14 of some hundred nats, and so are sums of a dozen
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def draw(seed, shape, likelihood, rows=4):
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(rows, *likelihood.output(shape), generator=generator, dtype=torch.float64)
    target = torch.randint(0, 12, (rows, *shape), generator=generator).double()
    return output, target * (target > 3)


def numbers(output, k, shape):
    """(B, *shape, k): a value's numbers lie beside each other, those of a picture in its channels."""
    axis = 2 if len(shape) == 2 else 1
    return output.unflatten(axis, (-1, k)).movedim(axis + 1, -1)


@given(seeds, shapes)
def test_poisson_is_scipys(seed, shape):
    likelihood = Poisson()
    output, x = draw(seed, shape, likelihood)
    expected = -stats.poisson.logpmf(x.numpy(), output.exp().numpy()).reshape(len(x), -1).sum(1)
    torch.testing.assert_close(likelihood.distortion(output, x), torch.from_numpy(expected), **CLOSE)
    assert not likelihood.constant(5)


@given(seeds, shapes, st.sampled_from(["feature", "value"]))
def test_negative_binomial_is_scipys(seed, shape, dispersion):
    likelihood = NegativeBinomial(dispersion=dispersion)
    likelihood.adapt(None, shape)
    output, x = draw(seed, shape, likelihood)
    if dispersion == "feature":
        likelihood.log_r.data.normal_(generator=torch.Generator().manual_seed(seed))
        mean, r = output.exp(), likelihood.log_r.detach().double().exp().expand(x.shape)
    else:
        mean, r = numbers(output, 2, shape).exp().unbind(-1)
    expected = -stats.nbinom.logpmf(x.numpy(), r.numpy(), (r / (r + mean)).numpy()).reshape(len(x), -1).sum(1)
    found = likelihood.double().distortion(output, x).detach()
    torch.testing.assert_close(found, torch.from_numpy(expected), **CLOSE)


@pytest.mark.parametrize("log_r", [-15.0, -3.0, 2.9, 3.1, 6.0, 9.0, 12.0, 15.0])
def test_float32_holds_a_negative_binomial_and_its_gradient_up_to_poissons_law(log_r):
    x = torch.arange(60.0)

    def measure(kind):
        at = [torch.tensor(value, dtype=kind, requires_grad=True) for value in (math.log(20.0), log_r)]
        nats = negative_binomial_log_prob(x.to(kind), *at)
        return [nats.detach(), *torch.autograd.grad(nats.sum(), at)]

    r = math.exp(log_r)
    # terms are at most x log(x + r), 60 x 15 nats, of which float32 keeps 6e-8 and a few of them are added
    expected = stats.nbinom.logpmf(x.numpy(), r, r / (r + 20.0))
    np.testing.assert_allclose(measure(torch.float32)[0], expected, atol=3e-4)
    # that of a mean is a sum of 60 numbers up to 60, that of log r of as many times a gap of digammas: 1e-5 each
    for found, exact in zip(measure(torch.float32)[1:], measure(torch.float64)[1:], strict=True):
        assert float(found) == pytest.approx(float(exact), rel=1e-4, abs=60 * 60 * 1e-6)


@given(seeds, shapes, st.sampled_from([Poisson, NegativeBinomial]))
def test_more_zeros_are_a_mixture_with_a_law_of_zeros(seed, shape, kind):
    likelihood = kind(zero_inflation=True)
    likelihood.adapt(None, shape)
    output, x = draw(seed, shape, likelihood)
    rate, zero = numbers(output, 2, shape).unbind(-1)
    share = torch.sigmoid(zero).numpy()
    law = stats.poisson(rate.exp()) if kind is Poisson else stats.nbinom(1.0, (1 / (1 + rate.exp())).numpy())
    expected = -np.log(share * (x.numpy() == 0) + (1 - share) * law.pmf(x.numpy())).reshape(len(x), -1).sum(1)
    found = likelihood.double().distortion(output, x).detach()
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-8, atol=1e-8)
    mean = likelihood.mean(output).detach()
    torch.testing.assert_close(mean, rate.exp() * (1 - torch.from_numpy(share)), **CLOSE)


@pytest.mark.parametrize("kind", [Poisson, NegativeBinomial])
def test_a_size_factor_makes_the_expected_row_as_large_as_the_row(kind):
    likelihood = kind(size="total")
    likelihood.adapt(None, (6,))
    likelihood.typical.fill_(50.0)
    output, x = draw(0, (6,), likelihood.double())
    torch.testing.assert_close(likelihood.restore(output, x).sum(1), x.sum(1), **CLOSE)
    torch.testing.assert_close(likelihood.mean(output).sum(1), torch.full((4,), 50.0).double(), **CLOSE)
    shares = likelihood.restore(output, x) / x.sum(1, keepdim=True)
    torch.testing.assert_close(shares, output.softmax(1), **CLOSE)
    # another constant of the row moves nothing, and a row of zeros is explained at no cost
    torch.testing.assert_close(likelihood.distortion(output + 7, x), likelihood.distortion(output, x))
    assert (likelihood.distortion(output, 0 * x) < 3.0).all() and likelihood.sized


def test_the_typical_size_is_the_mean_sum_of_training_rows(as_data):
    data = as_data(np.arange(12, dtype=np.float32).reshape(4, 3))
    likelihood = Poisson(size="total")
    likelihood.begin(None, data["train"])
    assert float(likelihood.typical) == pytest.approx(66 / 4)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("kind", [Poisson, NegativeBinomial])
def test_drawn_counts_have_the_mean_and_the_variance_of_their_law(kind, zeros):
    likelihood = kind(zero_inflation=zeros)
    likelihood.adapt(None, (2,))
    torch.manual_seed(0)
    output = torch.tensor([1.0, 0.3, 2.0, -0.4] if zeros else [1.0, 2.0])
    drawn = likelihood.draw(output.expand(40_000, -1)).double().detach()
    mean = torch.tensor([math.e, math.e**2]).double()
    variance = mean if kind is Poisson else mean + mean**2
    if zeros:
        share = torch.sigmoid(torch.tensor([0.3, -0.4]).double())
        variance = (1 - share) * (variance + share * mean**2)
        mean = (1 - share) * mean
    assert ((drawn.mean(0) - mean).abs() < 5 * (variance / len(drawn)).sqrt()).all()
    # the fourth moment of such a law is some ten times the square of its variance: five errors of 1.6 %
    assert ((drawn.var(0) / variance - 1).abs() < 0.08).all()


# ---------------------------------------------------------------- beside counts


@given(seeds)
def test_logcosh_is_the_hyperbolic_secant(seed):
    generator = torch.Generator().manual_seed(seed)
    output, x = torch.randn(2, 4, 6, generator=generator, dtype=torch.float64)
    likelihood = LogCosh(0.5)
    law = stats.hypsecant(loc=output.numpy(), scale=0.5)  # sech(d / s) / (π s)
    found = likelihood.distortion(output, x) + likelihood.constant(6)
    torch.testing.assert_close(found, torch.from_numpy(-law.logpdf(x.numpy()).sum(1)), rtol=1e-6, atol=1e-6)
    far = likelihood.distortion(output, output + 1e4)
    assert far.isfinite().all() and float(far[0]) == pytest.approx(6 * (2e4 - math.log(2)))


@pytest.mark.parametrize("sides", [(1, 28, 28), (3, 16, 20), (1, 8, 8)])
def test_similarity_is_1_of_equal_pictures_symmetric_and_falls_with_noise(sides):
    torch.manual_seed(0)
    likelihood = MSSSIM().double()
    a = torch.rand(5, *sides, dtype=torch.float64)
    noise = torch.randn_like(a)
    same, near, far = (ms_ssim(a, a + level * noise, likelihood.window) for level in (0.0, 0.1, 0.5))
    torch.testing.assert_close(same, torch.ones(5, dtype=torch.float64), rtol=1e-12, atol=0)
    assert (near < 1).all() and (far < near).all() and (far >= 0).all()
    torch.testing.assert_close(near, ms_ssim(a + 0.1 * noise, a, likelihood.window))
    assert not likelihood.distortion(a, a).abs().gt(1e-9).any()


def test_one_scale_of_the_similarity_is_scikit_images_definition():
    """Wang et al. 2004, equation 13, in every window, written out."""
    torch.manual_seed(1)
    a, noise = torch.rand(2, 1, 1, 9, 9, dtype=torch.float64)
    b = a + 0.3 * noise  # alike: no window has a negative correlation, which would be cut off
    window = MSSSIM().double().window
    weights = torch.outer(window, window)
    values = []
    for i in range(3):
        for j in range(3):
            p, q = a[0, 0, i : i + 7, j : j + 7], b[0, 0, i : i + 7, j : j + 7]
            mp, mq = (weights * p).sum(), (weights * q).sum()
            vp, vq = (weights * (p - mp) ** 2).sum(), (weights * (q - mq) ** 2).sum()
            both = (weights * (p - mp) * (q - mq)).sum()
            values.append((2 * mp * mq + 1e-4) * (2 * both + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
    # the weights are float32 numbers, which sum to 1 to 6e-8: so near are Σ w p² - m² and Σ w (p - m)²
    assert float(ms_ssim(a, b, window)) == pytest.approx(float(torch.stack(values).mean()), rel=1e-6)


@pytest.mark.parametrize("name", ["bernoulli", "continuous_bernoulli", "gaussian", "laplace", "logcosh", "categorical"])
def test_what_a_likelihood_draws_has_its_mean(name):
    from aeexp import likelihoods

    kind = {"bernoulli": "Bernoulli", "continuous_bernoulli": "ContinuousBernoulli", "gaussian": "Gaussian",
            "laplace": "Laplace", "logcosh": "LogCosh", "categorical": "Categorical"}[name]  # fmt: skip
    likelihood = getattr(likelihoods, kind)(5) if name == "categorical" else getattr(likelihoods, kind)()
    torch.manual_seed(0)
    output = torch.randn(likelihood.output((3,)))
    drawn = likelihood.draw(output.expand(30_000, -1))
    mean = likelihood.mean(output[None])[0]
    assert drawn.shape == (30_000, 3)
    assert ((drawn.mean(0) - mean).abs() < 5 * drawn.std(0) / math.sqrt(30_000) + 1e-6).all()
    with pytest.raises(TypeError, match="no law"):
        MSSSIM().draw(output)

"""Laws of the variational family: closed forms, bounds, priors, divergences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp.errors import UsageError
from aeexp.latents.deterministic import Sigmoid
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.posteriors import Normal, standard_log_prob
from aeexp.latents.priors import Mixture, Standard, Vamp
from aeexp.likelihoods.gaussian import Gaussian as GaussianLikelihood
from aeexp.models.learner import average
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.objectives.bounds import bound, log_weights
from aeexp.objectives.iwae import ImportanceWeighted
from aeexp.regularizers.adversary import Adversary
from aeexp.regularizers.kl import KL
from aeexp.regularizers.mmd import MMD, mmd, square_distances
from aeexp.regularizers.total_correlation import TotalCorrelation, total_correlation
from aeexp.types import Batch, Code, Pass


@pytest.fixture
def vae(build_learner):
    """vae(dim, prior, penalties, **options): a learner with a Gaussian latent on rows of 6 numbers."""

    def make(dim=3, prior=None, regularizers=None, **options):
        prior = prior or Standard()
        prior.adapt(dim, (6,))
        return build_learner((6,), latent=Gaussian(dim, prior), regularizers=regularizers, hidden_dims=[8], **options)

    return make


def posterior(rows=4, dim=3, seed=0) -> Normal:
    generator = torch.Generator().manual_seed(seed)
    return Normal(torch.randn(rows, dim, generator=generator), torch.randn(rows, dim, generator=generator))


# ---------------------------------------------------------------- KL


@given(st.integers(0, 50))
def test_the_closed_form_of_the_kl_is_its_monte_carlo_mean(seed):
    q, n = posterior(seed=seed), 20_000
    torch.manual_seed(seed)
    z = q.sample(n)
    ratio = q.log_prob(z) - standard_log_prob(z)
    # mean of n draws: five standard errors, plus float32 sums
    error = 5 * ratio.std(0) / math.sqrt(n) + 1e-4
    assert ((ratio.mean(0) - q.kl_to_standard().sum(1)).abs() < error).all()


def test_the_kl_of_the_prior_itself_is_zero_and_of_anything_else_above():
    assert not Normal(torch.zeros(2, 3), torch.zeros(2, 3)).kl_to_standard().any()
    assert (posterior().kl_to_standard() > 0).all()


def test_log_densities_are_those_of_torch():
    q = posterior()
    z = q.sample()
    theirs = torch.distributions.Normal(q.mean, (0.5 * q.log_var).exp()).log_prob(z).sum(1)
    torch.testing.assert_close(q.log_prob(z), theirs)
    torch.testing.assert_close(standard_log_prob(z), torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1))


def test_beta_one_is_the_elbo_and_beta_weighs_the_kl_alone(vae):
    batch = Batch(torch.randn(10, 6))
    for beta in (0.0, 1.0, 4.0):
        learner = vae(regularizers={"kl": KL(beta)}).eval()
        terms, out = learner(batch)
        expected = beta * out.code.posterior.kl_to_standard().sum(1)
        torch.testing.assert_close(terms["kl"], expected)


@pytest.mark.parametrize(
    ("warmup", "expected"),
    [("none", [1, 1, 1, 1, 1]), ("linear", [0, 0.5, 1, 1, 1]), ("cyclic", [0, 1, 0, 1, 0])],
)
def test_a_warmup_scales_the_weight_in_training_and_never_in_evaluation(warmup, expected, vae):
    penalty = KL(2.0, warmup=warmup, warmup_steps=10)
    model = vae(regularizers={"kl": penalty})
    for step, share in zip((0, 5, 10, 15, 20), expected, strict=True):
        penalty.train().before_step(model.model, None, step)
        assert float(penalty.scale()) == pytest.approx(2.0 * share)
        assert float(penalty.eval().scale()) == 2.0


def test_free_bits_cost_nothing_more_below_and_everything_above(vae):
    learner = vae(regularizers={"kl": KL(1.0, free_bits=0.5)})
    _, out = learner(Batch(torch.randn(20, 6)))
    units = out.code.posterior.kl_to_standard().mean(0)
    value = learner.objective.regularizers["kl"](out, learner.model)
    torch.testing.assert_close(value.mean(), units.clamp(min=0.5).sum())


def test_a_capacity_is_approached_from_both_sides(vae):
    learner = vae(regularizers={"kl": KL(1.0, capacity=7.0)}).eval()
    _, out = learner(Batch(torch.randn(20, 6)))
    value = learner.objective.regularizers["kl"](out, learner.model)
    torch.testing.assert_close(value, (out.code.posterior.kl_to_standard().sum(1).mean() - 7).abs())
    with pytest.raises(UsageError, match="^capacity=7.0 holds the whole KL, and free_bits=1.0"):
        KL(1.0, capacity=7.0, free_bits=1.0)


def test_a_code_without_posterior_is_refused(build_learner):
    for penalty, name in ((KL(), "kl"), (TotalCorrelation(5.0, []), "total_correlation")):
        with pytest.raises(UsageError, match=f"^{name} needs a stochastic code.*latent=gaussian"):
            penalty.check(build_learner((6,)).model)


# ---------------------------------------------------------------- bounds


def test_one_sample_of_iwae_is_the_elbo_in_the_mean(vae):
    learner = vae(regularizers={"kl": KL()}).eval()
    single = ImportanceWeighted(Chain({}), {}, samples=1)
    batch = learner.task(Batch(torch.randn(1, 6).expand(20_000, 6)))
    with torch.no_grad():
        elbo = sum(learner.objective(learner.model, batch)[0].values())
        bounds = single(learner.model, batch)[0]["bound"]
    error = 5 * (elbo.std() + bounds.std()) / math.sqrt(len(elbo))
    assert abs(float(elbo.mean() - bounds.mean())) < float(error)


def test_the_bound_rises_with_the_number_of_samples(vae):
    learner = vae().eval()
    batch = learner.task(Batch(torch.randn(1, 6).expand(4000, 6)))
    with torch.no_grad():
        means = [float(bound(log_weights(learner.model, batch, batch.x, k)[0]).mean()) for k in (1, 5, 50)]
    assert means[0] < means[1] < means[2]


def linear_gaussian(vae, variance=0.3):
    """A model whose p(x) is known: x = W z + b + noise, and a proposal that is not the posterior."""
    learner = vae(dim=2, likelihood=GaussianLikelihood(variance)).double().eval()
    decoder = learner.model.decoder
    decoder.layers = torch.nn.ModuleList([torch.nn.Linear(2, 6).double()])
    return learner, decoder.layers[0].weight.detach(), decoder.layers[0].bias.detach()


def test_the_estimate_of_a_linear_gaussian_model_is_its_closed_form(vae):
    learner, weight, bias = linear_gaussian(vae)
    x = 0.3 * torch.randn(8, 6, dtype=torch.float64)
    marginal = torch.distributions.MultivariateNormal(bias, weight @ weight.T + 0.3 * torch.eye(6, dtype=torch.float64))
    with torch.no_grad():
        batch = learner.task(Batch(x))
        weights, _, _ = log_weights(learner.model, batch, x, 20_000)
        estimate = bound(weights) - learner.model.likelihood.constant(6)
    # relative standard error of a mean of weights, which is the error of its log
    share = (weights - weights.max(0).values).exp()
    error = share.std(0) / share.mean(0) / math.sqrt(len(weights))
    assert error.max() < 0.2  # else the test says little
    assert ((estimate - marginal.log_prob(x)).abs() < 5 * error + 1e-6).all()


def test_the_doubly_reparameterised_gradient_has_the_standard_ones_mean(vae):
    torch.manual_seed(0)
    learner = vae().double()
    batch = learner.task(Batch(torch.randn(1, 6, dtype=torch.float64).expand(20_000, 6)))
    found = {}
    for kind in ("standard", "doubly_reparameterized"):
        learner.zero_grad()
        objective = ImportanceWeighted(Chain({}), {}, samples=4, gradient=kind)
        torch.manual_seed(1)
        loss = objective(learner.model, batch)[0]["bound"].mean()
        loss.backward()
        gradients = {n: p.grad.clone() for n, p in learner.named_parameters() if p.grad is not None}
        found[kind] = float(loss.detach()), gradients
    (value, ours), (same, theirs) = found.values()
    assert value == pytest.approx(same, rel=1e-12)
    for name, gradient in ours.items():
        scale = gradient.abs().max() + 1e-3
        if "decoder" in name:
            torch.testing.assert_close(gradient, theirs[name], rtol=1e-9, atol=1e-12)
        else:  # equal in expectation: 20,000 rows leave some hundredths
            assert ((gradient - theirs[name]).abs().max() / scale) < 0.1


def test_a_kl_beside_the_bound_is_refused_and_iwae_trains_through_average(vae, as_data):
    with pytest.raises(UsageError, match="leave kl out"):
        ImportanceWeighted(Chain({}), {"kl": KL()})
    learner = vae()
    learner.objective = ImportanceWeighted(Chain({}), {}, samples=3)
    values = average(learner, as_data(torch.randn(40, 6).numpy())["val"])
    assert set(values) == {"loss", "bound"} and math.isfinite(values["loss"])


# ---------------------------------------------------------------- priors


@pytest.mark.parametrize("prior", [Standard(), Mixture(4), Vamp(5)])
def test_a_prior_is_a_density_and_its_samples_are_its_own(prior, vae):
    learner = vae(dim=2, prior=prior).double().eval()
    if isinstance(prior, Vamp):
        prior.rows.data.normal_()
    with torch.no_grad():
        side = torch.linspace(-12, 12, 600, dtype=torch.float64)
        grid = torch.cartesian_prod(side, side)
        density = prior.log_prob(grid, learner.model).exp()
        area = float((side[1] - side[0]) ** 2)
        assert float(density.sum()) * area == pytest.approx(1.0, abs=1e-3)  # a Riemann sum of smooth bumps
        z = prior.sample(20_000, learner.model).double()
        mean = (grid * density[:, None]).sum(0) * area
        spread = ((grid - mean).square() * density[:, None]).sum(0) * area
        assert ((z.mean(0) - mean).abs() < 5 * (spread / len(z)).sqrt() + 1e-3).all()
        torch.testing.assert_close(z.var(0), spread, rtol=0.1, atol=0)


def test_the_pseudo_inputs_start_as_training_rows(vae, as_data):
    learner = vae(prior=Vamp(8))
    data = as_data(torch.randn(30, 6).numpy())
    learner.before_step(data["train"], 0)
    rows = {tuple(row) for row in data["train"].x.tolist()}
    assert all(tuple(row) in rows for row in learner.model.latent.prior.rows.tolist())
    kept = learner.model.latent.prior.rows.clone()
    learner.before_step(data["train"], 1)
    assert torch.equal(kept, learner.model.latent.prior.rows)


def test_a_model_with_a_prior_draws_from_it(vae):
    model = vae(dim=4).model
    torch.manual_seed(3)
    codes = model.sample_codes(5000)
    assert codes.mean().abs() < 5 / math.sqrt(20_000) and abs(float(codes.std()) - 1) < 5 / math.sqrt(2 * 20_000)
    assert model.sample(3).shape == (3, 6)


# ---------------------------------------------------------------- divergences


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_of_equal_laws_is_about_zero_and_of_others_above(kernel):
    torch.manual_seed(0)
    same = torch.stack([mmd(torch.randn(200, 4), torch.randn(200, 4), kernel) for _ in range(50)])
    assert abs(float(same.mean())) < 5 * float(same.std()) / math.sqrt(50)  # unbiased
    other = mmd(torch.randn(200, 4) + 1, torch.randn(200, 4), kernel)
    assert float(other) > float(same.max())


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40), st.integers(1, 70), st.floats(-100, 100))
def test_square_distances_are_those_of_each_pair_wherever_the_codes_lie(seed, n, m, dim, offset):
    torch.manual_seed(seed)
    a, b = torch.randn(n, dim) + offset, torch.randn(m, dim) + offset
    pairs = (a.double()[:, None] - b.double()).square().sum(-1)
    # Centred, a coordinate is off by 2 eps (|offset| + 5), its square by 20 times that; the sums of a product have an
    # error of dim eps times about 3 * 25 a coordinate.
    eps = torch.finfo(torch.float32).eps
    bound = dim * eps * (40 * (abs(offset) + 5) + 75 * dim)
    assert (square_distances(a, b) - pairs).abs().max() <= bound


def test_the_gradient_of_square_distances_is_that_of_each_pair():
    torch.manual_seed(0)
    a, b = (torch.randn(6, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weight = torch.randn(6, 6, dtype=torch.float64)
    wanted = torch.autograd.grad((weight * (a[:, None] - b).square().sum(-1)).sum(), (a, b))
    for found, value in zip(torch.autograd.grad((weight * square_distances(a, b)).sum(), (a, b)), wanted, strict=True):
        assert torch.allclose(found, value, rtol=1e-11, atol=1e-12)  # doubles, sums of few terms


def test_mmd_by_hand():
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [2.0]])

    def k(distance: float) -> float:
        return math.exp(-(distance**2) / 2)

    expected = k(1) + k(2) - 2 * (k(0) + k(2) + k(1) + k(1)) / 4
    assert float(mmd(a, b, "rbf")) == pytest.approx(expected, rel=1e-5)


def test_total_correlation_is_zero_for_independent_units_and_has_its_closed_form():
    torch.manual_seed(0)
    n, rho, noise = 3000, 0.8, 0.6
    for correlation, expected in ((0.0, 0.0), (rho, None)):
        mean = torch.randn(n, 2)
        mean[:, 1] = correlation * mean[:, 0] + math.sqrt(1 - correlation**2) * mean[:, 1]
        q = Normal(mean, torch.full((n, 2), math.log(noise**2)))
        r = correlation / (1 + noise**2)  # of the codes, which have variance 1 + noise^2
        expected = -0.5 * math.log(1 - r**2)
        value = total_correlation(q, q.sample())
        # five standard errors of the mean, and as much again for the kernel density's own bias at this n
        assert abs(float(value.mean()) - expected) < 10 * float(value.std()) / math.sqrt(n)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_the_logged_total_correlation_has_no_bias_of_few_rows(correlation):
    """Ten independent units of narrow posteriors: the term of a batch of 128 says 10 nats where the truth is 0."""
    torch.manual_seed(0)
    rows, units, noise, found = 128, 10, 0.2, []
    penalty = TotalCorrelation(1.0, [])
    for _ in range(100):
        mean = torch.randn(rows, units)
        mean[:, 1] = correlation * mean[:, 0] + math.sqrt(1 - correlation**2) * mean[:, 1]
        q = Normal(mean, torch.full((rows, units), math.log(noise**2)))
        z = q.sample()
        penalty.observe(Pass(Batch(mean), mean, None, Code(z, mean, q), mean))
        found.append((float(total_correlation(q, z).mean()), float(penalty.readings()["total_correlation_gaussian"])))
    (biased, gaussian), error = np.mean(found, 0), np.std(found, 0)[1] / 10
    assert biased > 8
    r = correlation / (1 + noise**2)  # of the codes
    # what is left of the bias is of the next order, D (D - 1) (2 D + 5) / 24 B^2
    assert gaussian == pytest.approx(-0.5 * math.log(1 - r**2), abs=5 * error + 0.01)


def test_the_total_correlation_of_a_split_is_that_of_batches_of_training(vae):
    """Its bias is that of few rows: of 256 rows in groups of 64 as of four batches, and not of 256 at once."""
    learner = vae(regularizers={"tc": TotalCorrelation(1.0, [], rows=64)}).eval()
    _, out = learner(Batch(torch.randn(256, 6)))
    value = learner.objective.regularizers["tc"](out, learner.model)
    q, z = out.code.posterior, out.code.z
    parts = [torch.arange(start, start + 64) for start in range(0, 256, 64)]
    torch.testing.assert_close(value, torch.cat([total_correlation(q.pick(part), z[part]) for part in parts]))
    assert not torch.allclose(value, total_correlation(q, z), atol=0.01)


def test_codes_that_cannot_lie_as_the_normal_law_does_are_not_held_against_it(build_learner):
    for penalty in (MMD(), Adversary(1.0, [])):
        penalty.check(build_learner((6,)).model)
        with pytest.raises(UsageError, match=r"holds codes against N\(0, I\).*take latent=deterministic"):
            penalty.check(build_learner((6,), latent=Sigmoid(3)).model)


def test_mmd_takes_any_code_and_gradients_reach_it(build_learner):
    learner = build_learner((6,), regularizers={"mmd": MMD(1.0)})
    terms, _ = learner(Batch(torch.randn(16, 6)))
    terms["mmd"].backward()
    assert learner.model.encoder.layers[0].weight.grad.abs().sum() > 0


def test_additive_and_evaluation_use_the_same_weights(vae, as_data):
    penalty = KL(1.0, warmup="linear", warmup_steps=100)
    learner = vae(regularizers={"kl": penalty})
    data = as_data(torch.randn(50, 6).numpy())
    learner.before_step(data["train"], 10)
    assert isinstance(learner.objective, Additive)
    values = average(learner, data["val"])
    learner.before_step(data["train"], 90)
    assert average(learner, data["val"]) == values  # losses of different steps can be compared

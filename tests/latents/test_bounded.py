"""Laws of codes on a sphere and of one-hot groups: densities, divergences, gradients, and the parts that meet them."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import torch
from composing import run_in
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln, psi, roots_jacobi

from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.evaluation.samplers import QUICK, SAMPLERS
from aeexp.latents.bounded import Categorical, Hyperspherical
from aeexp.latents.bounded_posteriors import Categorical as OneHots
from aeexp.latents.bounded_posteriors import PowerSpherical, sphere_area, unit
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.priors import Mixture, Standard, Uniform, Vamp
from aeexp.metrics.latent import Latent
from aeexp.noises import Chain
from aeexp.objectives.bounds import bound, log_weights
from aeexp.objectives.iwae import ImportanceWeighted
from aeexp.plots.interpolation import Interpolation
from aeexp.plots.manifold import Manifold
from aeexp.regularizers.kl import KL
from aeexp.regularizers.mmd import MMD
from aeexp.regularizers.total_correlation import TotalCorrelation
from aeexp.tensors import digamma_gap, log_gamma_ratio
from aeexp.types import Batch

MAKE = {
    "sphere": lambda prior=None, dim=4: Hyperspherical(dim, prior or Uniform()),
    "onehot": lambda prior=None, dim=6: Categorical(dim, prior or Uniform(), classes=3),
}
kinds = pytest.mark.parametrize("kind", MAKE)


def spherical(dim: int, scales=(1.0, 3.0, 40.0), dtype=torch.float64) -> PowerSpherical:
    loc = unit(torch.randn(len(scales), dim, dtype=torch.float64, generator=torch.Generator().manual_seed(7)))
    return PowerSpherical(loc.to(dtype), torch.tensor(scales, dtype=dtype))


def grouped(rows=3, groups=2, classes=3, relaxed=False, hard=False, temperature=0.5) -> OneHots:
    logits = torch.randn(rows, groups, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return OneHots(logits, torch.tensor(temperature, dtype=torch.float64), relaxed, hard)


def every_code(groups: int, classes: int) -> torch.Tensor:
    """(C^G, G * C) double"""
    eye = torch.eye(classes, dtype=torch.float64)
    return torch.stack([eye[list(values)].flatten() for values in itertools.product(range(classes), repeat=groups)])


@pytest.fixture
def coded(build_learner):
    """coded(kind, prior=..., dim=..., **options): a learner with such a latent on rows of 6 numbers."""

    def make(kind, prior=None, **options):
        latent = MAKE[kind](prior, **{key: options.pop(key) for key in ("dim",) if key in options})
        latent.prior.adapt(latent.dim, (6,))
        return build_learner((6,), latent=latent, hidden_dims=[8], **options)

    return make


# ---------------------------------------------------------------- densities and divergences


@pytest.mark.parametrize("dim", [2, 3, 16, 128])
def test_the_density_on_the_sphere_integrates_to_one_and_has_the_closed_entropy(dim):
    q = spherical(dim, (1.0, 3.0, 40.0, 90.0))
    # Gauss-Jacobi: exact for the polynomials (1 + t)^scale; slices of the sphere at height t have this weight
    heights, weights = roots_jacobi(200, (dim - 3) / 2, (dim - 3) / 2)
    for row in range(4):
        loc, side = q.loc[row], unit(torch.randn(dim, dtype=torch.float64))
        across = unit(side - (side @ loc) * loc)
        t = torch.from_numpy(heights)[:, None]
        density = PowerSpherical(loc, q.scale[row]).log_prob(t * loc + (1 - t**2).sqrt() * across)
        share = torch.from_numpy(weights) * math.exp(sphere_area(dim - 1)) * density.exp()
        assert float(share.sum()) == pytest.approx(1, abs=1e-6)  # the weights' own rounding at 200 nodes
        assert float(-(share * density).sum()) == pytest.approx(float(q.entropy()[row]), abs=1e-5)


def test_the_probabilities_of_all_codes_sum_to_one_and_give_the_kl():
    q, codes = grouped(), every_code(2, 3)
    log_prob = q.log_prob(codes.unsqueeze(1))  # (9, 3 rows)
    torch.testing.assert_close(log_prob.exp().sum(0), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(q.kl_to_uniform().sum(1), (log_prob.exp() * (log_prob + math.log(9))).sum(0))
    assert not OneHots(torch.zeros(2, 2, 3), torch.tensor(1.0), False, False).kl_to_uniform().abs().gt(1e-6).any()


@given(st.sampled_from([2, 3, 16]), st.integers(0, 20))
def test_the_kl_to_the_uniform_law_on_the_sphere_is_its_monte_carlo_mean(dim, seed):
    torch.manual_seed(seed)
    q, n = spherical(dim), 10_000
    ratio = q.log_prob(q.sample(n)) + sphere_area(dim)
    assert ((ratio.mean(0) - q.kl_to_uniform()[:, 0]).abs() < 5 * ratio.std(0) / math.sqrt(n) + 1e-9).all()


def test_a_scale_of_zero_is_the_uniform_law_and_its_area_that_of_circle_and_sphere():
    for dim in (2, 3, 16, 128):
        q = PowerSpherical(unit(torch.randn(5, dim)), torch.zeros(5))
        assert q.kl_to_uniform().abs().max() < 1e-4  # sums of some hundred in float32
        torch.testing.assert_close(q.log_prob(unit(torch.randn(5, dim))), torch.full((5,), -sphere_area(dim)))
    assert sphere_area(2) == pytest.approx(math.log(2 * math.pi)) and sphere_area(3) == pytest.approx(
        math.log(4 * math.pi)
    )


@pytest.mark.parametrize("dim", [2, 3, 16, 128])
def test_float32_holds_density_kl_and_gradients_at_every_concentration(dim):
    scales = torch.tensor([1.0, 5.0, 30.0, 1e3, 1e4, 1e5])
    half = (dim - 1) / 2
    a = scales.double().numpy() + half
    # float32 keeps 6e-8 of terms whose size is half * log(scale); measured below 1e-4
    np.testing.assert_allclose(log_gamma_ratio(scales + half, half), gammaln(a + half) - gammaln(a), rtol=1e-5)
    np.testing.assert_allclose(digamma_gap(scales + half, half), psi(a + half) - psi(a), rtol=1e-5)
    q = spherical(dim, scales.tolist(), torch.float32)
    parameters = [value.requires_grad_() for value in q]
    z = q.sample(200)
    assert (z.norm(dim=-1) - 1).abs().max() < 1e-5
    exact = PowerSpherical(*(value.detach().double() for value in q))
    exact = PowerSpherical(unit(exact.loc), exact.scale)
    # a code's place is good to 1e-7, its distance from loc is sqrt(dim / scale): scale * distance * 1e-7
    torch.testing.assert_close(q.log_prob(z).double(), exact.log_prob(unit(z.double())), rtol=1e-4, atol=2e-2)
    torch.testing.assert_close(q.kl_to_uniform().double(), exact.kl_to_uniform(), rtol=1e-4, atol=1e-3)
    (z.sum() + q.log_prob(z).mean() + q.kl_to_uniform().sum()).backward()
    assert all(value.grad.isfinite().all() for value in parameters)
    assert q.log_prob(-q.loc).isfinite().all()  # the opposite pole, whose density is 0


# ---------------------------------------------------------------- draws and their gradients


@pytest.mark.parametrize("dim", [2, 3, 16])
def test_draws_on_the_sphere_have_the_closed_mean_and_no_side(dim):
    q, n = spherical(dim), 20_000
    z = q.sample(n)
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(n, 3, dtype=torch.float64))
    length = q.scale / (q.scale + dim - 1)  # (alpha - beta) / (alpha + beta) of the paper's Beta law
    error = 5 * z.std(0) / math.sqrt(n) + 1e-9
    assert ((z.mean(0) - length.unsqueeze(1) * q.loc).abs() < error).all()
    height = (z * q.loc).sum(-1)
    a, b = q.scale + (dim - 1) / 2, (dim - 1) / 2
    variance = 4 * a * b / ((a + b) ** 2 * (a + b + 1))
    spread = (height - length).square()
    assert ((spread.mean(0) - variance).abs() < 5 * spread.std(0) / math.sqrt(n)).all()


@pytest.mark.parametrize("dim", [2, 3, 16])
def test_gradients_through_a_draw_on_the_sphere_are_those_of_its_mean(dim):
    n, scale = 40_000, 4.0
    one = spherical(dim, (scale,))
    rows, scales = one.loc.expand(n, -1).clone().requires_grad_(), torch.full((n,), scale, dtype=torch.float64)
    direction = torch.randn(dim, dtype=torch.float64)
    (PowerSpherical(unit(rows), scales.requires_grad_()).sample() @ direction).sum().backward()
    along = float(direction @ one.loc[0])
    # mean = loc * s / (s + D - 1)
    expected = {"scale": along * (dim - 1) / (scale + dim - 1) ** 2, "loc": direction - along * one.loc[0]}
    expected["loc"] = expected["loc"] * scale / (scale + dim - 1)
    for name, gradient in (("scale", scales.grad), ("loc", rows.grad)):
        error = 5 * gradient.std(0) / math.sqrt(n) + 1e-9
        assert ((gradient.mean(0) - expected[name]).abs() < error).all(), name
        assert gradient.abs().max() > 0


def test_exact_draws_are_one_hot_with_the_frequencies_of_the_softmax():
    q, n = grouped(), 20_000
    z = q.sample(n)
    assert z.shape == (n, 3, 6) and set(z.unique().tolist()) == {0.0, 1.0}
    assert (z.unflatten(-1, (2, 3)).sum(-1) == 1).all()
    share = q.probabilities()
    assert ((z.mean(0) - share).abs() < 5 * (share * (1 - share) / n).sqrt()).all()
    assert q.sample().shape == (3, 6) and not q._replace(logits=q.logits.requires_grad_()).sample().requires_grad


@pytest.mark.parametrize("hard", [False, True])
def test_relaxed_draws_have_the_same_largest_units_and_carry_gradients(hard):
    q, n = grouped(relaxed=True, hard=hard), 20_000
    logits = q.logits.clone().requires_grad_()
    z = q._replace(logits=logits).sample(n)
    largest = torch.nn.functional.one_hot(z.unflatten(-1, (2, 3)).argmax(-1), 3).double().mean(0).flatten(1)
    share = q.probabilities()
    assert ((largest - share).abs() < 5 * (share * (1 - share) / n).sqrt()).all()
    torch.testing.assert_close(z.unflatten(-1, (2, 3)).sum(-1), torch.ones(n, 3, 2, dtype=torch.float64))
    assert (set(z.unique().tolist()) == {0.0, 1.0}) == hard  # straight-through: one-hot to the last bit
    z[..., 0].sum().backward()
    assert (logits.grad[:, 0] != 0).all() and not logits.grad[:, 1].any()


def test_a_temperature_near_zero_gives_one_hot_codes_and_the_gradient_of_the_probabilities():
    q = grouped(rows=1, groups=1, relaxed=True, temperature=1e-6)
    z = q.sample(1000)
    assert (z.max(-1).values > 1 - 1e-6).float().mean() > 0.99  # but for draws whose two largest all but tie
    n, temperature = 200_000, 0.1
    logits = q.logits[0].expand(n, 1, 3).clone().requires_grad_()
    tau = torch.tensor(temperature, dtype=torch.float64)
    OneHots(logits, tau, True, False).sample()[:, 0].sum().backward()
    share = q.probabilities()[0]
    expected = share[0] * (torch.tensor([1.0, 0, 0]) - share)
    error = 5 * logits.grad[:, 0].std(0) / math.sqrt(n) + temperature**2  # the relaxation's own bias
    assert ((logits.grad[:, 0].mean(0) - expected).abs() < error).all()
    assert expected.abs().min() > 0.03  # the bound can fail


def test_the_temperature_falls_by_equal_factors_and_lies_in_the_state():
    latent = Categorical(6, Uniform(), classes=3, temperature=2.0, final_temperature=0.5, anneal_steps=10)
    for step, expected in ((0, 2.0), (5, 1.0), (10, 0.5), (99, 0.5)):
        latent.before_step(None, None, step)
        assert float(latent.current) == pytest.approx(expected)
        assert latent.train()(torch.zeros(1, 6)).posterior.temperature is latent.current
    assert {"start", "final", "current"} <= set(latent.state_dict())


# ---------------------------------------------------------------- latents and priors


@kinds
def test_draws_of_the_uniform_prior_are_codes_without_a_side(kind, coded):
    model = coded(kind).model
    latent, n = model.latent, 20_000
    z = latent.prior.sample(n, model)
    torch.testing.assert_close(latent.project(z), z)
    mean = 0.0 if kind == "sphere" else 1 / 3
    assert ((z.mean(0) - mean).abs() < 5 * z.std(0) / math.sqrt(n)).all()
    torch.testing.assert_close(z.var(0), torch.full((latent.dim,), latent.unit_variance), rtol=0.1, atol=0)
    torch.testing.assert_close(model.sample_codes(50).shape, torch.Size([50, latent.dim]))
    log_prob = latent.prior.log_prob(z, model)
    assert log_prob.shape == (n,) and float(log_prob[0]) == pytest.approx(
        -sphere_area(4) if kind == "sphere" else -2 * math.log(3)
    )


@kinds
@given(st.integers(0, 99))
def test_a_projection_gives_a_code_and_leaves_codes_alone(kind, seed):
    torch.manual_seed(seed)
    latent = MAKE[kind]()
    z = latent.project(3 * torch.randn(5, 7, latent.dim))
    torch.testing.assert_close(latent.project(z), z)
    if kind == "sphere":
        torch.testing.assert_close(z.norm(dim=-1), torch.ones(5, 7))
        assert latent.project(torch.zeros(2, 4)).tolist() == [[1, 0, 0, 0]] * 2  # no direction: any will do
    else:
        assert (z.unflatten(-1, (2, 3)).sum(-1) == 1).all() and set(z.unique().tolist()) == {0.0, 1.0}
    code = latent.eval()(torch.randn(5, latent.params))
    torch.testing.assert_close(latent.project(code.z), code.z)
    low, high = latent.range
    assert ((code.mean >= low) & (code.mean <= high)).all() and code.mean.shape == (5, latent.dim)


def test_an_encoder_that_gives_nothing_has_a_direction_and_finite_gradients():
    h = torch.zeros(3, 5, requires_grad=True)
    code = Hyperspherical(4, Uniform())(h)
    code.z.sum().backward()
    assert h.grad.isfinite().all() and code.mean.norm(dim=1).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(3, Uniform()), "^prior=uniform .* real vectors: take latent/prior=standard"),
        (lambda: Hyperspherical(3, Standard()), "^prior=standard .* unit sphere: take latent/prior=uniform"),
        (lambda: Categorical(8, Mixture(3)), "^prior=mixture .* one-hot units: take latent/prior=uniform"),
        (lambda: Categorical(20, Uniform()), "^dim=20 is no multiple of latent.classes=8: take latent.dim=16"),
        (lambda: Categorical(8, Uniform(), final_temperature=2.0), "^final_temperature=2.0 .*latent.temperature=1.0"),
    ],
)
def test_what_does_not_fit_is_told_with_a_way_out(make, message):
    with pytest.raises(UsageError, match=message):
        make()


@kinds
def test_a_vamp_prior_over_such_codes_is_a_law_and_its_draws_are_its_own(kind, coded):
    learner = coded(kind, Vamp(5), dim=2 if kind == "sphere" else 6).double().eval()
    model, prior = learner.model, learner.model.latent.prior
    prior.rows.data.normal_()
    with torch.no_grad():
        if kind == "sphere":
            angle = torch.arange(2000, dtype=torch.float64) * (2 * math.pi / 2000)
            codes, area = torch.stack([angle.cos(), angle.sin()], 1), 2 * math.pi / 2000
        else:
            codes, area = every_code(2, 3), 1.0
        share = prior.log_prob(codes, model).exp() * area
        assert float(share.sum()) == pytest.approx(1, abs=1e-6)  # equal steps of a smooth periodic function
        z = prior.sample(20_000, model)
        error = 5 * z.std(0) / math.sqrt(len(z))
        assert ((z.mean(0) - (share.unsqueeze(1) * codes).sum(0)).abs() < error).all()


@kinds
@pytest.mark.parametrize("few", [1, 2, 4])
def test_pseudo_inputs_that_are_many_are_held_against_codes_few_at_a_time(kind, few, coded, monkeypatch):
    learner = coded(kind, Vamp(5)).double().eval()
    model, prior = learner.model, learner.model.latent.prior
    prior.rows.data.normal_()
    with torch.no_grad():
        z = prior.sample(7, model).expand(2, 7, -1)
        at_once = prior.log_prob(z, model)
        monkeypatch.setattr("aeexp.latents.priors.AT_ONCE", few * z.numel())
        torch.testing.assert_close(prior.log_prob(z, model), at_once, rtol=1e-12, atol=0)


# ---------------------------------------------------------------- bounds, penalties, metrics


@kinds
@pytest.mark.parametrize("prior", [Uniform, lambda: Vamp(4)])
def test_one_importance_weight_is_the_elbo_in_the_mean_and_more_are_above(kind, prior, coded):
    learner = coded(kind, prior(), regularizers={"kl": KL()}).eval()
    if isinstance(learner.model.latent.prior, Vamp):
        learner.model.latent.prior.rows.data.normal_()
    batch = learner.task(Batch(torch.randn(1, 6).expand(10_000, 6)))
    with torch.no_grad():
        elbo = -sum(learner.objective(learner.model, batch)[0].values())
        weights = {k: log_weights(learner.model, batch, batch.x, k)[0] for k in (1, 20)}
    assert weights[20].shape == (20, 10_000)
    one, many = bound(weights[1]), bound(weights[20])
    error = 5 * (elbo.std() + one.std()) / math.sqrt(len(elbo))
    assert abs(float(elbo.mean() - one.mean())) < float(error)
    assert many.mean() > one.mean()


@kinds
def test_penalties_on_such_codes(kind, coded, as_data):
    learner = coded(kind, regularizers={"kl": KL(), "mmd": MMD()})
    terms, out = learner(Batch(torch.randn(20, 6)))
    sum(term.mean() for term in terms.values()).backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in learner.model.encoder.parameters())
    groups = {"sphere": 1, "onehot": 2}[kind]
    assert learner.model.latent.prior.kl(out.code.posterior, out.code.z, learner.model).shape == (20, groups)
    held = KL(free_bits=2.0)(out, learner.model)
    torch.testing.assert_close(held, torch.full((20,), 2.0 * groups))  # an untrained encoder's KL lies below
    with pytest.raises(UsageError, match="^total_correlation needs the density of each unit.*latent=gaussian"):
        TotalCorrelation(1.0, []).check(learner.model)


def test_the_doubly_reparameterised_gradient_wants_a_density(coded):
    batch = Batch(torch.randn(20, 6), target=torch.randn(20, 6))
    objective = ImportanceWeighted(Chain({}), {}, samples=3, gradient="doubly_reparameterized")
    objective(coded("sphere").model, batch)[0]["bound"].mean().backward()
    with pytest.raises(UsageError, match="^gradient=doubly_reparameterized .*objective.gradient=standard"):
        objective.check(coded("onehot").model)


@kinds
def test_made_up_codes_and_lines_are_codes(kind, coded, as_data, monkeypatch):
    learner = coded(kind)
    latent = learner.model.latent
    run = Run(learner, as_data(torch.rand(60, 6).numpy()))
    for draw in map(SAMPLERS.__getitem__, QUICK):
        z = torch.from_numpy(draw(run, 30, 0))
        torch.testing.assert_close(latent.project(z), z)
    seen = []
    decode = learner.model.decode
    monkeypatch.setattr(learner.model, "decode", lambda z, *rest: seen.append(z) or decode(z, *rest))
    assert Interpolation(pairs=3)(run)
    torch.testing.assert_close(latent.project(seen[0]), seen[0])


def test_the_plane_of_a_circle_is_not_drawn(coded, as_data):
    run = Run(coded("sphere", dim=2), as_data(torch.rand(60, 6).numpy()))
    assert Manifold()(run) == {}


def test_units_of_groups_that_fell_back_to_the_prior_are_counted(coded, as_data):
    learner = coded("onehot")
    with torch.no_grad():
        last = learner.model.encoder.layers[-1]
        last.weight[:3], last.bias[:3] = 0, 0  # group 1 says nothing
        last.weight[3:] *= 20
    found = Latent()(Run(learner, as_data(torch.rand(100, 6).numpy())), "test")
    assert found["latent/collapsed_units"] == 3, "all of one group of two"
    assert found["latent/active_units"] <= 3 and found["latent/kl"] == pytest.approx(found["latent/kl_largest_unit"])
    assert Latent()(Run(coded("sphere"), as_data(torch.rand(100, 6).numpy())), "test")["latent/kl"] > 0


def test_the_kl_that_is_reported_is_that_of_drawn_codes(coded, as_data):
    """Where the prior has no closed form; at the mean code the ratio would be the density's peak."""
    learner = coded("sphere", Vamp(4), regularizers={"kl": KL()})
    learner.model.latent.prior.rows.data.normal_()
    data = as_data(torch.rand(2000, 6).numpy())
    reported = Latent()(Run(learner, data), "test")["latent/kl"]
    with torch.no_grad():
        terms, _ = learner.eval()(data["test"].batch(slice(0, 2000)))
    error = 5 * float(terms["kl"].std()) * math.sqrt(2 / 2000)
    assert abs(reported - float(terms["kl"].mean())) < error


@pytest.mark.parametrize(
    "words", [["latent=hyperspherical"], ["latent=categorical"], ["latent=categorical", "latent.hard=true"]]
)
def test_a_vae_with_such_codes_trains_and_is_measured(words, tmp_path):
    budget = ["trainer.steps=2", "trainer.validate_every_steps=1", "metric=[default,generation]", "dataset.limit=300"]
    assert math.isfinite(run_in(tmp_path, "variant=vae", *words, *budget))
    found = json.loads((tmp_path / "metrics.json").read_text())["test"]
    assert all(math.isfinite(value) for value in found.values())
    assert {"loss/kl", "latent/kl", "generation/cross_entropy_bound"} <= set(found)

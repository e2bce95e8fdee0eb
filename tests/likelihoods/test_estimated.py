"""Estimated variances, the continuous Bernoulli and the categorical likelihood are the distributions that they name.

In double, as in test_likelihoods.py: 1e-9 is what a hundred terms below 1e3 may lose.
"""

from __future__ import annotations

import functools
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributions
from torch.func import functional_call, stack_module_state

from aeexp.errors import UsageError
from aeexp.latents.gaussian import Gaussian as GaussianLatent
from aeexp.latents.priors import Standard
from aeexp.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from aeexp.likelihoods.categorical import Categorical
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.models.learner import average, means
from aeexp.objectives.bounds import log_weights
from aeexp.objectives.iwae import ImportanceWeighted
from aeexp.schedulers import constant
from aeexp.trainers.checkpoint import Store
from aeexp.trainers.closed_form import ClosedForm
from aeexp.trainers.joint import Joint
from aeexp.types import Batch, Code, Pass

EXACT = {"rtol": 1e-9, "atol": 1e-9}
seeds = st.integers(0, 10_000)
shapes = st.sampled_from([(7,), (1, 3, 4), (3, 2, 5), (4, 2)])


def draw(seed, *shape):
    return torch.randn(4, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def nll(likelihood, output, target, mask=None):
    features = target[0].numel() if mask is None else mask.double().sum(1) * target.shape[2]
    return likelihood.distortion(output, target, mask) + likelihood.constant(features)


def passed(output, target, mask=None) -> Pass:
    return Pass(Batch(target, target=target, mask=mask), target, None, Code(output, output), output)


MASK = torch.arange(5) < torch.tensor([5, 1, 3, 2])[:, None]


# ---------------------------------------------------------------- Gaussian with an estimated variance


@given(seeds, shapes, st.floats(0.01, 10))
def test_a_learned_variance_is_that_of_a_normal_and_its_gradient_is_zero_at_the_mean_squared_error(seed, shape, start):
    output, target = draw(seed, *shape), draw(seed + 1, *shape)
    likelihood = Gaussian(start, "learned").double()
    exact = distributions.Normal(output, math.sqrt(start)).log_prob(target).flatten(1).sum(1)
    # the start is stored as float32: 2^-24 of the log, times some tens of features
    torch.testing.assert_close(nll(likelihood, output, target), -exact, rtol=1e-5, atol=1e-5)
    likelihood.log_variance.data.fill_((output - target).square().mean().log())
    likelihood.distortion(output, target).mean().backward()
    assert abs(float(likelihood.log_variance.grad)) < 1e-9
    assert float(likelihood.constant(10)) == pytest.approx(5 * math.log(2 * math.pi))  # the rest moves with the loss


@pytest.mark.parametrize("mask", [None, MASK])
@given(seed=seeds)
def test_in_training_the_optimal_variance_is_the_batch_s_own_and_no_other_is_better(seed, mask):
    shape = (6,) if mask is None else (5, 2)
    output, target = draw(seed, *shape), draw(seed + 1, *shape)
    square = (output - target).square()
    real = torch.ones_like(square) if mask is None else mask[..., None].expand_as(square).double()
    variance = float((square * real).sum() / real.sum())
    each = -distributions.Normal(output, math.sqrt(variance)).log_prob(target) * real
    found = nll(Gaussian(0.5, "optimal").train(), output, target, mask)
    torch.testing.assert_close(found, each.flatten(1).sum(1), **EXACT)
    for factor in (0.8, 1.25):
        other = nll(Gaussian(variance * factor), output, target, mask)
        assert found.mean() < other.mean()


def test_the_gradient_of_the_optimal_variance_is_that_of_its_undetached_form():
    output, target = draw(0, 6).requires_grad_(), draw(1, 6)
    (ours,) = torch.autograd.grad(Gaussian(0.5, "optimal").distortion(output, target).mean(), output)
    square = (output - target).square()
    undetached = 0.5 * (square / square.mean() + square.mean().log()).sum(1).mean()
    (theirs,) = torch.autograd.grad(undetached, output)
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_in_evaluation_the_optimal_variance_is_the_running_average_without_masked_steps():
    likelihood = Gaussian(0.7, "optimal").double().eval()
    output, target = draw(0, 5, 2), draw(1, 5, 2)
    torch.testing.assert_close(nll(likelihood, output, target), nll(Gaussian(0.7), output, target), rtol=1e-6, atol=0)
    errors = []
    for seed in range(3):
        output, target = draw(seed, 5, 2), draw(seed + 7, 5, 2)
        errors.append(float((output - target)[MASK].square().mean()))
        garbage = torch.where(MASK[..., None], output, torch.tensor(1e3, dtype=torch.float64))
        likelihood.observe(passed(garbage, target, MASK))
    # the first batches count fully: their plain mean
    assert float(likelihood.variance) == pytest.approx(sum(errors) / 3, rel=1e-9)
    before = nll(likelihood, output, target, MASK)
    again = Gaussian(0.5, "optimal").double().eval()
    again.load_state_dict(likelihood.state_dict())
    torch.testing.assert_close(nll(again, output, target, MASK), before, rtol=0, atol=0)
    for _ in range(500):  # 0.95^500 = 7e-12 of the start is left
        likelihood.observe(passed(target + 0.1, target, MASK))
    assert float(likelihood.variance) == pytest.approx(0.01, rel=1e-6)


def test_a_fixed_variance_observes_nothing_and_keeps_the_state_it_always_had():
    likelihood = Gaussian(0.25)
    assert list(likelihood.state_dict()) == ["variance"] and not list(likelihood.parameters())
    likelihood.observe(passed(torch.ones(2, 3), torch.zeros(2, 3)))
    likelihood.fit([passed(torch.ones(2, 3), torch.zeros(2, 3))])
    output, target = draw(0, 6).float(), draw(1, 6).float()
    as_before = (output - target).square().flatten(1).sum(1) / (2 * torch.tensor(0.25))
    assert torch.equal(likelihood.distortion(output, target), as_before)
    assert likelihood.constant(6) == 3 * math.log(2 * math.pi * 0.25)


@pytest.mark.parametrize("estimate", ["learned", "optimal"])
def test_exact_reconstructions_have_a_finite_distortion_and_gradient(estimate):
    likelihood = Gaussian(1e-30 if estimate == "learned" else 0.5, estimate)
    output = torch.ones(3, 4, requires_grad=True)
    value = likelihood.distortion(output, torch.ones(3, 4)).mean()
    value.backward()
    assert value.isfinite() and output.grad.isfinite().all()


@pytest.mark.parametrize("objective", [None, ImportanceWeighted])
def test_the_loop_s_steps_and_evaluations_share_one_definition_of_the_loss(objective, build_learner, as_data):
    torch.manual_seed(0)
    data = as_data(torch.randn(64, 6).numpy())
    prior = Standard()
    prior.adapt(2, (6,))
    learner = build_learner((6,), latent=GaussianLatent(2, prior), likelihood=Gaussian(0.5, "optimal"))
    if objective is not None:
        learner.objective = objective(learner.objective.noise, {}, samples=3, gradient="doubly_reparameterized")
    assert learner.model.likelihood in learner._observers
    optimizer = torch.optim.Adam(learner.parameters(), 1e-2)
    for batch in data["train"].batches(32):
        terms, out = learner.train()(batch)
        means(terms).sum().backward()
        optimizer.step()
        learner.observe(out)
    first, second = (average(learner, data["val"])["loss"] for _ in range(2))
    assert first == second and float(learner.model.likelihood.seen) == 2
    # whatever the chunk: in evaluation no row's loss depends on its neighbours
    with torch.no_grad():
        model, batch = learner.eval().model, learner.task(next(data["val"].batches(8)))
        z = model.encode(batch.x).mean
        whole = model.likelihood.distortion(model.decoder(z), batch.target)
        one = model.likelihood.distortion(model.decoder(z[:1]), batch.target[:1])
        torch.testing.assert_close(whole[:1], one)
        assert log_weights(model, batch, batch.x, 2)[0].isfinite().all()


@pytest.mark.parametrize("estimate", ["learned", "optimal"])
def test_the_closed_form_trainer_sets_the_variance_that_training_would_reach(
    estimate, build_learner, digit_data, quiet
):
    class Nowhere:
        def save(self, state, now=False): ...

        keep_best = save

    learner = build_learner((1, 8, 8), 6, likelihood=Gaussian(0.5, estimate))
    ClosedForm().fit(learner, digit_data, None, None, Nowhere(), quiet(), 0)
    with torch.no_grad():
        x = next(digit_data["train"].batches(2000)).x
        error = float((learner.model.reconstruct(x) - x).square().mean())
    likelihood = learner.model.likelihood
    found = likelihood.log_variance.detach().exp() if estimate == "learned" else likelihood.variance
    assert float(found) == pytest.approx(error, rel=1e-4)  # float32 sums


@pytest.mark.parametrize("estimate", ["learned", "optimal"])
def test_a_run_that_was_stopped_ends_with_the_same_variance_as_one_that_was_not(
    estimate, build_learner, as_data, quiet, tmp_path
):
    data = as_data(torch.rand(26, 6, generator=torch.Generator().manual_seed(3)).numpy())
    adam = functools.partial(torch.optim.Adam, lr=0.05)

    def fit(folder, stop=lambda: False, seed=0):
        learner = build_learner((6,), 2, likelihood=Gaussian(0.5, estimate), seed=seed)
        store = Store(tmp_path / folder, {"run_id": "a1"}, math.inf)
        if (tmp_path / folder / "last.pt").is_file():
            store.resume(tmp_path / folder)
        progress = Joint(steps=12, batch_size=8).fit(learner, data, adam, constant, store, quiet(), 0, stop)
        return learner.state_dict(), progress.history

    whole, history = fit("whole")
    for steps in (1, 5, 11):
        count = itertools.count(1)
        with pytest.raises(KeyboardInterrupt):
            fit(f"cut-{steps}", lambda count=count, steps=steps: next(count) == steps)
        again, told = fit(f"cut-{steps}", seed=99)
        assert told == history and all(torch.equal(whole[key], again[key]) for key in whole)
    key = "model.likelihood.log_variance" if estimate == "learned" else "model.likelihood.variance"
    assert float(whole[key]) not in (0.5, math.log(0.5))


# ---------------------------------------------------------------- continuous Bernoulli


@given(seeds, shapes)
def test_the_continuous_bernoulli_is_that_of_torch(seed, shape):
    output, target = 3 * draw(seed, *shape), torch.sigmoid(draw(seed + 1, *shape))
    theirs = distributions.ContinuousBernoulli(logits=output)
    exact = -theirs.log_prob(target).flatten(1).sum(1)
    # torch takes a series of three terms where |probability - 1/2| < 1e-3: good to 1e-9 in the mean
    torch.testing.assert_close(nll(ContinuousBernoulli(), output, target), exact, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(ContinuousBernoulli().mean(output), theirs.mean, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("logit", [0.0, 1e-9, -1e-3, 0.49, -0.51, 5.0, -40.0, 300.0])
def test_the_continuous_bernoulli_is_a_density_with_its_mean(logit):
    from scipy.integrate import quad

    likelihood = ContinuousBernoulli()
    output = torch.tensor([[logit]], dtype=torch.float64)

    def density(x):
        return math.exp(-float(likelihood.distortion(output, torch.tensor([[x]], dtype=torch.float64))))

    near = [1 - 20 / abs(logit) if logit > 0 else 20 / abs(logit)] if abs(logit) > 20 else None
    assert quad(density, 0, 1, points=near)[0] == pytest.approx(1, abs=1e-7)
    mean = quad(lambda x: x * density(x), 0, 1, points=near)[0]
    assert float(likelihood.mean(output)) == pytest.approx(mean, abs=1e-7)


def test_the_continuous_bernoulli_has_finite_values_and_the_right_gradients_in_float32_at_every_logit():
    size = torch.tensor([0.0, 1e-30, 1e-8, 1e-3, 0.1, 0.499, 0.4999999, 0.5, 0.5000001, 0.51, 1, 10, 88, 1e3, 1e5])
    output = torch.cat([-size, size])[:, None].requires_grad_()
    target = torch.full_like(output, 0.25)
    likelihood = ContinuousBernoulli()
    value = likelihood.distortion(output, target)
    value.sum().backward()
    assert value.isfinite().all() and output.grad.isfinite().all()
    # d / d logit = mean - x. At the series' border 1 / tanh(h) - 1 / h loses 4 * 2^-23, and autograd twice as much.
    torch.testing.assert_close(output.grad, likelihood.mean(output).detach() - target, rtol=0, atol=4e-6)
    in_double = likelihood.distortion(output.detach().double(), target.double())
    torch.testing.assert_close(value.double(), in_double, rtol=1e-6, atol=1e-6)
    assert (likelihood.mean(output) >= 0).all() and (likelihood.mean(output) <= 1).all()


@given(seeds)
def test_the_continuous_bernoulli_is_bernoulli_s_cross_entropy_with_its_normaliser(seed):
    output, grey = draw(seed, 6), torch.sigmoid(draw(seed + 1, 6))
    p = torch.sigmoid(output)
    normaliser = torch.log(2 * torch.atanh(1 - 2 * p) / (1 - 2 * p)).sum(1)  # equation 2 of the paper
    expected = Bernoulli().distortion(output, grey) - normaliser
    torch.testing.assert_close(ContinuousBernoulli().distortion(output, grey), expected, rtol=1e-6, atol=1e-6)


# ---------------------------------------------------------------- categorical


@pytest.mark.parametrize("shape", [(7,), (1, 3, 4), (3, 2, 5), (5, 2)])
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_the_categorical_is_that_of_torch_for_every_shape(shape, levels):
    likelihood = Categorical(levels).double()
    logits = draw(levels, *shape, levels)
    level = torch.randint(levels, (4, *shape))
    target = (level.float() / (levels - 1)).double()  # as preprocessing makes it, in float32
    # a decoder's axis: all levels of a channel (or feature) stand together
    moved = logits.movedim(-1, 3 if len(shape) == 2 else 2)
    output = moved.reshape(4, *likelihood.output(shape))
    theirs = distributions.Categorical(logits=logits)
    mask = MASK if len(shape) == 2 else None
    real = 1 if mask is None else mask[..., None]
    exact = -(theirs.log_prob(level) * real).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.distortion(output, target, mask), exact, **EXACT)
    expected = (theirs.probs * torch.linspace(0, 1, levels, dtype=torch.float64)).sum(-1)
    # the grid is stored as float32
    torch.testing.assert_close(likelihood.mean(output), expected, rtol=1e-6, atol=1e-6)


def test_the_probabilities_of_all_levels_sum_to_one():
    likelihood, output = Categorical(17).double(), draw(0, 17)
    grid = torch.linspace(0, 1, 17, dtype=torch.float64)
    total = sum((-likelihood.distortion(output, value.expand(4, 1))).exp() for value in grid)
    torch.testing.assert_close(total, torch.ones(4, dtype=torch.float64), **EXACT)


@pytest.mark.parametrize(
    ("levels", "low", "high", "step", "message"),
    [
        (256, 0.0, 1.0, 1 / 16, r"^likelihood\.levels=256, but the data has values of 17 kinds.*levels=17$"),
        (2, 0.0, 1.0, 1 / 255, r"take likelihood\.levels=256$"),
        (256, 0.0, 1.0, None, "and no grid: take likelihood=gaussian"),
        (256, 0.0, 255.0, 1.0, r"needs integers scaled to \[0, 1\].*dataset\.scale"),
        (4, 0.0, 0.9, 0.3, r"in steps of 0\.3"),
    ],
)
def test_the_categorical_refuses_what_is_no_such_grid(levels, low, high, step, message):
    with pytest.raises(UsageError, match=message):
        Categorical(levels).check(low, high, step)


def test_grids_that_fit_are_not_refused():
    Categorical(256).check(0.0, 1.0, 1 / 255)
    Categorical(17).check(0.0, 0.5, 1 / 16)  # not every level need occur
    Categorical(2).check(0.0, 1.0, 1.0)


def test_the_continuous_bernoulli_refuses_values_outside_zero_to_one():
    ContinuousBernoulli().check(0.0, 1.0)
    with pytest.raises(UsageError, match="^likelihood=continuous_bernoulli .*take likelihood=gaussian"):
        ContinuousBernoulli().check(0.0, 1.1)


# ---------------------------------------------------------------- a stack of models


MAKE = {
    "fixed": lambda i: Gaussian(0.1 + i),
    "learned": lambda i: Gaussian(0.1 + i, "learned"),
    "optimal": lambda i: Gaussian(0.1 + i, "optimal"),
    "continuous_bernoulli": lambda i: ContinuousBernoulli(),
    "categorical": lambda i: Categorical(5),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", MAKE)
def test_every_likelihood_takes_a_stack_of_models(name, training, build_learner):
    learners = []
    for i in range(3):
        likelihood = MAKE[name](i)
        learner = build_learner((6,), seed=i, likelihood=likelihood, output=likelihood.output((6,)))
        learners.append(learner.train(training))
    batch = Batch(torch.randint(5, (7, 6)) / 4)
    parameters, buffers = stack_module_state(learners)

    def loss(parameters, buffers):
        return means(functional_call(learners[0], (parameters, buffers), (batch,))[0]).sum()

    together = torch.vmap(loss)(parameters, buffers)
    alone = torch.stack([means(learner(batch)[0]).sum() for learner in learners])
    # float32: some hundred terms of size 1, in another order
    torch.testing.assert_close(together, alone, rtol=2e-5, atol=2e-5)
    gradients = torch.autograd.grad(together.sum(), list(parameters.values()))
    each = [torch.autograd.grad(value, list(m.parameters())) for value, m in zip(alone, learners, strict=True)]
    for ours, theirs in zip(gradients, zip(*each, strict=True), strict=True):
        torch.testing.assert_close(ours, torch.stack(theirs), rtol=2e-5, atol=2e-5)

"""A law over tokens: no look ahead, a proper law, one that learns, and what rows cost by it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aeexp.contracts import Alphabet
from aeexp.evaluation.code_prior import RATE, CausalTransformer, Plan, fit_code_prior, measure_nats
from aeexp.evaluation.run import Run
from aeexp.evaluation.samplers import SAMPLERS
from aeexp.latents import VQ
from aeexp.metrics import CodePrior

SMALL = Plan(width=16, layers=1, heads=2, steps=400, batch_size=32)


def test_a_token_does_not_see_itself_or_those_behind_it():
    network = CausalTransformer(Alphabet(7, 5), SMALL).eval()
    one = torch.randint(5, (3, 7))
    for place in range(7):
        other = one.clone()
        other[:, place] = (one[:, place] + 1) % 5
        moved = (network(one) - network(other)).abs().amax((0, 2))
        assert not moved[: place + 1].any() and bool((moved[place + 1 :] > 0).all())


def test_its_chances_sum_to_one_and_draws_follow_them():
    network = CausalTransformer(Alphabet(3, 2), SMALL).eval()
    every = torch.cartesian_prod(*[torch.arange(2)] * 3)
    chances = np.exp(-measure_nats(network, every))
    assert chances.sum() == pytest.approx(1, abs=1e-5)
    drawn = network.draw(4000, torch.Generator().manual_seed(0))
    shares = torch.bincount((drawn * torch.tensor([4, 2, 1])).sum(1), minlength=8).numpy() / 4000
    # a share of 4,000 draws has a deviation of at most 0.5 / sqrt(4000) = 0.008
    np.testing.assert_allclose(shares, chances, atol=0.035)


def test_places_are_known_soon():
    """Half of the tokens are those of their places: what says so must not lie below what says which token it is."""
    chances = np.array([0.5 + 0.5 / 8, *[0.5 / 8] * 7])
    alone, bits = -30 * float((chances * np.log2(chances)).sum()), []
    for seed in range(3):
        torch.manual_seed(seed)
        rows = torch.where(torch.rand(256, 30) < 0.5, torch.randint(8, (30,)), torch.randint(8, (256, 30)))
        network = CausalTransformer(Alphabet(30, 8), SMALL)
        adam = torch.optim.Adam(network.parameters(), RATE)
        for step in range(60):
            adam.zero_grad()
            network.nats(rows[32 * (step % 8) : 32 * (step % 8) + 32]).mean().backward()
            adam.step()
        bits.append(measure_nats(network, rows).mean() / math.log(2))
    # a row's bits deviate by sqrt(30 * 0.56 * 0.44 * 3.2²) = 8.6, the mean of 768 rows by 0.3
    assert np.mean(bits) < alone + 0.3


@pytest.fixture
def run(build_learner, as_data) -> Run:
    """Of rows whose second half repeats the first: four places, of which two say everything."""
    generator = np.random.default_rng(0)
    half = np.eye(4, dtype=np.float32)[generator.integers(4, size=(400, 2))].reshape(400, 8)
    rows = np.concatenate([half, half], 1)
    latent = VQ(16, codes=4, width=4, restart_after=None)
    learner = build_learner((16,), latent=latent)
    with torch.no_grad():
        for layer in (*learner.model.encoder.linears(), *learner.model.decoder.linears()):
            layer.weight.copy_(torch.eye(16))
            layer.bias.zero_()
        latent.books[0].vectors[0].copy_(torch.eye(4))
    return Run(learner, as_data(rows))


def test_it_learns_that_places_repeat_and_rows_cost_what_their_tokens_do(run):
    network = fit_code_prior(run, SMALL)
    assert network is fit_code_prior(run, SMALL)
    metric = CodePrior(width=16, layers=1, heads=2, steps=400, batch_size=32)
    values = metric(run, "test")
    # two places of four values, drawn alike: 4 bits; the mean of 400 rows and a short training leave some tenths
    assert values["code_prior/bits_per_row"] == pytest.approx(4, abs=0.5)
    assert values["code_prior/nats"] == pytest.approx(4 * math.log(2), abs=0.35)
    # alone each of the four places is drawn from four values: 8 bits, of 400 rows' frequencies a hundredth less
    assert values["code_prior/bits_independent"] == pytest.approx(8, abs=0.05)
    # nothing is lost on the way: the rest is a Gaussian's constant of 16 numbers
    constant = float(run.model.likelihood.constant(16))
    assert values["code_prior/bound"] - values["code_prior/nats"] == pytest.approx(constant, abs=1e-3)


def test_what_it_draws_are_codes_and_others_have_none(run, build_learner, as_data, monkeypatch):
    monkeypatch.setattr("aeexp.evaluation.samplers.fit_code_prior", lambda run: fit_code_prior(run, SMALL))
    codes = torch.from_numpy(SAMPLERS["autoregressive"](run, 200, 0))
    assert torch.equal(run.model.latent.project(codes), codes)
    halves = (codes[:, :8] == codes[:, 8:]).all(1).float().mean()
    assert float(halves) > 0.7  # drawn alike they would be 1 / 16
    plain = Run(build_learner((16,)), as_data(np.zeros((30, 16), np.float32)))
    monkeypatch.undo()
    assert SAMPLERS["autoregressive"](plain, 5, 0) is None and CodePrior()(plain, "test") == {}

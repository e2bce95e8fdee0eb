"""Densities that are trained on codes draw what the codes are, and the same by the same seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aeexp.evaluation import densities
from aeexp.evaluation.densities import Diffusion, Whitening, fit_diffusion, fit_flow, fit_two_stage
from aeexp.evaluation.samplers import QUICK, SAMPLERS, gaussian
from aeexp.plots.densities import ALL, Densities
from aeexp.regularizers.mmd import mmd

FITS = {"flow": fit_flow, "two_stage": fit_two_stage, "diffusion": fit_diffusion}


def ring(n: int, seed: int = 0) -> np.ndarray:
    """Codes on a ring, in a space of which they leave one direction out."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = 2 + 0.15 * rng.normal(size=n)
    return np.stack([radius * np.cos(angle) + 5, 3 * radius * np.sin(angle), np.full(n, 7.0)], 1)


def test_whitening_leads_back_and_leaves_out_what_does_not_vary():
    codes = ring(400)
    white = Whitening.of(codes)
    values = white.apply(codes)
    assert values.shape == (400, 2)
    # float32 of numbers of size 10
    np.testing.assert_allclose(np.cov(values.numpy().T), np.eye(2), atol=1e-4)
    np.testing.assert_allclose(white.undo(values), codes, atol=1e-4)


# Shares of a Gaussian's distance and of what it leaves in the hole, after 500 steps of 2,000: measured 0.01 and 0.01
# (flow), 0.45 and 0.5 (two_stage).
@pytest.mark.parametrize(("name", "far", "hole"), [("flow", 0.3, 0.5), ("two_stage", 0.7, 0.8)])
def test_a_trained_density_is_nearer_to_a_ring_than_a_gaussian(name, far, hole, monkeypatch):
    monkeypatch.setattr(densities, "STEPS", 500)
    codes = ring(1000)
    drawn = FITS[name](codes, 0)(600, 1)
    fresh = torch.from_numpy(ring(600, 9))
    normal = np.random.default_rng(3).multivariate_normal(codes.mean(0), np.cov(codes.T), 600, method="eigh")
    own, other = (float(mmd(fresh, torch.from_numpy(rows), "rbf", [1.0])) for rows in (drawn, normal))
    assert own < far * other
    own, other = ((np.hypot(rows[:, 0] - 5, rows[:, 1] / 3) < 1).mean() for rows in (drawn, normal))
    assert own < hole * other, "the hole of the ring stays empty"


@pytest.mark.parametrize("name", FITS)
def test_draws_are_a_function_of_their_seed_and_stay_where_codes_vary(name, monkeypatch):
    monkeypatch.setattr(densities, "STEPS", 30)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    draw = FITS[name](ring(300), 0)
    drawn = draw(50, 1)
    assert torch.equal(torch.get_rng_state(), state) and torch.get_num_threads() == threads
    assert np.array_equal(drawn, draw(50, 1)) and not np.array_equal(drawn, draw(50, 2))
    assert np.array_equal(drawn, FITS[name](ring(300), 0)(50, 1))
    np.testing.assert_allclose(drawn[:, 2], 7.0, atol=1e-4)  # a direction in which no code varies


def test_a_diffusion_that_has_learned_nothing_draws_the_gaussian_of_the_codes():
    """Its network tells what is not Gaussian: at 0 the noise is known in closed form."""
    torch.manual_seed(0)
    diffusion = Diffusion(2)
    for parameter in diffusion.net.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        drawn = diffusion.draw(20_000).double()
    # every step keeps the variance at 1; 20,000 draws have five errors of 0.007 and 0.01
    assert (drawn.mean(0).abs() < 0.04).all() and ((torch.cov(drawn.T) - torch.eye(2)).abs() < 0.05).all()


def test_every_sampler_has_a_name_in_the_figure_and_codes_that_never_vary_are_drawn_as_they_are(digit_data):
    from drawn import perceptron, run_of

    from aeexp.drawing.naming import SOURCES

    assert SAMPLERS.keys() == SOURCES.keys() and set(QUICK) < set(ALL) < SAMPLERS.keys()
    run = run_of(digit_data, perceptron(digit_data, 3))
    run.compute_once(("codes", "train"), lambda: np.ones((50, 3), np.float32))
    for name in FITS:
        assert np.array_equal(SAMPLERS[name](run, 4, 0), gaussian(run, 4, 0))


def test_the_figure_has_a_row_for_each_density_and_its_distance(digit_data, monkeypatch):
    from drawn import perceptron, run_of, save, stochastic

    from aeexp.conditions import Label
    from aeexp.evaluation import feature_net

    monkeypatch.setattr(densities, "STEPS", 20)
    monkeypatch.setattr(feature_net, "STEPS", 20)
    figure = Densities(count=4, rows=60)(run_of(digit_data, perceptron(digit_data, 3)))["densities"]
    save(figure)
    names = [label.get_text().split("\n")[0] for label in figure.axes[0].get_yticklabels()]
    assert names == ["one Gaussian", "a mixture of Gaussians", "a kernel density", "a flow", "a second VAE",
                     "a diffusion", "reconstructions", "training rows"]  # fmt: skip
    assert "Frechet distance of 60" in figure.get_suptitle()
    assert Densities()(stochastic(digit_data, condition=Label())) == {}

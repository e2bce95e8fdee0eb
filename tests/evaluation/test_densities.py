"""Densities that are trained on codes draw what the codes are, and the same by the same seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aeexp.evaluation import densities
from aeexp.evaluation.densities import Whitening, fit_diffusion, fit_flow, fit_two_stage
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


@pytest.mark.parametrize("name", FITS)
def test_a_trained_density_is_nearer_to_a_ring_than_a_gaussian(name, monkeypatch):
    monkeypatch.setattr(densities, "STEPS", 500)
    codes = ring(1000)
    state = torch.get_rng_state()
    draw = FITS[name](codes, 0)
    drawn = draw(600, 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(drawn, draw(600, 1)) and not np.array_equal(drawn, draw(600, 2))
    np.testing.assert_allclose(drawn[:, 2], 7.0, atol=1e-4)
    fresh = ring(600, 9)
    normal = np.random.default_rng(3).multivariate_normal(codes.mean(0), np.cov(codes.T), 600, method="eigh")
    far = {who: float(mmd(torch.from_numpy(fresh), torch.from_numpy(rows), "rbf", [1.0]))
           for who, rows in {"own": drawn, "normal": normal}.items()}  # fmt: skip
    assert far["own"] < 0.3 * far["normal"], far
    inside = {who: (np.hypot(rows[:, 0] - 5, rows[:, 1] / 3) < 1).mean() for who, rows in
              {"own": drawn, "normal": normal}.items()}  # fmt: skip
    assert inside["own"] < 0.5 * inside["normal"], "the hole of the ring stays empty"


def test_every_sampler_has_a_name_in_the_figure_and_codes_that_never_vary_are_drawn_as_they_are(digit_data):
    from drawn import perceptron, run_of

    from aeexp.drawing.naming import SOURCES

    assert tuple(SAMPLERS) == ALL and SAMPLERS.keys() == SOURCES.keys() and set(QUICK) < SAMPLERS.keys()
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

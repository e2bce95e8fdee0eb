"""A posterior predictive check: 1 model that is right, and ones that are wrong in a known way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import save

from aeexp.evaluation.run import Run
from aeexp.likelihoods.counts import NegativeBinomial, Poisson
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.likelihoods.ms_ssim import MSSSIM
from aeexp.metrics.predictive import Predictive
from aeexp.plots.predictive import Predictive as PredictivePlot


def run_of(build_learner, as_data, likelihood, rows, output) -> Run:
    """A decoder that says the same of every row."""
    likelihood.adapt(None, rows.shape[1:])
    learner = build_learner(rows.shape[1:], 2, likelihood=likelihood)
    layer = learner.model.decoder.layers[-1]
    torch.nn.init.zeros_(layer.weight)
    layer.bias.data = torch.as_tensor(output, dtype=torch.float32)
    return Run(learner, as_data(rows))


def short(values) -> dict[str, float]:
    return {key.removeprefix("predictive/"): float(value) for key, value in values.items()}


def test_the_true_law_covers_what_it_should_and_a_poisson_of_overdispersed_counts_does_not(build_learner, as_data):
    rng = np.random.default_rng(0)
    mean = np.array([1.0, 4.0, 20.0])
    rows = rng.poisson(rng.gamma(1.0, np.broadcast_to(mean, (500, 3)))).astype(np.float32)
    right = run_of(build_learner, as_data, NegativeBinomial(), rows, np.log(mean))  # r = 1 at its start
    wrong = run_of(build_learner, as_data, Poisson(), rows, np.log(mean))
    metric = Predictive(draws=40)
    good, bad = short(metric(right, "test")), short(metric(wrong, "test"))
    assert good["coverage_90"] > 0.88 > 0.7 > bad["coverage_90"]
    assert good["variance_ratio"] == pytest.approx(1, abs=0.35) and bad["variance_ratio"] < 0.5
    assert bad["p_variance"] == 0 and bad["p_zeros"] == 0 and 0.02 < good["p_zeros"] < 0.98
    assert good["zeros_error"] < 0.05 < bad["zeros_error"]
    figure = PredictivePlot(draws=10)(right)["predictive"]
    save(figure)
    assert [axes.get_title() for axes in figure.axes] == ["mean", "variance", "share of zeros"]


def test_a_density_of_the_right_width_covers_nine_in_ten(build_learner, as_data):
    rows = np.random.default_rng(1).normal(0, 1, (800, 4)).astype(np.float32)
    values = short(Predictive(draws=60)(run_of(build_learner, as_data, Gaussian(1.0), rows, np.zeros(4)), "test"))
    # 60 draws: the 5 % at each end are known to 2 %, and 3,200 values to half a percent
    assert values["coverage_90"] == pytest.approx(0.9, abs=0.04)
    assert values["zeros_error"] == 0


def test_what_is_no_law_has_no_check(build_learner, as_data):
    rows = np.random.default_rng(1).random((20, 1, 8, 8)).astype(np.float32)
    run = run_of(build_learner, as_data, MSSSIM(), rows, np.zeros(64))
    assert Predictive()(run, "test") == {} and PredictivePlot()(run) == {}

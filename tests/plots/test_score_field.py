"""The field of a denoiser that is known: it points to the data, and is the score's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import run_of, save, stochastic

from aeexp.conditions import Label
from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.sets.generated import moons
from aeexp.noises import Gaussian
from aeexp.plots.score_field import ScoreField


def test_arrows_are_reconstructions_less_points_and_of_the_best_denoiser_of_a_gaussian_its_score(
    as_data, build_learner
):
    from aeexp.evaluation.run import Run

    rows = np.random.default_rng(0).normal(0, 1, (300, 2)).astype(np.float32)
    learner = build_learner((2,), 2, noises={"gaussian": Gaussian(0.5)})
    # of N(0, I) under noise of variance s² the best is x / (1 + s²): r(x) - x = s² times -x / (1 + s²), the score of
    # the noisy data
    for layer, scale in ((learner.model.encoder.layers[0], 1.0), (learner.model.decoder.layers[0], 1 / 1.25)):
        layer.weight.data = scale * torch.eye(2)
        layer.bias.data.zero_()
    figure = ScoreField(side=9)(Run(learner, as_data(rows)))["score_field"]
    save(figure)
    quiver = next(each for each in figure.axes[0].collections if hasattr(each, "U"))
    x, moves = np.stack([quiver.X, quiver.Y], 1), np.stack([quiver.U, quiver.V], 1)
    np.testing.assert_allclose(moves, 0.25 * -x / 1.25, atol=1e-5)
    assert "noise of 0.5" in figure.get_suptitle() and x.min(0) == pytest.approx(rows.min(0) - 0.25 * np.ptp(rows, 0))


def test_it_is_for_two_features_alone(digit_data):
    assert ScoreField()(stochastic(digit_data)) == {}
    data = moons(name="moons", split=Fractions([8, 1, 1]), n=90)
    assert data.classes == ("upper", "lower") and data.shape == (2,)
    assert ScoreField()(stochastic(data, condition=Label())) == {}
    save(ScoreField(side=4)(run_of(data))["score_field"])

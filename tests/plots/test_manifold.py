"""plot=manifold: the grid spans the percentiles of the training codes."""

from __future__ import annotations

import numpy as np
import torch
from drawn import perceptron, run_of, tile

from aeexp.drawing.plane import name_ticks
from aeexp.plots.manifold import Manifold


def test_the_manifold_spans_the_percentiles_of_a_code_of_two_units(digit_data):
    assert Manifold()(run_of(digit_data, perceptron(digit_data, 3))) == {}
    run = run_of(digit_data, perceptron(digit_data, 2))
    axes = Manifold(side=6)(run)["manifold"].axes[0]
    (left, below), (right, above) = np.percentile(run.codes("train"), (1, 99), axis=0)
    for (row, column), code in {(5, 0): (left, below), (0, 0): (left, above), (5, 5): (right, below)}.items():
        with torch.no_grad():
            picture = run.model.decode(torch.tensor([code], dtype=torch.float32))
        np.testing.assert_allclose(tile(axes.images[0], row, column), picture[0, 0], atol=1e-5)
    assert axes.get_xticklabels()[0].get_text() == name_ticks(np.array([left, right]))[0]
    assert axes.get_yticklabels()[0].get_text() == name_ticks(np.array([below, above]))[0] and axes.get_yticks()[0] == 5


def test_ticks_have_as_many_decimals_as_each_other_and_no_negative_zero():
    assert name_ticks(np.array([-4.18, -2.11, -0.0395, 2.03])) == ["−4.2", "−2.1", "0.0", "2.0"]
    assert name_ticks(np.array([0.001, 0.0031])) == ["0.0010", "0.0031"]
    assert name_ticks(np.array([-300.0, 5000.0])) == ["−300", "5000"]
    assert name_ticks(np.array([2.0, 2.0])) == ["2.00", "2.00"]

"""plot=manifold: the grid spans the percentiles of the training codes."""

from __future__ import annotations

import numpy as np
import torch
from drawn import perceptron, run_of, tile

from aeexp.drawing import canvas
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
    assert axes.get_xticklabels()[0].get_text() == canvas.format_number(left)
    assert axes.get_yticklabels()[0].get_text() == canvas.format_number(below) and axes.get_yticks()[0] == 5

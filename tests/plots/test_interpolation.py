"""plot=interpolation: a path begins at one input and ends at the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import run_of, stochastic, tile

from aeexp.drawing import canvas
from aeexp.latents.binary import Binary
from aeexp.plots.interpolation import Interpolation
from aeexp.regularizers.mmd import MMD


@pytest.mark.parametrize("path", ["line", "slerp", "both"])
def test_interpolation_runs_from_one_input_to_another(digit_data, path):
    run = run_of(digit_data)
    axes = Interpolation(pairs=4, steps=5, path=path)(run)["interpolation"].axes[0]
    chosen = canvas.choose_rows(run.labels("test"), 8, len(digit_data["test"]))
    x = digit_data["test"].batch(torch.from_numpy(chosen)).x
    labels = run.labels("test")[chosen]
    assert (labels[0::2] != labels[1::2]).all()
    names = ["line", "slerp"] if path == "both" else [path]
    assert [label.get_text() for label in axes.get_yticklabels()] == 4 * [*names, "input mix"]
    with torch.no_grad():
        codes = run.model.encode(x).mean
        ends = run.model.reconstruct(x)
        angles = torch.nn.functional.cosine_similarity(codes[0::2], codes[1::2]).acos()
        half = codes.unflatten(0, (4, 2)).mean(1)
        # at t = 1/2 both shares of the arc are sin(w / 2) / sin(w) = 1 / (2 cos(w / 2))
        centres = {"line": run.model.decode(half), "slerp": run.model.decode(half / torch.cos(angles / 2)[:, None])}
    for pair in range(4):
        middle, left, right = axes.images[3 * pair : 3 * pair + 3]
        np.testing.assert_array_equal(tile(left, 0, 0), x[2 * pair, 0])
        np.testing.assert_array_equal(tile(right, 0, 0), x[2 * pair + 1, 0])
        for row, name in enumerate(names):
            for column, picture in ((0, ends[2 * pair]), (2, centres[name][pair]), (4, ends[2 * pair + 1])):
                np.testing.assert_allclose(tile(middle, row, column), picture[0], atol=1e-5)
        mixed = x[2 * pair] / 4 + 3 * x[2 * pair + 1] / 4
        np.testing.assert_allclose(tile(middle, len(names), 3), mixed[0], atol=1e-6)


def test_interpolation_takes_the_arc_too_where_the_prior_gives_codes_their_length(digit_data):
    def rows(run):
        axes = Interpolation(pairs=1)(run)["interpolation"].axes[0]
        return [label.get_text() for label in axes.get_yticklabels()]

    assert rows(stochastic(digit_data)) == ["line", "slerp", "input mix"]
    assert rows(run_of(digit_data)) == ["line", "input mix"]
    run = run_of(digit_data, regularizers={"mmd": MMD(1.0)})
    assert rows(run) == ["line", "slerp", "input mix"], "held against N(0, I) by a penalty"
    run = run_of(digit_data, latent=Binary(dim=4))
    assert rows(run) == ["bit by bit", "input mix"]

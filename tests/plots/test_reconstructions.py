"""plot=reconstructions: tiles and lines are the rows, what the model makes of them, and the errors between."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from drawn import rows_of, run_of, tile

from aeexp.drawing import canvas
from aeexp.noises import Masking
from aeexp.plots.reconstructions import Reconstructions


def test_reconstructions_show_the_inputs_the_outputs_and_their_errors(digit_data):
    run = run_of(digit_data)
    axes = Reconstructions(examples=10)(run)["reconstructions"].axes[0]
    chosen = canvas.choose_rows(run.labels("test"), 10, len(digit_data["test"]))
    x = digit_data["test"].batch(torch.from_numpy(chosen)).x
    assert run.labels("test")[chosen].tolist() == list(range(10))
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "input", "output", "its error", "PCA, width 4", "its error"
    ]  # fmt: skip
    with torch.no_grad():
        output, pca = run.model.reconstruct(x), run.pca().model.reconstruct(x)
    for place, pictures in enumerate((x, output, output - x, pca, pca - x)):
        for column in (0, 7):
            np.testing.assert_allclose(tile(axes.images[place], 0, column), pictures[column, 0], atol=1e-5)
    errors = [float(text.get_text()) for text in axes.texts]
    expected = np.concatenate([run.errors("test")[chosen], run.pca().errors("test")[chosen]])
    np.testing.assert_allclose(errors, expected, rtol=6e-3)
    assert axes.images[0].get_clim() == digit_data.limits
    low, high = axes.images[2].get_clim()
    assert low == -high and axes.images[4].get_clim() == (low, high)


def test_reconstructions_of_a_run_with_noise_start_from_one_reproducible_corruption(digit_data):
    run = run_of(digit_data, noises={"masking": Masking(0.5)})
    before = torch.get_rng_state()
    rows, second = Reconstructions(examples=5).reconstruct(run), Reconstructions(examples=5).reconstruct(run)
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(rows.corrupted, second.corrupted)
    assert (Reconstructions(examples=5, seed=1).reconstruct(run).corrupted != rows.corrupted).any()
    changed = rows.corrupted != rows.target
    assert (rows.corrupted[changed] == 0).all() and 0.3 < changed.sum() / (rows.target != 0).sum() < 0.7
    with torch.no_grad():
        for pictures, model in ((rows.output, run.model), (rows.pca, run.pca().model)):
            np.testing.assert_allclose(pictures, model.reconstruct(torch.from_numpy(rows.corrupted)), atol=1e-6)
    axes = Reconstructions(examples=5)(run)["reconstructions"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][1:3] == ["corrupted", "output\nfrom corrupted"]


def test_flat_examples_are_overlaid_lines():
    run = run_of(rows_of((4,)))
    panels = Reconstructions(examples=7)(run)["reconstructions"].axes
    x = run.data["test"].x
    for i in range(7):
        lines = {line.get_label(): line.get_ydata() for line in panels[i].lines}
        np.testing.assert_array_equal(lines["input"], x[i])
        assert set(lines) == {"input", "output"}, "4 components of 4 values make no error"
        np.testing.assert_allclose(((lines["output"] - lines["input"]) ** 2).sum(), run.errors("test")[i], rtol=1e-4)
    assert not any(axes.get_visible() for axes in panels[7:])


def test_pictures_in_colour_are_drawn_in_colour():
    run = run_of(rows_of((3, 6, 9)))
    axes = Reconstructions(examples=4)(run)["reconstructions"].axes[0]
    low, high = run.data.limits
    pixels = np.asarray(axes.images[0].get_array())[:6, :9]
    np.testing.assert_allclose(pixels * (high - low) + low, run.data["test"].x[0].movedim(0, -1), atol=1e-5)
    error = np.asarray(axes.images[2].get_array())[:6, :9]
    assert math.sqrt((error**2).sum() * 3) == pytest.approx(math.sqrt(run.errors("test")[0]), rel=1e-4)

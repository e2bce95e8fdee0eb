"""Columns and the rows in which a unit is largest."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import perceptron, rows_of, run_of, save

from aeexp.drawing import canvas
from aeexp.evaluation.dictionary import find_columns, find_dictionary
from aeexp.evaluation.run import Run
from aeexp.latents import Relu
from aeexp.plots.dictionary import Dictionary


@pytest.mark.parametrize("case", ["digits", "flat", "colour"])
def test_the_figure_is_whole(digit_data, case):
    data = {"digits": digit_data, "flat": rows_of((4,)), "colour": rows_of((3, 12, 10), np.arange(60) % 4)}[case]
    figures = Dictionary(units=3, rows=4)(run_of(data, perceptron(data, 2)))
    assert set(figures) == {"dictionary"}
    assert (save(figures["dictionary"]) < 128).mean() > 1e-3


def test_the_rows_are_those_of_the_largest_activations(build_learner, digit_data, monkeypatch):
    run = Run(build_learner((1, 8, 8), latent=Relu(5), hidden_dims=[], unit_norm=True), digit_data)
    drawn = {}
    monkeypatch.setattr(Dictionary, "draw", lambda self, run, *parts: drawn.update(parts=parts))
    Dictionary(units=3, rows=4)(run)
    units, columns, shown, values, rows = drawn["parts"]
    codes = run.codes("test")
    for place, unit in enumerate(units):
        assert np.array_equal(values[place], np.sort(codes[:, unit])[::-1][:4])
        assert np.allclose(shown[place], digit_data["test"].x[torch.from_numpy(rows[place].copy())].numpy() / 16)
        np.testing.assert_allclose(
            columns[place].ravel(), run.model.decoder.reading_weight()[:, unit].detach().numpy(), atol=1e-6
        )


def test_rows_in_which_a_unit_is_silent_are_not_among_those_it_speaks_most_in(build_learner, digit_data):
    """Unit 1 speaks below 0 alone and in three rows, unit 2 nowhere, unit 3 in all: its lowest are not its largest."""
    run = Run(build_learner((1, 8, 8), 3, hidden_dims=[]), digit_data)
    codes = np.zeros((len(digit_data["test"]), 3), np.float32)
    codes[[4, 7, 9], 0] = -1.0, -3.0, -2.0
    codes[:, 2] = np.linspace(-9, 1.01, len(codes))
    run.codes = lambda split: codes
    axes = Dictionary(units=3, rows=4)(run)["dictionary"].axes[0]
    names = [text.get_text().partition(":")[0] for text in axes.texts]
    largest = [canvas.format_number(value, 2) for value in codes[:-5:-1, 2]]
    assert names == ["−3.0", "−2.0", "−1.0", "0 in all test rows", *largest]
    assert len(axes.images) == 3 + 2  # a column each, and rows of the two that speak


def test_columns_of_a_linear_decoder_are_its_weights_wherever_it_begins(build_learner):
    model = build_learner((6,), 4, hidden_dims=[]).model
    wanted = model.decoder.reading_weight().detach().T
    torch.testing.assert_close(find_columns(model, torch.Size([6]), torch.randn(4)), wanted, atol=1e-6, rtol=0)
    assert torch.equal(find_dictionary(model, torch.Size([6])), wanted)
    assert find_dictionary(build_learner((6,), 4, hidden_dims=[5]).model, torch.Size([6])) is None

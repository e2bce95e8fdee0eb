"""plot=label_swap: one code under every label, the example's own framed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import rows_of, run_of, stochastic, tile

from aeexp.conditions import Attribute, Label
from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.sets.painted import colored_digits
from aeexp.drawing import canvas
from aeexp.plots.label_swap import LabelSwap


def test_a_label_swap_shows_one_code_under_every_label_and_frames_its_own(digit_data):
    run = stochastic(digit_data, condition=Label())
    axes = LabelSwap()(run)["label_swap"].axes[0]
    inputs, swapped = axes.images
    chosen = canvas.choose_rows(run.labels("test"), 10, len(digit_data["test"]))
    out = run.forward(digit_data["test"].batch(torch.from_numpy(chosen)))
    with torch.no_grad():
        own = run.model.reconstruct(out.batch.x, out.context)
        third = run.model.decode(out.code.mean, torch.eye(10)[3].expand(10, -1))
    for row in range(10):
        np.testing.assert_array_equal(tile(inputs, row, 0), out.batch.x[row, 0])
        np.testing.assert_allclose(tile(swapped, row, row), own[row, 0], atol=1e-5)
        np.testing.assert_allclose(tile(swapped, row, 3), third[row, 0], atol=1e-5)
    first = swapped.get_extent()[0]
    assert [round(frame.get_x() - axes.patches[0].get_x()) for frame in axes.patches] == list(range(10))
    assert axes.patches[0].get_x() == pytest.approx(first, abs=0.1)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["input", *map(str, range(10))]


def test_a_label_swap_of_many_labels_shows_examples_of_those_that_it_shows(digit_data):
    axes = LabelSwap(labels=4, examples=6)(stochastic(digit_data, condition=Label()))["label_swap"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "2", "3", "0", "1"]


def test_attributes_with_a_number_are_swapped_and_quantities_and_unconditional_models_are_not(digit_data):
    colors = colored_digits(size=8, name="colors", split=Fractions([8, 1, 1]))
    axes = LabelSwap(examples=4)(stochastic(colors, condition=Attribute()))["label_swap"].axes[0]
    assert axes.get_ylabel() == "own color"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["orange", "blue", "orange", "blue"]
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {0}  # two names have room side by side
    amounts = rows_of((1, 5, 5), s=np.random.default_rng(0).random((60, 2)).astype(np.float32))
    assert LabelSwap()(stochastic(amounts, condition=Attribute())) == {}
    assert LabelSwap()(stochastic(digit_data)) == {} == LabelSwap()(run_of(digit_data))

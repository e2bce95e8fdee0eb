"""plot=traversals: a row moves what it says, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import run_of, stochastic, tile
from torch import nn

from aeexp.conditions import Label
from aeexp.drawing import canvas
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.latents.binary import Binary
from aeexp.latents.bounded import Categorical
from aeexp.latents.priors import Uniform
from aeexp.latents.quantised import VQ
from aeexp.plots.traversals import Traversals


def first_code(run: Run) -> torch.Tensor:
    """(1, D) of the first example that figures show."""
    chosen = canvas.choose_rows(run.labels("test"), 1, len(run.data["test"]))
    return run.forward(run.data["test"].batch(torch.from_numpy(chosen))).code.mean


def decoded(run: Run, code: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return run.model.decode(code)[0, 0].numpy()


def test_a_traversal_moves_one_unit_and_no_other(digit_data):
    run = run_of(digit_data)
    axes = Traversals(units=3, steps=5, example=7)(run)["traversals"].axes[0]
    chosen = int(np.flatnonzero(run.labels("test") == 7)[0])
    x = digit_data["test"].batch(torch.tensor([chosen])).x
    code = run.model.encode(x).mean.detach()
    order = np.argsort(-run.codes("test").std(0))[:3]
    example, *rows = axes.images
    np.testing.assert_array_equal(tile(example, 0, 0), x[0, 0])
    np.testing.assert_allclose(tile(example, 0, 1), run.model.decode(code).detach()[0, 0], atol=1e-5)
    assert len(rows) == 3
    for row, unit, label in zip(rows, order, axes.get_yticklabels(), strict=True):
        low, high = np.percentile(run.codes("train")[:, unit], (1, 99))
        assert label.get_text().startswith(f"unit {unit + 1}\nsd {run.codes('test')[:, unit].std():.2g}"[:12])
        assert {canvas.format_number(low, 2), canvas.format_number(high, 2)} <= {text.get_text() for text in axes.texts}
        for column, value in enumerate(np.linspace(low, high, 5)):
            moved = code.clone()
            moved[0, unit] = float(value)
            np.testing.assert_allclose(tile(row, 0, column), run.model.decode(moved).detach()[0, 0], atol=1e-5)
    for mark, unit in zip(axes.lines, order, strict=True):
        low, high = np.percentile(run.codes("train")[:, unit], (1, 99))
        place = np.clip((float(code[0, unit]) - low) / (high - low) * 4, -0.4, 4.4)
        assert mark.get_xdata()[0] == pytest.approx(place, abs=1e-4)


def test_the_value_at_the_left_end_does_not_run_into_the_name_of_its_unit(digit_data):
    run = run_of(digit_data)
    codes = {"train": run.codes("train") / 1e4, "test": run.codes("test") / 1e4}
    run.codes = codes.__getitem__
    figure = Traversals(units=3, steps=5)(run)["traversals"]
    figure.draw_without_rendering()
    axes = figure.axes[0]
    texts = [text for text in axes.texts if text.get_ha() == "right"]
    names = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert len(texts) == len(names) == 3 and max(len(text.get_text()) for text in texts) > 6  # −0.00012
    assert all(name.x1 < text.get_window_extent().x0 for name, text in zip(names, texts, strict=True))


def test_traversals_of_a_vae_are_ordered_by_kl_and_a_unit_that_fell_back_does_not_move(digit_data):
    run = stochastic(digit_data)
    last = run.model.encoder.layers[-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    last.bias.data[1], last.bias.data[3] = 1.0, 2.0  # KL mean^2 / 2 from N(0, 1), the other units have none
    figure = Traversals(steps=5)(run)["traversals"]
    axes = figure.axes[0]
    names = ["unit 4\n2.00 nats", "unit 2\n0.50 nats", "unit 1\n0.00 nats", "unit 3\n0.00 nats"]
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    assert "the 4 of 5 units with the largest KL; 3 fell back to the prior (2 shown)" in figure.get_suptitle()
    with torch.no_grad():
        picture = run.model.decode(torch.tensor([[0.0, 1, 0, 2, 0]]))
    for column in range(5):  # every row has this code: all percentiles are the one value there is
        np.testing.assert_allclose(tile(axes.images[1], 0, column), picture[0, 0], atol=1e-5)


def test_a_traversal_of_bits_sets_each_to_0_and_to_1(digit_data):
    run = run_of(digit_data, latent=Binary(dim=4))
    axes = Traversals(units=2)(run)["traversals"].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "change"]
    code = first_code(run)
    order = np.argsort(-run.codes("test").std(0), kind="stable")[:2]
    for image, change, mark, bit in zip(axes.images[1:3], axes.images[3:], axes.lines, order, strict=True):
        np.testing.assert_allclose(tile(change, 0, 0), tile(image, 0, 1) - tile(image, 0, 0), atol=1e-5)
        for value in (0, 1):
            code_moved = code.clone()
            code_moved[0, bit] = value
            np.testing.assert_allclose(tile(image, 0, value), decoded(run, code_moved), atol=1e-5)
        assert mark.get_xdata()[0] == code[0, bit]


def test_a_traversal_of_a_categorical_code_sets_each_group_to_each_value(digit_data):
    run = run_of(digit_data, latent=Categorical(6, Uniform(), classes=3))
    axes = Traversals()(run)["traversals"].axes[0]
    assert sorted(label.get_text()[:7] for label in axes.get_yticklabels()) == ["group 1", "group 2"]
    code = run.model.latent.project(first_code(run))
    for image, label, mark in zip(axes.images[1:], axes.get_yticklabels(), axes.lines, strict=True):
        start = 3 * (int(label.get_text()[6]) - 1)
        for value in range(3):
            code_moved = code.clone()
            code_moved[0, start : start + 3] = torch.eye(3)[value]
            np.testing.assert_allclose(tile(image, 0, value), decoded(run, code_moved), atol=1e-5)
        assert mark.get_xdata()[0] == code[0, start : start + 3].argmax()


def test_a_traversal_of_a_quantised_code_sets_each_place_to_the_vectors_used_most(digit_data):
    run = run_of(digit_data, latent=VQ(4, codes=7, width=2))
    axes = Traversals(steps=3)(run)["traversals"].axes[0]
    used = np.unique(run.codes("train").reshape(-1, 2), axis=0, return_counts=True)
    most = used[0][np.argsort(-used[1])][:3]
    numbers = [int(label.get_text()) - 1 for label in axes.get_xticklabels()]
    counts = sorted(used[1])[-3:]
    assert len(numbers) == 3 and len(set(numbers)) == 3
    for entry, vector, count in zip(numbers, most, counts[::-1], strict=True):
        uses = (run.codes("train").reshape(-1, 2) == run.model.latent.books[0].vectors[0][entry].numpy()).all(1).sum()
        assert uses == count and len(vector) == 2
    assert len(axes.images) == 3, "the example, and two places"


def test_traversals_stay_among_the_codes_that_a_latent_can_give(digit_data):
    run = run_of(digit_data)
    run.model.latent.project = lambda z: nn.functional.one_hot(z.argmax(1), 4).float()
    axes = Traversals(steps=3)(run)["traversals"].axes[0]
    with torch.no_grad():
        corners = run.model.decode(torch.eye(4))[:, 0].numpy()
    for image in axes.images[1:]:
        for column in range(3):
            assert np.abs(tile(image, 0, column) - corners).max((1, 2)).min() < 1e-5


def test_a_traversal_keeps_the_side_information_of_the_example(digit_data):
    run = stochastic(digit_data, 2, Label())
    axes = Traversals(steps=3, example=4)(run)["traversals"].axes[0]
    chosen = int(np.flatnonzero(run.labels("test") == 4)[0])
    out = run.forward(digit_data["test"].batch(torch.tensor([chosen])))
    unit = int(axes.get_yticklabels()[0].get_text()[5]) - 1
    code = out.code.mean.clone()
    code[0, unit] = float(np.percentile(run.codes("train")[:, unit], 99))
    with torch.no_grad():
        picture = run.model.decode(code, torch.eye(10)[4:5])
    np.testing.assert_allclose(tile(axes.images[1], 0, 2), picture[0, 0], atol=1e-5)


def test_an_example_that_is_not_there_is_named(digit_data):
    with pytest.raises(UsageError, match=r"^example=180: there are 180 test rows only"):
        Traversals(example=180)(run_of(digit_data))

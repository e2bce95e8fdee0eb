"""plot=scatter: dots are the test codes, or their map, in the colours of their classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import perceptron, rows_of, run_of, save, stochastic
from matplotlib.patches import Circle, Ellipse
from torch import nn

from aeexp.drawing import naming
from aeexp.plots.scatter import CLOUDS, Scatter


def test_a_code_of_two_units_is_shown_as_it_is(digit_data):
    run = run_of(digit_data, perceptron(digit_data, 2))
    (plain,) = Scatter()(run)["scatter"].axes
    points = np.concatenate([np.asarray(part.get_offsets()) for part in plain.collections])
    order = np.argsort(run.labels("test"), kind="stable")
    np.testing.assert_allclose(np.sort(points, 0), np.sort(run.codes("test")[order], 0), rtol=1e-6)
    for label, part in enumerate(plain.collections):
        assert len(part.get_offsets()) == (run.labels("test") == label).sum() and part.get_label() == str(label)


def test_ellipses_are_as_wide_as_the_draws_of_a_code(digit_data):
    run = stochastic(digit_data, 2)
    (axes,) = Scatter()(run)["scatter"].axes[:1]
    ellipses = [patch for patch in axes.patches if isinstance(patch, Ellipse) and not isinstance(patch, Circle)]
    rows = run.rows("test")
    assert len(ellipses) == min(CLOUDS, len(rows))
    chosen = np.random.default_rng(0).permutation(len(rows))[:CLOUDS]
    with torch.no_grad():
        posterior = run.model.encode(rows.batch(torch.from_numpy(chosen)).x).posterior
        draws = posterior.sample(4000)
    np.testing.assert_allclose([patch.center for patch in ellipses], posterior.mean, atol=1e-6)
    # a standard deviation of 4,000 draws is right to 1.1 %; the worst of 80 by less than 4.5 of these
    wide = [(patch.width / 2, patch.height / 2) for patch in ellipses]
    np.testing.assert_allclose(wide, draws.std(0), rtol=0.05)
    (axes,) = Scatter()(run_of(digit_data, perceptron(digit_data, 2)))["scatter"].axes[:1]
    assert not axes.patches


def test_long_numbers_below_the_axis_stand_apart(digit_data):
    run = run_of(digit_data, perceptron(digit_data, 6))
    codes = np.random.default_rng(0).uniform(-0.09, 0.1, (len(digit_data["test"]), 6)) * [1, 0.9, 0.1, 0.1, 0.1, 0.1]
    run.codes = lambda split: codes.astype(np.float32)
    figure = Scatter(maps=["pca", "tsne"])(run)["scatter"]
    figure.draw_without_rendering()
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels() if low <= label.get_position()[0] <= high]
    assert len(boxes) > 3 and all(a.x1 + 3 < b.x0 for a, b in zip(boxes, boxes[1:], strict=False))


def test_a_code_that_is_the_same_in_all_rows_has_no_map(digit_data):
    """Where nothing varies there are no shares of a variance, and all rows are as near as any."""
    run = run_of(digit_data, perceptron(digit_data, 6))
    run.codes = lambda split: np.ones((len(digit_data["test"]), 6), np.float32)
    (axes,) = Scatter()(run)["scatter"].axes
    assert axes.get_title() == "all codes are the same" and not axes.get_xlabel() and len(axes.get_xticks()) == 0


def test_scatter_shows_principal_components_of_at_most_so_many_rows(digit_data):
    run = run_of(digit_data, perceptron(digit_data, 6))
    plane = Scatter(rows=50)(run)["scatter"].axes[0]
    points = np.concatenate([np.asarray(part.get_offsets()) for part in plane.collections])
    assert len(points) == 50
    covariance = np.cov(points.T)
    assert abs(covariance[0, 1]) < 1e-6 * covariance[0, 0] and covariance[0, 0] >= covariance[1, 1]
    chosen = np.random.default_rng(0).permutation(180)[:50]
    largest = np.linalg.eigvalsh(np.cov(run.codes("test")[chosen].T.astype(float)))[::-1]
    np.testing.assert_allclose(np.diag(covariance), largest[:2], rtol=1e-4)
    assert f"({largest[0] / largest.sum():.0%} of" in plane.get_xlabel()


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_scatter_without_labels_and_with_many_classes(dim):
    unlabelled = rows_of((4,))
    figure = Scatter()(run_of(unlabelled, perceptron(unlabelled, dim)))["scatter"]
    save(figure)
    assert not figure.legends and len(figure.axes[0].collections) == 1
    labels = np.arange(240) % 12 - 1  # 11 classes and some unknown
    many = rows_of((4,), labels=labels, classes=tuple("abcdefghijk"), n=240)
    figure = Scatter()(run_of(many, perceptron(many, dim)))["scatter"]
    save(figure)
    if dim == 1:
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()][:2] == ["unlabelled", "a"]
    else:
        legend = figure.legends[0]
        assert legend.get_title().get_text() == "class"
        assert {"a", "k", "unlabelled"} <= {text.get_text() for text in legend.get_texts()}


def test_a_collapsed_code_still_gives_a_figure(digit_data):
    run = run_of(digit_data)
    for parameter in run.model.encoder.parameters():
        nn.init.zeros_(parameter)
    save(Scatter()(run)["scatter"])


@pytest.mark.parametrize("dim", [1, 2])
def test_long_class_names_fit(dim):
    names = tuple(f"a rather long class name {i}" for i in range(9))
    data = rows_of((1, 5, 5), np.arange(60) % 9, names)
    save(Scatter()(run_of(data, perceptron(data, dim)))["scatter"])
    assert len({naming.class_name(run_of(data), label) for label in range(9)}) == 9

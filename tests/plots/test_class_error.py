"""plot=class_error: boxes hold the errors of their class, and the examples are its best and its worst."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aeexp.datasets.core.assemble import assemble
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.splits import Fractions
from aeexp.evaluation.run import Run
from aeexp.models.pca import identity
from aeexp.plots.class_error import COLUMNS, MOST, ClassError, group_rows


def data_of(shape, labels=None, classes=(), s=None, n: int = 200) -> Data:
    x = np.random.default_rng(0).uniform(0, 1, (n, *shape)).astype(np.float32)
    return assemble(Source(Rows(x, labels, s), classes=classes), name="made", split=Fractions([1, 1, 2]))


@pytest.fixture
def run(digit_data, build_learner) -> Run:
    return Run(build_learner((1, 8, 8), 3), digit_data)


def numbers(axes) -> list[float]:
    return [float(text.get_text()) for text in axes.texts if text.get_text()[0].isdigit()]


def test_classes_are_sorted_by_their_median_or_as_numbered(run):
    errors, labels = run.errors("test"), run.labels("test")
    medians = {label: np.median(errors[labels == label]) for label in range(10)}
    expected = {
        "error": sorted(range(10), key=lambda label: -medians[label]),
        "class": list(range(10)),
    }
    for order, classes in expected.items():
        axes = ClassError(order=order)(run)["class_error"].axes[0]
        ticks = [text.get_text() for text in axes.get_yticklabels()]
        assert ticks == [f"{label} (n = {(labels == label).sum()})" for label in classes]


def test_a_box_holds_median_and_quartiles_of_its_class_and_pca_lies_beside(run):
    axes = ClassError(order="class")(run)["class_error"].axes[0]
    labels = run.labels("test")
    for at in (0, 7):
        for values, middle in ((run.errors("test"), at - 0.2), (run.pca().errors("test"), at + 0.2)):
            own = values[labels == at]
            extents = [patch.get_bbox() for patch in axes.patches]
            [ends] = [extent for extent in extents if abs((extent.y0 + extent.y1) / 2 - middle) < 1e-6]
            np.testing.assert_allclose([ends.x0, ends.x1], np.percentile(own, [25, 75]), rtol=1e-5)
            medians = [lines for lines in axes.collections if (lines.get_linewidth() == 1.6).all()]
            [spot] = [x for lines in medians for (x, low), (_, high) in lines.get_segments() if low < middle < high]
            assert spot == pytest.approx(np.median(own), rel=1e-5)


def test_examples_are_the_best_and_the_worst_of_each_class_with_their_errors(run):
    axes = ClassError(examples=2, order="class")(run)["class_examples"].axes[0]
    errors, labels = run.errors("test"), run.labels("test")
    of = [np.sort(errors[labels == label]) for label in range(10)]
    expected = [e[0] for e in of] + [e[1] for e in of] + [e[-1] for e in of] + [e[-2] for e in of]
    np.testing.assert_allclose(numbers(axes), expected, rtol=6e-3)
    # the first sheet: the best example of each class; the sixth: what the worst became
    x = run.data["test"].batch(slice(0, len(errors))).x
    best = [np.flatnonzero((labels == label) & (errors == of[label][0]))[0] for label in range(10)]
    worst = [np.flatnonzero((labels == label) & (errors == of[label][-1]))[0] for label in range(10)]
    with torch.no_grad():
        output = run.model.reconstruct(x)
    for sheet, rows, source in ((0, best, x), (5, worst, output)):
        pixels = np.asarray(axes.images[sheet].get_array())
        for column in (0, 9):
            np.testing.assert_allclose(pixels[:8, 9 * column :][:, :8], source[rows[column], 0], atol=1e-5)


def test_without_labels_an_attribute_makes_the_groups_and_without_both_all_rows_are_one(build_learner):
    s = np.arange(200) % 3
    data = data_of((1, 5, 5), s=s)
    run = Run(build_learner((1, 5, 5)), data)
    kind, groups = group_rows(run, run.errors("test"))
    assert kind == "attribute" and [group.name for group in groups] == ["0", "1", "2"]
    single = Run(build_learner((1, 5, 5)), data_of((1, 5, 5)))
    figures = ClassError(examples=3)(single)
    assert [t.get_text() for t in figures["class_error"].axes[0].get_yticklabels()] == ["all rows (n = 100)"]
    errors = np.sort(single.errors("test"))
    np.testing.assert_allclose(
        numbers(figures["class_examples"].axes[0]), [*errors[:3], *errors[:-4:-1]], rtol=6e-3
    )  # fmt: skip


def test_unlabelled_rows_belong_to_no_class(build_learner):
    labels = np.tile([0, 1, -1, -1], 50)
    run = Run(build_learner((4,)), data_of((4,), labels, ("a", "b")))
    _, groups = group_rows(run, run.errors("test"))
    known = run.labels("test")
    assert [group.name for group in groups] == ["a", "b"]
    assert sorted(np.concatenate([group.rows for group in groups])) == list(np.flatnonzero(known >= 0))


def test_flat_rows_have_boxes_only(build_learner):
    run = Run(build_learner((4,)), data_of((4,), np.arange(200) % 3, ("a", "b", "c")))
    assert list(ClassError()(run)) == ["class_error"]


def test_sequences_and_colours_have_examples(build_learner):
    for shape in ((9, 3), (3, 6, 6)):
        run = Run(build_learner(shape), data_of(shape, np.arange(200) % 2, ("a", "b")))
        figure = ClassError()(run)["class_examples"]
        figure.canvas.draw()
        assert len(figure.axes[0].images) == 8


def test_a_perfect_copy_has_no_error_and_still_a_figure(digit_data, build_learner):
    learner = build_learner((1, 8, 8))
    learner.model = identity(digit_data.shape)
    figures = ClassError()(Run(learner, digit_data))
    assert set(numbers(figures["class_examples"].axes[0])) == {0.0}
    figures["class_error"].canvas.draw()


def test_of_many_classes_the_hardest_are_shown(build_learner):
    labels = np.arange(600) % 60
    run = Run(build_learner((1, 4, 4)), data_of((1, 4, 4), labels, tuple(f"class {i}" for i in range(60)), n=600))
    figures = ClassError()(run)
    assert len(figures["class_error"].axes[0].get_yticklabels()) == MOST
    assert f"the {MOST} with the largest median of 60" in figures["class_error"].get_suptitle().replace("\n", " ")
    assert len(figures["class_examples"].axes[0].get_xticklabels()) == COLUMNS


def test_a_class_of_few_rows_is_dots(build_learner):
    labels = np.zeros(200, int)
    labels[::50] = 1
    run = Run(build_learner((1, 4, 4)), data_of((1, 4, 4), labels, ("many", "few")))
    figures = ClassError(examples=4)(run)
    figures["class_examples"].canvas.draw()
    assert len(figures["class_error"].axes[0].patches) == 2

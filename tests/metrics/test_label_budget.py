"""Probes on few labels: the same rows for every model, more labels not worse; the figure shows what was measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from aeexp.contracts import Part
from aeexp.datasets.core.assemble import assemble
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.split import Split
from aeexp.datasets.core.splits import Fractions
from aeexp.errors import UsageError
from aeexp.evaluation.classifiers import fit_probe
from aeexp.evaluation.probes import accuracies, draw_rows, hold_out
from aeexp.evaluation.protocol import baselines
from aeexp.evaluation.run import Run
from aeexp.metrics.probe import Probe
from aeexp.models.learner import Learner
from aeexp.models.pca import identity, linear
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.plots.label_budget import LabelBudget, interval
from aeexp.tasks.reconstruct import Reconstruct

KINDS = ["linear", "knn", "svm_linear", "svm_rbf"]
LABELS = np.arange(600) % 5
FAR = (np.eye(5)[LABELS] * 20 + np.random.default_rng(0).normal(size=(600, 5))).astype(np.float32)
NEAR = (np.eye(5)[LABELS] * 2.5 + np.random.default_rng(0).normal(size=(600, 5))).astype(np.float32)


def coded(codes=NEAR, labels=LABELS, untrained=None) -> Run:
    """A run whose codes are these: 400 training and 200 test rows."""
    parts = {"train": slice(0, 400), "val": slice(400, 600), "test": slice(400, 600)}
    splits = {name: Split(Rows(codes[part], labels[part])) for name, part in parts.items()}
    data = Data("coded", splits, tuple("abcde"))
    return Run(Learner(Reconstruct(), identity(data.shape), Additive(Chain({}), {})), data, (), untrained)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_far_apart_are_read_without_a_mistake_from_one_label_each(kind):
    found = accuracies(coded(FAR), "test", kind, [5, 50, 400], draws=3)
    assert found == {5: [1.0] * 3, 50: [1.0] * 3, 400: [1.0]}


@pytest.mark.parametrize("kind", KINDS)
def test_more_labels_are_not_worse(kind):
    found = accuracies(coded(), "test", kind, [10, 100, 400], draws=8)
    few, more, all_ = (np.mean(found[budget]) for budget in (10, 100, 400))
    assert 0.3 < few < more  # chance is 0.2
    # one draw of all rows: a mean of 200 Bernoulli draws near 0.9 has a standard deviation of 0.021
    assert all_ > more - 0.042


def test_the_rows_of_a_budget_are_drawn_by_label_and_follow_from_the_seed():
    rows = draw_rows(LABELS, 50, 0)
    assert np.bincount(LABELS[rows]).tolist() == [10] * 5
    assert np.array_equal(rows, draw_rows(LABELS, 50, 0)) and not np.array_equal(rows, draw_rows(LABELS, 50, 1))
    assert np.array_equal(draw_rows(LABELS, 600, 3), np.arange(600))


def test_the_first_draw_is_that_of_the_data_set_which_hides_all_other_labels():
    """So a probe on codes and a network trained with dataset.labelled see the same labels."""
    source = Source(Rows(NEAR, LABELS), classes=tuple("abcde"))
    whole, few = (assemble(source, name="p", split=Fractions([8, 1, 1]), labelled=n) for n in (None, 25))
    rows = draw_rows(whole["train"].y.numpy(), 25, 0)
    assert rows.tolist() == torch.nonzero(few["train"].y >= 0).squeeze(1).tolist()


def test_the_metric_tells_the_mean_of_the_draws_and_leaves_out_what_there_are_no_labels_for():
    probe = Probe(budgets=[100, 10, 500], draws=4, classifiers=["svm_linear", "knn"])
    values = probe(coded(), "test")
    assert list(values) == ["probe/svm_linear", "probe/knn", "probe/svm_linear_n10", "probe/svm_linear_n100",
                            "probe/knn_n10", "probe/knn_n100"]  # fmt: skip
    assert values["probe/knn_n10"] == pytest.approx(np.mean(accuracies(coded(), "test", "knn", [10], 4)[10]))
    svm = fit_probe("svm_linear", NEAR[:400], LABELS[:400], held=hold_out(coded(), 400))
    assert values["probe/svm_linear"] == svm.score(NEAR[400:], LABELS[400:])


def test_codes_that_are_the_input_are_read_like_the_input():
    run = coded()
    rows = baselines(run, {"probe": Probe(budgets=[20], classifiers=list(KINDS))})
    assert rows["raw"] == Probe(budgets=[20], classifiers=list(KINDS))(run, "test")
    assert "random" not in rows  # nothing is known of the time before training


def test_the_untrained_network_is_a_baseline_of_its_own():
    model = linear(torch.Size([5]), 1)
    with torch.no_grad():
        model.encoder.layers[0].weight.zero_()  # the same code for all
    rows = baselines(coded(FAR, untrained=model), {"probe": Probe()})
    assert rows["raw"]["probe/knn"] == 1.0 and rows["random"]["probe/knn"] == 0.2


def test_no_more_neighbours_than_labels_a_class_and_one_class_is_always_named():
    assert fit_probe("knn", FAR[:5], LABELS[:5])[-1].n_neighbors == 1
    assert fit_probe("knn", FAR[:15], LABELS[:15])[-1].n_neighbors == 3
    assert fit_probe("knn", FAR, LABELS, 7)[-1].n_neighbors == 7
    one = fit_probe("linear", FAR[:4], np.full(4, 2))
    assert (one.predict(FAR) == 2).all()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (dict(classifiers=[]), r"^classifiers=\[\]: name one"),
    ],
)
def test_a_bad_number_is_refused(keys, message):
    with pytest.raises(UsageError, match=message):
        Probe(**keys)


# ---------------------------------------------------------------- the figure


def test_the_figure_shows_the_mean_accuracies_and_their_intervals():
    run = coded(untrained=identity(torch.Size([5])))
    axes = LabelBudget(budgets=[10, 100, 400, 1000], draws=4)(run)["label_budget"].axes[0]
    lines = {line.get_label(): line for line in axes.containers}
    assert list(lines) == ["codes", "raw input", "untrained encoder"], "5 components of 5 values make no error"
    found = accuracies(run, "test", "linear", [10, 100, 400], 4)
    points, _, (bars,) = lines["codes"]
    assert points.get_ydata() == pytest.approx([np.mean(values) for values in found.values()])
    assert points.get_xdata() == pytest.approx([10, 100, 400], rel=0.05)
    halves = [(ends[1, 1] - ends[0, 1]) / 2 for ends in bars.get_segments()]
    assert halves == pytest.approx([interval(found[10]), interval(found[100]), 0], abs=1e-9)
    assert axes.get_xscale() == "log" and [text.get_text() for text in axes.get_xticklabels()] == ["10", "100", "400"]


def test_the_interval_is_student_s():
    values = [0.1, 0.4, 0.2, 0.5]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert interval(values) == pytest.approx((high - low) / 2)
    assert interval([0.3]) == 0


class Reader(Part):
    """Takes a row's largest number for its label."""

    predicts_label = True

    def score_labels(self, out):
        return out.x


def test_a_model_that_names_labels_itself_is_a_line_across():
    run = coded(FAR)
    run.learner.add_module("reader", Reader())
    axes = LabelBudget(budgets=[10])(run)["label_budget"].axes[0]
    words = [line.get_label() for line in axes.lines if "own" in line.get_label()]
    assert words == ["the model's own classifier, trained on 400 labels: 100.0 %"]


def test_without_labels_there_is_no_figure():
    assert LabelBudget(budgets=[10])(coded(labels=np.full(600, -1))) == {}

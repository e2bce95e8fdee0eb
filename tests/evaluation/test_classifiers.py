"""No code is at a disadvantage: laws of what scale and constant units do, and how penalties are chosen."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from aeexp.evaluation import classifiers
from aeexp.evaluation.classifiers import PENALTIES, Held, fit_probe, read_choice

KINDS = ["linear", "knn", "svm_linear", "svm_rbf"]
ROWS = 900
LABELS = np.random.default_rng(0).integers(0, 3, ROWS)
CODES = (np.eye(3)[LABELS] * 1.5 + np.random.default_rng(1).normal(size=(ROWS, 3))).astype(np.float32)
FIT, HELD, TEST = slice(0, 300), slice(300, 600), slice(600, 900)


def accuracy(kind, codes, held=True) -> float:
    codes = codes.astype(np.float32)
    probe = fit_probe(kind, codes[FIT], LABELS[FIT], held=Held(codes[HELD], LABELS[HELD]) if held else None)
    return probe.score(codes[TEST], LABELS[TEST])


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_scale_and_the_offset_of_all_codes_change_nothing(kind, held):
    plain = accuracy(kind, CODES, held)
    for scale, offset in ((1e-3, 0), (1e3, 0), (1, 7), (-2, -30)):
        # float32 rounds the moved codes, which may carry a row over a border
        assert accuracy(kind, scale * CODES + offset, held) == pytest.approx(plain, abs=2 / 300)


@pytest.mark.parametrize("kind", KINDS)
def test_constant_and_nearly_constant_units_change_nothing(kind):
    noise = np.random.default_rng(2).normal(size=(ROWS, 40))
    plain = accuracy(kind, CODES)
    assert accuracy(kind, np.hstack([CODES, np.full((ROWS, 5), 3.7)])) == plain
    # a millionth of the largest deviation is a thousandth after the root: 40 of them move a distance by 4 %
    assert accuracy(kind, np.hstack([CODES, 1e-6 * noise])) == pytest.approx(plain, abs=3 / 300)


@pytest.mark.parametrize("kind", ["linear", "svm_linear"])
def test_pixels_that_are_on_in_few_rows_do_not_outshout_the_others(kind):
    """As at the border of MNIST: standardised, each is the largest number of its row."""
    rare = np.zeros((ROWS, 200))
    draw = np.random.default_rng(3)
    rare[draw.integers(ROWS, size=600), draw.integers(200, size=600)] = 0.3
    codes = np.hstack([CODES, rare]).astype(np.float32)
    standard = (codes - codes[FIT].mean(0)) / np.maximum(codes[FIT].std(0), 1e-12)
    fitted = classifiers._fit(kind, standard[FIT], LABELS[FIT], 1.0, 5)
    plain = accuracy(kind, CODES)
    assert fitted.score(standard[TEST], LABELS[TEST]) < plain - 0.02  # what standardising alone makes of it
    assert accuracy(kind, codes) > plain - 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_the_choice_is_the_one_that_reads_the_held_rows_best(kind):
    held = Held(CODES[HELD], LABELS[HELD])
    best = fit_probe(kind, CODES[FIT], LABELS[FIT], held=held)
    choices = PENALTIES.get(kind, (0.0, 1.0))
    scores = {c: classifiers._score(kind, classifiers._fit(kind, CODES[FIT], LABELS[FIT], c, 5), held) for c in choices}
    # started from the last penalty's weights the solver ends within its tolerance
    assert scores[read_choice(best)] == pytest.approx(max(scores.values()), abs=1e-3)


def test_a_rare_class_is_not_given_up_for_accuracy():
    """Of 3 % of the rows accuracy says that all penalties are equal; the likelihood does not."""
    labels = (np.random.default_rng(4).random(ROWS) < 0.03).astype(int)
    codes = (np.random.default_rng(5).normal(size=(ROWS, 4)) + labels[:, None] * [1.5, 0, 0, 0]).astype(np.float32)
    probe = fit_probe("linear", codes[FIT], labels[FIT], held=Held(codes[HELD], labels[HELD]))
    chances = probe.predict_proba(codes[TEST])[:, 1]
    assert chances[labels[TEST] == 1].mean() > 2 * chances[labels[TEST] == 0].mean()


def test_few_rows_without_others_are_read_as_before():
    probe = fit_probe("linear", CODES[:40], LABELS[:40])
    assert read_choice(probe) == 1.0
    assert read_choice(fit_probe("knn", CODES[:40], LABELS[:40])) == 0.0


def test_held_labels_that_no_fitted_row_has_are_no_mistake_of_the_penalty():
    only = np.flatnonzero(LABELS[FIT] < 2)
    probe = fit_probe("linear", CODES[only], LABELS[only], held=Held(CODES[HELD], LABELS[HELD]))
    assert probe.classes_.tolist() == [0, 1]
    strange = Held(CODES[HELD], np.full(300, 9))
    assert fit_probe("linear", CODES[FIT], LABELS[FIT], held=strange).classes_.tolist() == [0, 1, 2]


def test_a_probe_that_has_not_converged_says_so(caplog, monkeypatch):
    fit_probe("linear", CODES[FIT], LABELS[FIT], held=Held(CODES[HELD], LABELS[HELD]))
    assert not caplog.messages
    monkeypatch.setattr(classifiers, "STEPS", 2)
    with caplog.at_level(logging.WARNING):
        fit_probe("linear", CODES[FIT], LABELS[FIT], held=Held(CODES[HELD], LABELS[HELD]))
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("linear probe of 300 rows and 3 units: not converged after 2 steps")

"""Intervals over rows cover the truth as often as they say; Measured is a float in all else."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from aeexp.evaluation.uncertainty import Measured, measure_mean, measure_share
from aeexp.metrics.anomaly import draw_ranks, rank_scores
from aeexp.metrics.generalisation import divide

TRIALS = 400
FEW = 5 * math.sqrt(0.05 * 0.95 / TRIALS)  # five deviations of a share of 95 % of the trials


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_wilson_covers_a_share_of_few_rows(share):
    draw = np.random.default_rng(0)
    found = [measure_share(draw.random(60) < share) for _ in range(TRIALS)]
    covered = np.mean([number.low <= share <= number.high for number in found])
    assert covered > 0.95 - FEW - 0.02  # between its steps Wilson's lies a little below (Brown et al. 2001)
    assert all(0 <= number.low <= number <= number.high <= 1 for number in found)


@given(st.integers(1, 300), st.floats(0, 1))
def test_wilson_agrees_with_scipy_and_never_is_a_certainty(rows, share):
    hits = np.arange(rows) < round(share * rows)
    found = measure_share(hits)
    expected = stats.binomtest(int(hits.sum()), rows).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert found.high > found.low


def test_a_mean_is_covered_and_its_interval_is_student_s():
    draw = np.random.default_rng(0)
    found = [measure_mean(draw.exponential(size=40)) for _ in range(TRIALS)]
    assert np.mean([number.low <= 1 <= number.high for number in found]) > 0.95 - FEW - 0.03  # skewed rows
    values = draw.normal(size=7)
    low, high = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    assert (measure_mean(values).low, measure_mean(values).high) == pytest.approx((low, high))


def test_a_measured_number_is_a_float_and_what_is_made_of_it_has_its_own_interval():
    number = Measured(2.0, 1.5, 2.75)
    assert copy.deepcopy(number).high == 2.75
    assert number == 2.0 and json.dumps({"a": number}) == '{"a": 2.0}' and f"{number:.3g}" == "2"
    assert type(number + 1) is float
    scaled = number.scale(-2, 1)
    assert (scaled, scaled.low, scaled.high) == (-3, -4.5, -2)
    gap = Measured(5.0, 2, 8).less(Measured(1.0, -3, 5))
    assert (gap, gap.low, gap.high) == (4, -1, 9)
    ratio = divide(Measured(4.0, 4, 4), Measured(2.0, 1.8, 2.2))
    assert (ratio, ratio.low, ratio.high) == pytest.approx((2, 1.8, 2.2))
    single = measure_mean(np.array([3.0]))
    assert single == 3 and math.isinf(single.high)  # of one row nothing is known


@pytest.mark.parametrize("levels", [3, 10**6])
def test_draws_of_ranks_are_those_of_scikit_learn(levels, monkeypatch):
    draw = np.random.default_rng(1)
    truth = draw.random(80) < 0.3
    score = np.round((draw.normal(size=80) + truth) * levels) / levels
    monkeypatch.setattr("aeexp.metrics.anomaly.DRAWS", 5)
    places = np.random.default_rng(0)
    drawn = [places.integers(80, size=80) for _ in range(5)]
    assert draw_ranks(truth, score)[0] == pytest.approx([roc_auc_score(truth[at], score[at]) for at in drawn])
    assert draw_ranks(truth, score)[1] == pytest.approx([average_precision_score(truth[at], score[at]) for at in drawn])


def test_the_interval_of_an_auroc_covers_it():
    draw, true = np.random.default_rng(0), stats.norm.cdf(1 / math.sqrt(2))
    found = []
    for _ in range(100):
        truth = draw.random(200) < 0.3
        found.append(rank_scores(truth, draw.normal(size=200) + truth)["anomaly/auroc"])
    covered = np.mean([number.low <= true <= number.high for number in found])
    assert covered > 0.95 - 5 * math.sqrt(0.05 * 0.95 / 100)

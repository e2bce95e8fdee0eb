"""The intervals of means, the tests that tell them apart, and p values of several comparisons."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from aeexp.reports.statistics import Estimate, estimate, holm, paired_test

VALUES = st.lists(st.floats(-100, 100), min_size=3, max_size=12)


@given(VALUES, st.randoms())
def test_the_paired_test_is_scipys_in_any_order(values, random):
    made = paired_test(values)
    if made.p is None or made.p == 1:
        return  # no spread: the next test
    expected = stats.ttest_1samp(values, 0)
    interval = expected.confidence_interval(0.95)
    assert made.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    # a mean of up to 12 numbers below 100 is good to 1e-13 of these
    assert made.difference + made.half == pytest.approx(interval.high, rel=1e-6, abs=1e-9)
    shuffled = random.sample(values, len(values))
    assert paired_test(shuffled).p == pytest.approx(made.p, rel=1e-6, abs=1e-12)
    assert paired_test([-v for v in values]).difference == pytest.approx(-made.difference)


def test_a_model_against_itself_has_no_difference_and_one_by_a_constant_no_test():
    assert paired_test([0.0] * 4)[2:5] == (0.0, 0.0, 1.0)
    made = paired_test([0.1 + 0.2, 0.3, 0.3])
    assert made.name is None and made.p is None and "no spread" in made.reason
    assert paired_test([1.0, 2.0]).p is None and "fewer than 3" in paired_test([1.0, 2.0]).reason


def test_the_corrected_variance_holds_its_level_where_the_plain_one_does_not():
    """k-fold differences share 1 - 1/(k-1) of their training rows; their correlation is about the share of test rows.

    With correlation r the variance of the mean is s^2 (1/k + r/(1-r)), for which ratio = r/(1-r) is exact: of 4,000
    draws 5 % +- 1.4 % (four standard errors) are called different.
    """
    rng, k, r = np.random.default_rng(0), 5, 0.2
    draws = math.sqrt(1 - r) * rng.normal(size=(4000, k)) + math.sqrt(r) * rng.normal(size=(4000, 1))
    plain = np.mean([paired_test(row).p < 0.05 for row in draws])
    corrected = np.mean([paired_test(row, r / (1 - r)).p < 0.05 for row in draws])
    assert corrected == pytest.approx(0.05, abs=0.014) and plain > 0.1


def test_the_corrected_variance_is_that_of_the_paper():
    values = [1.0, 2.0, 4.0, 1.5]
    made = paired_test(values, 0.25)
    error = math.sqrt((1 / 4 + 0.25) * np.var(values, ddof=1))
    assert made.half == pytest.approx(stats.t.ppf(0.975, 3) * error)
    assert made.p == pytest.approx(2 * stats.t.sf(np.mean(values) / error, 3))
    assert "Nadeau" in made.name


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_plain_and_bonferroni_and_keeps_the_order(ps):
    adjusted = holm(ps)
    for p, a in zip(ps, adjusted, strict=True):
        assert p <= a <= min(1.0, len(ps) * p) or a == pytest.approx(min(1.0, len(ps) * p))
    assert all(a <= b for a, b in zip(np.array(adjusted)[np.argsort(ps)][:-1], np.sort(adjusted)[1:], strict=True))


def test_holms_example():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_an_estimate_is_students_and_of_one_run_its_value():
    assert estimate([]) is None and estimate([2.5]) == Estimate(2.5, 0.0, 1, 0.0)
    made = estimate([1.0, 2.0, 3.0])
    assert made.half == pytest.approx(4.302652729911275 / math.sqrt(3)) and made.sd == pytest.approx(1.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12))
def test_mean_and_deviation_have_the_bits_of_numpy(values):
    made = estimate(values)
    assert made is not None and (made.mean, made.sd) == (float(np.mean(values)), float(np.std(values, ddof=1)))

"""The arithmetic of verdicts, by laws."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aeexp.reproductions.studies import Bound, Order, Published
from aeexp.reproductions.verdicts import (
    FAIL,
    INCOMPLETE,
    PASS,
    Outcome,
    compare_recorded,
    conclude,
    judge_bound,
    judge_order,
    judge_published,
)  # fmt: skip

NUMBERS = st.floats(-1000, 1000, allow_nan=False)
VALUES = st.dictionaries(st.integers(0, 9), NUMBERS, min_size=1, max_size=5)
SIDES = st.sampled_from(["both", "at_most", "at_least"])
EXACT = st.integers(-512, 512).map(lambda n: n / 8)  # sums of eight of them have no rounding
MEANS = st.dictionaries(st.integers(0, 9), EXACT, min_size=2, max_size=2)  # a mean of two is exact as well


def published(value: float, tolerance: float, side="both") -> Published:
    return Published(arm="a", value=value, spread=None, tolerance=tolerance, derived="by hand", side=side)


@given(MEANS, EXACT, EXACT.map(abs), SIDES)
def test_a_published_number_is_met_where_the_mean_is_within_the_tolerance(values, value, tolerance, side):
    mean = sum(values.values()) / 2
    holds = {
        "both": abs(mean - value) <= tolerance,
        "at_most": mean <= value + tolerance,
        "at_least": mean >= value - tolerance,
    }[side]
    assert judge_published(published(value, tolerance, side), values).verdict == (PASS if holds else FAIL)


@given(VALUES, NUMBERS, st.floats(0, 100), st.floats(0, 100))
def test_a_wider_tolerance_loses_nothing_and_both_sides_are_the_two_together(values, value, first, second):
    narrow, wide = sorted((first, second))

    def verdict(tolerance: float, side="both") -> str:
        return judge_published(published(value, tolerance, side), values).verdict

    assert verdict(narrow) == FAIL or verdict(wide) == PASS
    assert (verdict(wide) == PASS) == (verdict(wide, "at_most") == verdict(wide, "at_least") == PASS)


@given(MEANS, EXACT)
def test_a_bound_is_a_side_without_a_tolerance(values, value):
    for side in ("at_most", "at_least"):
        bound = judge_bound(Bound(arm="a", value=value, side=side, derived="by hand"), values)
        assert bound.verdict == judge_published(published(value, 0.0, side), values).verdict


ARMS = st.integers(1, 4).flatmap(
    lambda n: st.lists(
        st.fixed_dictionaries(dict.fromkeys(range(n), EXACT)), min_size=2, max_size=4
    ).map(lambda rows: {f"arm{i}": row for i, row in enumerate(rows)})
)  # fmt: skip


def order(arms, margin=0.0) -> Order:
    return Order(arms=tuple(arms), derived="by hand", margin=margin)


@given(ARMS, EXACT, st.sampled_from(["lower", "higher"]))
def test_an_order_knows_differences_alone(arms, shift, better):
    """The same for every seed of every arm changes nothing; turned round, what is better is turned round."""
    verdict = judge_order(order(arms), arms, better).verdict
    moved = {arm: {seed: value + shift * (seed + 1) for seed, value in row.items()} for arm, row in arms.items()}
    assert judge_order(order(arms), moved, better).verdict == verdict
    negative = {arm: {seed: -value for seed, value in row.items()} for arm, row in arms.items()}
    assert judge_order(order(arms), negative, "higher" if better == "lower" else "lower").verdict == verdict
    if verdict == PASS:  # no two arms are as good
        assert judge_order(order(reversed(arms)), arms, better).verdict == FAIL
        assert judge_order(order(arms, margin=10_000.0), arms, better).verdict == FAIL


def test_equal_arms_are_in_no_order_and_a_star_needs_seeds_that_agree():
    same = {"a": {0: 1.0, 1: 2.0}, "b": {0: 1.0, 1: 2.0}}
    assert judge_order(order("ab"), same, "lower").verdict == FAIL
    sure = {"a": {0: 1.0, 1: 2.0, 2: 3.0}, "b": {0: 2.0, 1: 3.01, 2: 4.0}}
    assert judge_order(order("ab"), sure, "lower") == Outcome("a better than b", "1.003 ± 0.014 *", PASS, "by hand")
    loose = {"a": {0: 1.0, 1: 2.0, 2: 3.0}, "b": {0: 9.0, 1: 2.0, 2: 2.0}}
    assert judge_order(order("ab"), loose, "lower").verdict == PASS
    assert "*" not in judge_order(order("ab"), loose, "lower").ours


def test_what_was_not_measured_is_not_complete_and_hides_no_fail():
    assert judge_published(published(1.0, 1.0), {}).verdict == INCOMPLETE
    assert judge_order(order("abc"), {"a": {0: 1.0}, "b": {0: 2.0}}, "lower").verdict == INCOMPLETE
    assert judge_order(order("abc"), {"a": {0: 3.0}, "b": {0: 2.0}}, "lower").verdict == FAIL
    assert judge_order(order("ab"), {"a": {0: 1.0}, "b": {1: 2.0}}, "lower").verdict == INCOMPLETE  # no seed of both


@given(st.lists(st.sampled_from([PASS, FAIL, INCOMPLETE]), max_size=5))
def test_one_fail_fails_and_nothing_passes_by_silence(verdicts):
    found = conclude([Outcome("", "", verdict, "") for verdict in verdicts])
    assert (found == FAIL) == (FAIL in verdicts)
    assert (found == PASS) == (set(verdicts) == {PASS})


TWO = st.dictionaries(st.integers(0, 9), st.floats(1, 100), min_size=2, max_size=6)


@given(TWO, TWO, st.floats(0.1, 10))
def test_what_seeds_explain_is_symmetric_and_knows_no_unit(then, now, scale):
    forward, backward = compare_recorded(then, now), compare_recorded(now, then)
    assert forward is not None and backward is not None
    # where no seed spreads, a thousandth of the recorded number is allowed, which the two sides differ in
    assume(forward.allowed > 0.11)
    assert forward.within == backward.within
    scaled = [{seed: scale * value for seed, value in row.items()} for row in (then, now)]
    other = compare_recorded(*scaled)
    assert other is not None and math.isclose(other.allowed, scale * forward.allowed, rel_tol=1e-9)


@given(TWO)
def test_the_same_numbers_have_not_changed_and_far_ones_have(values):
    same = compare_recorded(values, values)
    assert same is not None and same.within
    far = {seed: value + 2.1 * same.allowed for seed, value in values.items()}  # the spread, and so `allowed`, stay
    moved = compare_recorded(values, far)
    assert moved is not None and not moved.within


def test_a_single_number_may_move_by_a_thousandth():
    assert compare_recorded({}, {0: 1.0}) is None
    for now, within in ((13.971, True), (13.95, False)):
        shift = compare_recorded({0: 13.97}, {0: now})
        assert shift is not None and shift.within == within


def test_students_interval_of_a_difference():
    """Two and two seeds, both of standard deviation 1: t(2) = 4.303 times √(1/2 + 1/2)."""
    half = math.sqrt(0.5)
    shift = compare_recorded({0: 10 - half, 1: 10 + half}, {0: 12 - half, 1: 12 + half})
    assert shift is not None and shift.allowed == pytest.approx(4.3027, abs=1e-3) and shift.within

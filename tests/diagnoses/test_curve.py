"""The numbers of a learning curve do not hang on the unit of a loss, nor on where its zero is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeexp.diagnoses.curve import measure_last_quarter, measure_swing, summarise_curve

CURVES = st.lists(st.integers(-1000, 1000), min_size=2, max_size=40)


def curve(values: list[int], start: int = 0) -> list[tuple[int, float]]:
    return [(start + 10 * (i + 1), float(value)) for i, value in enumerate(values)]


@given(CURVES, st.integers(-1000, 1000), st.sampled_from([0.25, 1.0, 8.0]))
def test_both_are_the_same_in_another_unit_and_from_another_zero(values, shift, unit):
    """Whole numbers times powers of 2: no rounding."""
    moved = [unit * (value + shift) for value in values]
    assert measure_last_quarter(curve(moved)) == measure_last_quarter(curve(values))
    assert measure_swing(moved) == measure_swing([float(value) for value in values])


@given(CURVES)
def test_the_last_quarter_is_a_share_of_the_fall_and_none_where_nothing_fell(values):
    share = measure_last_quarter(curve(values))
    if min(values) == values[0]:
        assert share is None
    else:
        assert share is not None and 0 <= share <= 1
        assert (share > 0) == (
            min(values) < min(v for i, v in enumerate(values) if i == 0 or (i + 1) <= 0.75 * len(values))
        )


@given(CURVES)
def test_a_loss_that_never_rises_does_not_swing(values):
    falling = sorted(map(float, values), reverse=True)
    assert measure_swing(falling) in (0.0, None)
    assert (measure_swing(falling) is None) == (len(values) < 5 or len(set(falling[1:])) == 1)


def test_by_hand():
    assert measure_last_quarter(curve([10, 6, 4, 3])) == pytest.approx(1 / 7)
    assert measure_swing([99.0, 10.0, 4.0, 7.0, 5.0, 5.5, 0.0]) == pytest.approx((2 + 0.5) / 10)
    assert measure_swing([10.0, 9.0, 4.0, 5.0, 6.0, 7.0]) == 0.0, "a rise that stays is no swing"


def test_a_stage_before_the_last_one_does_not_count():
    stages = [{"step": 500, "split": "layer_1/val", "loss": 9.0}]
    rows = [{"step": 500 + 10 * i, "split": "val", "loss": 8.0 - i} for i in range(1, 5)]
    rows += [{"step": 500 + 10 * i, "split": "train", "loss": 8.0, "reconstruction": value}
             for i, value in enumerate([9.0, 8.0, 2.0, 4.0, 3.0], 0)]  # fmt: skip
    found = summarise_curve([*stages, *rows], "loss")
    assert found == {"steps": 40, "earlier_steps": 500, "validations": 4, "last_quarter": pytest.approx(1 / 3),
                     "swing": pytest.approx(1 / 6)}  # fmt: skip
    assert summarise_curve([], "loss") == {"steps": 0, "earlier_steps": 0, "validations": 0}
    assert "last_quarter" not in summarise_curve(rows[:1], "loss")

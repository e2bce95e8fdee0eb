"""Few rows are trained as long as many: how many steps the default budget makes of so many rows."""

from __future__ import annotations

import math

import pytest
from composing import composed
from hypothesis import given
from hypothesis import strategies as st

from aeexp.runs.config import make
from aeexp.trainers.joint import FEWEST, Joint
from aeexp.trainers.layerwise import Layerwise

LEAST, EPOCHS = 12, 30


@pytest.fixture(scope="module")
def default() -> Joint:
    return make(composed(), "trainer")


@given(rows=st.integers(1, 100_000))
def test_the_default_budget_is_never_a_few_steps(default, rows):
    size = default.choose_batch_size(rows)
    assert default.min_steps_per_epoch == LEAST and default.epochs == EPOCHS
    assert FEWEST <= size <= default.batch_size == 128
    if rows > FEWEST * (LEAST - 1):
        assert default.count_steps(rows) >= EPOCHS * LEAST
        assert size == 128 or math.ceil(rows / (size + 1)) < LEAST, "no batch is smaller than it must be"
    else:
        assert default.count_steps(rows) == EPOCHS * math.ceil(rows / FEWEST)
    if rows > 128 * (LEAST - 1):  # 1,409 and more: digits have 1,437
        assert size == 128


@given(st.integers(1, 2000), st.integers(1, 40), st.integers(1, 300), st.integers(1, 4))
def test_an_epoch_has_as_many_steps_as_asked_for_where_the_rows_suffice(rows, least, size, accumulate):
    trainer = Joint(epochs=1, batch_size=size, min_steps_per_epoch=least, accumulate=accumulate)
    chosen = trainer.choose_batch_size(rows)
    assert chosen == size or FEWEST <= chosen < size
    if rows > FEWEST * accumulate * (least - 1):
        assert trainer.count_steps(rows) >= least
    if least == 1:
        assert chosen == size


def test_120_rows_of_iris_are_360_steps_and_a_layer_has_its_own_floor(default):
    assert (default.choose_batch_size(120), default.count_steps(120)) == (10, 360)
    layered = make(composed("trainer=layerwise"), "trainer")
    assert isinstance(layered, Layerwise)
    assert layered.make_stage(epochs=15).count_steps(120) == 15 * LEAST
    assert layered.finetune is not None and layered.finetune.count_steps(120) == 360

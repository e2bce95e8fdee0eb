"""Columns filled batch by batch are the batches one below the other."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aeexp.evaluation.columns import Columns


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(0, 3), st.integers(0, 3))
def test_columns_are_the_parts_one_below_the_other(sizes: list[int], width: int, missing: int) -> None:
    random = np.random.default_rng(0)
    parts = [random.random((size, width), np.float32) for size in sizes]
    columns = Columns(sum(sizes) + missing)
    for part in parts:
        columns.add("codes", part)
        columns.add("errors", part.sum(1, dtype=np.float64))
    arrays = columns.arrays()
    assert list(arrays) == ["codes", "errors"]
    np.testing.assert_array_equal(arrays["codes"], np.concatenate(parts))
    np.testing.assert_array_equal(arrays["errors"], np.concatenate([part.sum(1, dtype=np.float64) for part in parts]))
    assert arrays["codes"].dtype == np.float32

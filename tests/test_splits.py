"""Which rows train, choose and test: disjoint, whole, stratified, and decided by their own seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aeexp.data.records import Rows
from aeexp.data.splits import Fractions, Official, draw
from aeexp.errors import UsageError

PARTS = ("train", "val", "test")


def rows_of(n, classes=0, seed=0) -> Rows:
    """n rows that hold their own number; labels by unequal shares."""
    x = np.arange(n, dtype=np.float32)[:, None]
    shares = np.arange(1, classes + 1) / max(1, classes * (classes + 1) / 2)
    y = np.random.default_rng(seed).choice(classes, n, p=shares) if classes else None
    return Rows(x, y, x * 2, np.arange(n))


@given(
    n=st.integers(3, 300),
    shares=st.lists(st.integers(1, 10), min_size=3, max_size=3),
    classes=st.integers(0, 5),
    seed=st.integers(0, 20),
)
def test_fractions_are_disjoint_cover_all_rows_and_have_the_stated_sizes(n, shares, classes, seed):
    sizes = [max(1, round(n * share / sum(shares))) for share in shares[1:]]
    rows = rows_of(n, classes, seed)
    if sum(sizes) >= n:
        with pytest.raises(UsageError, match=r"^fractions=\["):
            Fractions(shares, seed)(rows, None)
        return
    parts = Fractions(shares, seed)(rows, None)
    assert list(parts) == list(PARTS)
    ids = np.concatenate([parts[name].ids for name in PARTS])
    assert sorted(ids) == list(range(n))
    assert [len(parts["val"].x), len(parts["test"].x)] == sizes
    for part in parts.values():  # every field went along, in the old order
        assert (np.diff(part.ids) > 0).all()
        assert np.array_equal(part.x[:, 0], part.ids) and np.array_equal(part.s, part.x * 2)
        assert classes == 0 or np.array_equal(part.y, rows.y[part.ids])


@given(n=st.integers(100, 400), classes=st.integers(2, 5), seed=st.integers(0, 20))
def test_every_split_has_each_class_in_its_share(n, classes, seed):
    rows = rows_of(n, classes, seed)
    counts = np.bincount(rows.y, minlength=classes)
    assume(counts.min() >= 10)  # the guarantee needs classes that can be cut
    for part in Fractions([6, 2, 2], seed)(rows, None).values():
        expected = counts * len(part.x) / n
        # Each of the two draws is off by less than one row a class; the first one's error enters the second's share.
        assert (abs(np.bincount(part.y, minlength=classes) - expected) < 2).all()


def test_a_class_too_small_to_cut_does_not_stop_the_split():
    rows = rows_of(50)._replace(y=np.array([1] + [0] * 49))
    parts = Fractions([8, 1, 1])(rows, None)
    assert sorted(np.concatenate([part.ids for part in parts.values()])) == list(range(50))


@pytest.mark.parametrize("make", [lambda seed: Fractions([6, 2, 2], seed), lambda seed: Official(0.3, seed)])
def test_the_splits_seed_alone_decides(make):
    def ids(seed, noise):
        np.random.seed(noise)  # what a training run does to the global generator
        parts = make(seed)(rows_of(200, 3), rows_of(20, 3))
        return [tuple(parts[name].ids) for name in PARTS[:2]]

    assert ids(0, 1) == ids(0, 2)
    assert ids(0, 1) != ids(1, 1)


def test_every_row_is_drawn_as_often_as_any_other():
    n, size, draws = 30, 6, 400
    hits = np.zeros(n)
    for seed in range(draws):
        hits[draw(rows_of(n), size, seed)[1].ids] += 1
    # hypergeometric: each row is in a draw with probability 1/5; five deviations of a binomial count
    p = size / n
    assert (abs(hits - draws * p) < 5 * np.sqrt(draws * p * (1 - p))).all()


def test_the_official_test_rows_stay_whole_and_apart():
    rows, test = rows_of(100, 3), rows_of(40, 3, seed=1)
    parts = Official(val=0.2)(rows, test)
    assert all(np.array_equal(a, b) for a, b in zip(parts["test"], test, strict=True))
    assert sorted([*parts["train"].ids, *parts["val"].ids]) == list(range(100))
    assert len(parts["val"].x) == 20


def test_official_needs_a_test_set_and_says_what_to_take():
    with pytest.raises(UsageError, match="dataset/split=fractions"):
        Official()(rows_of(100), None)


@pytest.mark.parametrize("fractions", [[8, 1], [8, 1, 1, 1], [8, 0, 1], [8, -1, 1], []])
def test_bad_fractions_are_refused_with_key_value_and_example(fractions):
    with pytest.raises(UsageError) as error:
        Fractions(fractions)
    assert str(error.value).startswith(f"fractions={fractions} ") and "[8,1,1]" in str(error.value)


@pytest.mark.parametrize("val", [0, 1, -0.1, 1.5])
def test_a_bad_share_is_refused_with_key_and_value(val):
    with pytest.raises(UsageError, match=f"^val={val} "):
        Official(val)


def test_a_share_that_leaves_nothing_to_train_on_is_refused():
    with pytest.raises(UsageError, match="^val=0.99 "):
        Official(0.99)(rows_of(10), rows_of(3))

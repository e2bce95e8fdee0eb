"""Which rows train, choose and test: disjoint, whole, stratified, and decided by their own seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.splits import Fractions, KFold, Official, draw, shuffle_apart
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
            Fractions(shares, seed)(Source(rows))
        return
    parts = Fractions(shares, seed)(Source(rows))
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
    for part in Fractions([6, 2, 2], seed)(Source(rows)).values():
        expected = counts * len(part.x) / n
        # Each of the two draws is off by less than one row a class; the first one's error enters the second's share.
        assert (abs(np.bincount(part.y, minlength=classes) - expected) < 2).all()


def test_a_class_too_small_to_cut_does_not_stop_the_split():
    rows = rows_of(50)._replace(y=np.array([1] + [0] * 49))
    parts = Fractions([8, 1, 1])(Source(rows))
    assert sorted(np.concatenate([part.ids for part in parts.values()])) == list(range(50))


@pytest.mark.parametrize("make", [lambda seed: Fractions([6, 2, 2], seed), lambda seed: Official(0.3, seed)])
def test_the_splits_seed_alone_decides(make):
    def ids(seed, noise):
        np.random.seed(noise)  # what a training run does to the global generator
        parts = make(seed)(Source(rows_of(200, 3), rows_of(20, 3)))
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
    parts = Official(val=0.2)(Source(rows, test))
    assert all(np.array_equal(a, b) for a, b in zip(parts["test"], test, strict=True) if b is not None)
    assert sorted([*parts["train"].ids, *parts["val"].ids]) == list(range(100))
    assert len(parts["val"].x) == 20


def test_official_needs_a_test_set_and_says_what_to_take():
    with pytest.raises(UsageError, match="dataset/split=fractions"):
        Official()(Source(rows_of(100)))


@pytest.mark.parametrize("fractions", [[8, 1], [8, 1, 1, 1], [8, 0, 1], [8, -1, 1], []])
def test_bad_fractions_are_refused_with_key_value_and_example(fractions):
    with pytest.raises(UsageError) as error:
        Fractions(fractions)
    assert str(error.value).startswith(f"fractions={fractions} ") and "[8,1,1]" in str(error.value)


def test_a_share_that_leaves_nothing_to_train_on_is_refused():
    with pytest.raises(UsageError, match="^val=0.99 "):
        Official(0.99)(Source(rows_of(10), rows_of(3)))


def test_a_val_set_that_comes_with_the_data_is_taken_as_it_is():
    rows, test, val = rows_of(100, 3), rows_of(40, 3, seed=1), rows_of(30, 3, seed=2)
    parts = Official(val=0.2)(Source(rows, test, val=val))
    assert parts["val"] is val and parts["train"] is rows


# ---------------------------------------------------------------- cross-validation


@given(n=st.integers(4, 120), folds=st.integers(2, 8), classes=st.integers(0, 4), seed=st.integers(0, 9))
def test_the_folds_are_disjoint_and_test_every_row_once(n, folds, classes, seed):
    assume(folds <= n and n - -(-n // folds) >= 2)
    source = Source(rows_of(n, classes, seed))
    splits = [KFold(folds, fold, seed=seed)(source) for fold in range(folds)]
    assert sorted(np.concatenate([parts["test"].ids for parts in splits])) == list(range(n))
    for parts in splits:
        assert sorted(np.concatenate([part.ids for part in parts.values()])) == list(range(n))
        # a fold holds n / folds rows; of each class it may hold one more or less than its share
        assert abs(len(parts["test"].x) - n / folds) < 1 + classes


@given(folds=st.integers(2, 5), seed=st.integers(0, 9))
def test_every_fold_has_each_class_in_its_share(folds, seed):
    source = Source(rows_of(200, 3, seed))
    for fold in range(folds):
        part = KFold(folds, fold, seed=seed)(source)["test"]
        shares = np.bincount(source.rows.y, minlength=3) / folds
        assert (abs(np.bincount(part.y, minlength=3) - shares) < 1).all()


def test_more_folds_than_rows_and_a_fold_that_is_none_are_refused():
    with pytest.raises(UsageError, match=r"^folds=9: there are 5 rows only; take dataset.split.folds=5"):
        KFold(9)(Source(rows_of(5)))
    with pytest.raises(UsageError, match=r"^fold=5: the folds are numbered 0 to 4"):
        KFold(5, 5)


LONELY = rows_of(50)._replace(y=np.array([1] + [0] * 49))


@pytest.mark.parametrize("splitter", [Fractions([8, 1, 1], stratify="always"), KFold(stratify="always")])
def test_a_class_with_one_member_cannot_be_stratified_and_the_message_names_it(splitter):
    with pytest.raises(
        UsageError, match=r"(?s)^stratify=always: class number 1 has 1 of .*dataset.split.stratify=auto"
    ):
        splitter(Source(LONELY))
    with pytest.raises(UsageError, match=r"^stratify=always: the data has no labels"):
        splitter(Source(rows_of(50)))


def test_never_stratified_is_drawn_without_regard_to_labels():
    sizes = {np.bincount(draw(rows_of(60, 2), 20, seed, "never")[1].y, minlength=2)[0] for seed in range(20)}
    assert len(sizes) > 2
    assert len({np.bincount(draw(rows_of(60, 2), 20, seed)[1].y, minlength=2)[0] for seed in range(20)}) == 1


def test_the_class_is_named_as_the_user_knows_it():
    with pytest.raises(UsageError, match="class nine has 1 of"):
        Fractions([8, 1, 1], stratify="always")(Source(LONELY, classes=("zero", "nine")))


@pytest.mark.parametrize("unlabelled", [1, 20])
def test_rows_without_a_label_do_not_end_the_stratification(unlabelled, caplog):
    rows = rows_of(200, 2)
    y = rows.y.copy()
    y[:unlabelled] = -1
    with caplog.at_level("INFO"):
        test = Fractions([6, 2, 2])(Source(rows._replace(y=y)))["test"]
    assert "without regard to labels" not in caplog.text
    shares = np.array([(y == label).sum() for label in (-1, 0, 1)]) / 5
    drawn = np.array([(test.y == label).sum() for label in (-1, 0, 1)])
    assert (abs(drawn - shares)[1 if unlabelled == 1 else 0 :] < 2).all()


@given(n=st.integers(2, 300), share=st.floats(0, 1), classes=st.integers(0, 5), seed=st.integers(0, 2**32 - 1))
def test_rows_are_drawn_as_scikit_learn_draws_them(n, share, classes, seed):
    from sklearn.model_selection import train_test_split

    size, strata = min(n - 1, max(1, round(share * n))), rows_of(n, classes, seed).y
    if strata is not None:  # as `draw_places` sees to it
        counts = np.unique(strata, return_counts=True)[1]
        assume(counts.min() >= 2 and min(size, n - size) >= len(counts))
    parts = train_test_split(np.arange(n), test_size=size, random_state=seed, stratify=strata)
    for ours, theirs in zip(shuffle_apart(n, size, seed, strata), parts, strict=True):
        assert np.array_equal(ours, np.sort(theirs))

"""Trees and forests of our own: scikit-learn's where cuts leave no choice, and what they must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeClassifier

from aeexp.evaluation.factors import Table, dci, sap, thresholds
from aeexp.evaluation.forest import bin_units, forest, grow, importances, intervals, predict

seeds = st.integers(0, 10**6)


def problem(seed: int, rows: int = 1500, units: int = 4, values: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Units of nine bins each, and a label that hangs on some of them but for noise."""
    draw = np.random.default_rng(seed)
    bins = draw.integers(9, size=(rows, units))
    labels = (bins @ draw.normal(size=units) + draw.normal(size=rows)).argsort().argsort() * values // rows
    return bins, labels


def ones(labels: np.ndarray) -> np.ndarray:
    return np.ones(len(labels), np.int64)


# ---------------------------------------------------------------- against scikit-learn


@given(seeds, st.integers(1, 4))
def test_a_tree_agrees_with_scikit_learns(seed, depth):
    # Whole numbers: the middle between two is the same bin for both. With 1500 rows in 16 nodes at most, two units do
    # not tie (scikit-learn would draw one).
    bins, labels = problem(seed)
    weights = np.random.default_rng(seed + 1).integers(3, size=len(labels))
    other = DecisionTreeClassifier(criterion="entropy", max_depth=depth).fit(bins, labels, weights)
    tree = grow(bins, labels, weights, depth)
    everything = np.indices((9,) * 4).reshape(4, -1).T[::7]
    # shares are quotients of the same counts; importances sums of some dozen numbers
    assert tree(everything) == pytest.approx(other.predict_proba(everything), abs=1e-12)
    assert tree.importance == pytest.approx(other.feature_importances_, abs=1e-9)
    assert len(tree.unit) == other.tree_.node_count


@given(seeds, st.integers(2, 8), st.integers(2, 200))
def test_a_tree_of_one_unit_agrees_with_scikit_learns_down_to_single_rows(seed, values, rows):
    draw = np.random.default_rng(seed)
    unit = draw.permutation(3 * rows)[:rows, None]  # with gaps
    labels = np.r_[np.arange(values), draw.integers(values, size=rows)][:rows]
    other = DecisionTreeClassifier(criterion="entropy").fit(unit, labels)
    tree, everything = grow(unit, labels, ones(labels), rows), np.arange(3 * rows)[:, None]
    # leaves are pure, whichever of equally good cuts came first, and both cut midway between rows
    assert np.array_equal(tree(everything).argmax(1), other.predict(everything))
    assert np.array_equal(tree(unit).argmax(1), labels)


@given(seeds, st.integers(2, 6))
def test_thresholds_of_one_unit_agree_with_scikit_learns(seed, values):
    draw = np.random.default_rng(seed)
    labels = np.r_[np.arange(values), draw.integers(values, size=400) * (draw.random(400) < 0.7)]  # 0 is frequent
    unit = 3 * np.round(10 * labels + 12 * draw.normal(size=len(labels))).astype(int)
    unit -= unit.min()
    other = DecisionTreeClassifier(max_leaf_nodes=values, class_weight="balanced").fit(unit[:, None], labels)
    last, told = intervals(unit, labels, values)
    everything = np.arange(unit.max() + 1)
    cuts = np.sort(other.tree_.threshold[other.tree_.children_left >= 0])
    assert last.tolist() == np.floor(cuts).astype(int).tolist() and len(told) == values
    assert np.array_equal(told[np.searchsorted(last, everything)], other.predict(everything[:, None]))


# ---------------------------------------------------------------- importance


def test_one_unit_that_tells_all_has_all_importance():
    draw = np.random.default_rng(0)
    labels = draw.integers(6, size=600)
    bins = np.c_[draw.integers(50, size=(600, 2)), labels, draw.integers(50, size=600)]
    # it alone cuts between values cleanly, in every node
    assert importances(forest(bins, labels, 10, 8, 0)) == pytest.approx([0, 0, 1, 0], abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_noise_shares_importance_about_evenly(seed):
    draw = np.random.default_rng(seed)
    trees = forest(bin_units(draw.normal(size=(1000, 5))), draw.integers(4, size=1000), 20, 8, seed)
    # measured over 20 seeds: at most 0.027 (a tree has some 84 cuts, those near the root weigh more)
    assert importances(trees) == pytest.approx([0.2] * 5, abs=0.06)
    # labels of rows that the trees have not seen are read at chance: binomial on 1000 rows
    right = predict(trees, draw.integers(128, size=(1000, 5))) == draw.integers(4, size=1000)
    assert abs(right.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 1000)


def test_copies_share_what_one_unit_would_have():
    bins, labels = problem(0)
    once, twice = (importances(forest(b, labels, 40, 6, 0)) for b in (bins, np.c_[bins, bins]))
    both = twice[:4] + twice[4:]
    assert both == pytest.approx(once, abs=0.05)  # other rows are drawn
    # Each of 40 trees takes one of the two copies: the difference is both * (2 p - 1), its deviation both / sqrt(40).
    assert np.all(abs(twice[:4] - twice[4:]) < 5 / np.sqrt(40) * both)


def test_ties_take_the_lowest_unit_and_the_lowest_bin():
    bins, labels = np.repeat(np.arange(4)[:, None], 3, 1), np.array([0, 1, 0, 1])  # a cut at 0 is as good as at 2
    tree = grow(bins, labels, ones(labels), 1)
    assert tree.unit.tolist() == [0, -1, -1] and tree.cut[0] == 0 and tree.importance.tolist() == [1, 0, 0]
    last, told = intervals(bins[:, 0], labels, 2)
    assert last.tolist() == [0] and told.tolist() == [0, 1]


# ---------------------------------------------------------------- trees by hand


def test_two_levels_solve_what_no_single_cut_can():
    bins = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    labels = np.array([0, 1, 1, 0])
    assert np.array_equal(grow(bins, labels, ones(labels), 2)(bins), np.eye(2)[labels])
    assert grow(bins, labels, ones(labels), 1)(bins) == pytest.approx(np.full((4, 2), 0.5))


def test_weights_are_rows_that_come_so_often():
    bins, labels = problem(1, rows=300)
    weights = np.random.default_rng(2).integers(4, size=300)
    often = np.repeat(np.arange(300), weights)
    one, other = grow(bins, labels, weights, 6), grow(bins[often], labels[often], ones(often), 6)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_nothing_to_cut_is_one_leaf():
    labels = np.array([0, 2, 2, 0, 2])
    for bins in (np.zeros((5, 1), np.int64), np.full((5, 3), 7)):
        trees = forest(bins, labels, 3, 8, 0)
        assert all(tree.unit.tolist() == [-1] for tree in trees) and not importances(trees).any()
        assert grow(bins, labels, ones(labels), 8)(bins) == pytest.approx(np.tile([0.4, 0, 0.6], (5, 1)))
    pure = grow(np.arange(5)[:, None], 0 * labels, ones(labels), 8)
    assert pure.unit.tolist() == [-1] and pure.shares.tolist() == [[1.0]]
    last, told = intervals(np.zeros(5, np.int64), labels, 3)
    assert last.tolist() == [] and told.tolist() == [0]  # two values, weighted alike: the lower


def test_a_value_that_few_trees_draw_has_its_place_in_all():
    labels = np.r_[np.zeros(50, np.int64), 3]
    trees = forest(np.arange(51)[:, None], labels, 20, 3, 0)
    missed = [not tree.shares[0, 3] for tree in trees]
    assert any(missed) and not all(missed) and all(tree.shares.shape[1] == 4 for tree in trees)
    assert predict(trees, np.array([[0], [50]])).tolist() == [0, 3]


def test_depth_bounds_the_cuts_on_the_way_to_a_leaf():
    bins, labels = problem(0, units=1)
    assert [len(grow(bins, labels, ones(labels), depth).unit) for depth in (0, 1, 2)] == [1, 3, 7]
    # nine bins have nine leaves at most
    assert (grow(bins, labels, ones(labels), 20).unit < 0).sum() == 9


# ---------------------------------------------------------------- bins


@given(seeds, st.integers(2, 300), st.integers(2, 40))
def test_bins_keep_order_and_are_equally_full(seed, rows, most):
    codes = np.random.default_rng(seed).normal(size=(rows, 2))
    for unit, bins in zip(codes.T, bin_units(codes, most).T, strict=True):
        assert np.all(np.diff(bins[unit.argsort()]) >= 0)
        counts = np.bincount(bins)
        assert len(counts) == min(rows, most) and counts.max() - counts.min() <= 1


def test_equal_values_share_a_bin_and_few_have_one_each():
    codes = np.array([[3.5, 0], [-1, 0], [3.5, 0], [9, 0]])
    assert bin_units(codes).tolist() == [[1, 0], [0, 0], [1, 0], [2, 0]]
    often = np.r_[np.zeros(900), np.arange(1, 101)]
    bins = bin_units(often[:, None], 10)[:, 0]
    assert (bins[:900] == 0).all() and 1 <= bins[900:].min() and bins.max() < 10


@given(seeds)
def test_a_monotone_map_of_a_unit_changes_nothing(seed):
    draw = np.random.default_rng(seed)
    unit, factor = draw.integers(-300, 300, size=400), draw.integers(4, size=400)
    unit = (unit + 100 * factor) / 100  # steps that no map below merges
    for moved in (np.exp(unit), unit**3, 1e-3 * unit - 7):
        assert np.array_equal(bin_units(moved[:, None], 20), bin_units(unit[:, None], 20))
        assert thresholds(moved, factor) == thresholds(unit, factor)


# ---------------------------------------------------------------- numbers that may not move unnoticed


def golden() -> Table:
    """Twelve factor pairs of 4 and 3 values and three units that mix them, without a random number."""
    rows = np.arange(600)
    factors = np.stack([rows % 4, rows // 4 % 3], 1)
    waves = np.sin(np.outer(rows, [1.0, 2.3, 3.7]) ** 1.1)
    return Table(factors @ np.array([[1, 0.3, 0], [0, 0.8, 0.1]]) + waves, factors, 3)


def test_golden_values_of_one_seed():
    table = golden()
    bins = bin_units(table.codes)
    trees = forest(bins, table.factors[:, 0], 5, 4, 0)
    # whole numbers must be these; the others may round otherwise where log does
    assert trees[0].unit.tolist() == [0, 0, 0, -1, 0, 0, 0, 0, -1, 2, 2, 0] + 9 * [-1]
    assert trees[0].cut[:3].tolist() == [47, 14, 79]
    assert np.bincount(predict(trees, bins)).tolist() == [141, 171, 166, 122]
    assert importances(trees) == pytest.approx([0.9778946337880831, 0.0070629558774429, 0.015042410334474], abs=1e-9)
    assert dci(table, trees=20, depth=8, seed=0) == pytest.approx(
        {"dci_disentanglement": 0.312761086517017, "dci_completeness": 0.275266004297562, "dci_informativeness": 0.66},
        abs=1e-9,
    )
    assert sap(table) == pytest.approx(0.2780555555555556, abs=1e-9)


def test_a_seed_settles_the_forest():
    bins, labels = problem(3)
    one, same, other = (importances(forest(bins, labels, 3, 5, seed)) for seed in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)

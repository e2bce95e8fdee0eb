"""Decision trees on units that are cut into few bins: classifiers whose numbers hang on no library's version."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SAME = 1e-12  # cuts whose scores differ by less, as a part of the largest there can be, are equal but for rounding


def bin_units(codes: np.ndarray, most: int = 128) -> np.ndarray:
    """(N, D) int64: each unit's values in order, 0, 1, ...; more than `most` of them are cut at equal frequencies.

    Equal values share a bin. A strictly increasing map of a unit changes nothing, as only ranks count. Rows that fit
    and rows that test are binned together: no label is used.
    """
    columns = []
    for unit in codes.T:
        _, ranks, counts = np.unique(unit, return_inverse=True, return_counts=True)
        if len(counts) > most:
            middle = np.cumsum(counts) - (counts + 1) // 2  # the place of a value's middle row among all
            ranks = np.unique(middle * most // len(unit), return_inverse=True)[1][ranks]
        columns.append(ranks)
    return np.stack(columns, 1).astype(np.int64)


class Tree(NamedTuple):
    """Nodes in order of depth, the root first."""

    unit: np.ndarray  # (nodes,) that is cut; -1 in a leaf
    cut: np.ndarray  # (nodes,) the last bin that goes left
    left: np.ndarray  # (nodes,) the left child; the right one is next to it
    shares: np.ndarray  # (nodes, K) of each value among the rows it was grown from
    importance: np.ndarray  # (D,) each unit's share in the fall of entropy; zeros where nothing was cut

    def __call__(self, bins: np.ndarray) -> np.ndarray:
        """Shares (N, K) in the leaf of each row of `bins` (N, D)."""
        node, rows = np.zeros(len(bins), np.int64), np.arange(len(bins))
        while len(rows := rows[self.unit[node[rows]] >= 0]):
            at = node[rows]
            node[rows] = self.left[at] + (bins[rows, self.unit[at]] > self.cut[at])
        return self.shares[node]


def forest(bins: np.ndarray, labels: np.ndarray, trees: int, depth: int, seed: int) -> list[Tree]:
    """Trees of N rows each, drawn with replacement (Breiman 2001).

    Every cut chooses among all units. Of equally good units the first takes all, so each tree numbers them at random:
    units that are copies share their importance.
    """
    draw = np.random.default_rng(seed)
    rows, units = bins.shape
    grown = []
    for _ in range(trees):
        weights = np.bincount(draw.integers(rows, size=rows), minlength=rows)
        order = draw.permutation(units)
        tree = grow(bins[:, order], labels, weights, depth)
        unit = np.where(tree.unit < 0, -1, order[tree.unit])
        grown.append(tree._replace(unit=unit, importance=tree.importance[np.argsort(order)]))
    return grown


def importances(trees: list[Tree]) -> np.ndarray:
    """(D,) mean over trees, of sum 1; zeros where no tree cuts."""
    mean = np.mean([tree.importance for tree in trees], 0)
    return mean / max(mean.sum(), 1e-300)


def predict(trees: list[Tree], bins: np.ndarray) -> np.ndarray:
    """(N,) the value of the largest mean share, the lowest of equals."""
    return np.mean([tree(bins) for tree in trees], 0).argmax(1)


def grow(bins: np.ndarray, labels: np.ndarray, weights: np.ndarray, depth: int) -> Tree:
    """One tree by entropy (Quinlan 1986), level by level, until nodes are pure, cannot be cut, or lie `depth` deep.

    `bins` (N, D) and `labels` (N,) are 0, 1, ...; `weights` (N,) are whole numbers: how often each row is there.
    """
    values, fall = int(labels.max()) + 1, np.zeros(bins.shape[1])
    logs = np.arange(weights.sum() + 1.0)
    logs[1:] *= np.log(logs[1:])
    rows = np.flatnonzero(weights)
    node, width, total = np.zeros(len(rows), np.int64), 1, 1  # of each row; nodes of the level; nodes so far
    levels = []
    for level in range(depth + 1):
        counts = np.bincount(labels[rows] * width + node, weights[rows], values * width)
        counts = counts.astype(np.int64).reshape(values, width)
        opened = ((counts > 0).sum(0) > 1) & (level < depth)
        rows, node = rows[opened[node]], node[opened[node]]
        unit, cut, fallen = find_cuts(bins[rows], labels[rows], weights[rows], node, counts * opened, logs)
        inner = unit >= 0
        np.add.at(fall, unit[inner], fallen[inner])
        left = 2 * (np.cumsum(inner) - 1)  # within the next level
        levels.append((unit, cut, total + left, (counts / counts.sum(0)).T))
        if not inner.any():
            break
        rows, node = rows[inner[node]], node[inner[node]]
        node = left[node] + (bins[rows, unit[node]] > cut[node])
        width = 2 * int(inner.sum())
        total += width
    units, cuts, lefts, shares = map(np.concatenate, zip(*levels, strict=True))
    return Tree(units, cuts, lefts, shares, fall / max(fall.sum(), 1e-300))


def find_cuts(
    bins: np.ndarray, labels: np.ndarray, weights: np.ndarray, node: np.ndarray, counts: np.ndarray, logs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit (-1 where there is none), last bin on the left, and fall of rows times entropy, of each node's best cut.

    Rows (n, D) lie in `node` (n,), whose `counts` are (K, nodes); `logs` has c log c at c. Of equally good cuts the
    one of the lowest unit, and there of the lowest bin, is taken; it lies midway between bins that the node has.
    """
    values, nodes = counts.shape
    units, width = bins.shape[1], int(bins.max(initial=0)) + 1
    cells = (node[:, None] * units + np.arange(units)) * width + bins  # (n, D)
    there = np.zeros(nodes * units * width, bool)
    there[cells] = True
    place, cell = np.cumsum(there) - 1, np.flatnonzero(there)  # most are empty where nodes are many
    group = cell // width  # node and unit
    inside = np.flatnonzero(group[1:] == group[:-1])  # another bin of the same group follows: there is a cut
    unit, cut, fall = np.full(nodes, -1), np.zeros(nodes, np.int64), np.zeros(nodes)
    if not len(inside):
        return unit, cut, fall

    keys = labels[:, None] * len(cell) + place[cells]
    sums = np.bincount(keys.ravel(), np.repeat(weights, units), values * len(cell)).astype(np.int64)
    sums = sums.reshape(values, -1).cumsum(1)[:, inside]
    before = np.repeat(counts, units, 1)  # a row is there once for every unit
    left = sums - (before.cumsum(1) - before)[:, group[inside]]
    owner = group[inside] // units
    right = counts[:, owner] - left
    score = (logs[left] + logs[right]).sum(0) - logs[left.sum(0)] - logs[right.sum(0)]  # less rows times entropy
    able, first = np.unique(owner, return_index=True)
    best = np.zeros(nodes)
    best[able] = np.maximum.reduceat(score, first)
    good = np.flatnonzero(score >= best[owner] - SAME * logs[-1])
    chosen = inside[good[np.unique(owner[good], return_index=True)[1]]]
    unit[able] = group[chosen] % units
    cut[able] = (cell[chosen] % width + cell[chosen + 1] % width) // 2
    fall[able] = (best - logs[counts].sum(0) + logs[counts.sum(0)])[able].clip(min=0)
    return unit, cut, fall


def intervals(bins: np.ndarray, labels: np.ndarray, leaves: int) -> tuple[np.ndarray, np.ndarray]:
    """Tree of at most `leaves` leaves on one unit: last bins of all but the last leaf, and each leaf's value.

    The cut that lowers Gini impurity most (Breiman et al. 1984) comes first, wherever it is; values are weighted to be
    equally frequent. Of equally good cuts the one of the lowest bin is taken, and of equally frequent values the
    lowest.
    """
    values, width = int(labels.max()) + 1, int(bins.max()) + 1
    counts = np.bincount(bins * values + labels, minlength=width * values).reshape(width, values)
    there = np.flatnonzero(counts.any(1))
    below = np.concatenate([np.zeros((1, values), np.int64), counts[there].cumsum(0)])
    frequent = below[-1].clip(min=1)

    def best(start: int, end: int) -> tuple[float, int]:
        """Fall of impurity and place of the best cut of bins there[start:end]; negative where there is none."""
        whole, left = below[end] - below[start], below[start + 1 : end] - below[start]
        if not len(left) or np.count_nonzero(whole) < 2:
            return -1.0, start
        score = purity(left / frequent) + purity((whole - left) / frequent)
        at = lowest(score, values)
        return float(max(0, score[at] - purity(whole[None] / frequent)[0])), start + at + 1

    parts = [(0, len(there), *best(0, len(there)))]
    while len(parts) < leaves:
        i = lowest(np.array([fall for _, _, fall, _ in parts]), values)
        start, end, fall, at = parts[i]
        if fall < 0:
            break
        parts[i : i + 1] = [(start, at, *best(start, at)), (at, end, *best(at, end))]
    last = np.array([(there[end - 1] + there[end]) // 2 for _, end, _, _ in parts[:-1]], np.int64)
    leaf_values = np.array([((below[end] - below[start]) / frequent).argmax() for start, end, _, _ in parts])
    return last, leaf_values


def purity(counts: np.ndarray) -> np.ndarray:
    """Weight less weight times Gini impurity, of each row of counts (n, K)."""
    return (counts**2).sum(1) / counts.sum(1)


def lowest(scores: np.ndarray, whole: float) -> int:
    """The first of the best, among `whole` of weight."""
    return int(np.flatnonzero(scores >= scores.max() - SAME * whole)[0])

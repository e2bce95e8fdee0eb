"""Differences between groups of rows, and how large chance alone makes them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple, final

import numpy as np


@final
class Gap(NamedTuple):
    """A gap between groups beside what chance makes: the mean under permutation, and how often chance gives as much."""

    value: float
    floor: float
    p: float


def find_groups(s: np.ndarray, least: int) -> tuple[np.ndarray, dict[int, int]]:
    """Values of `s` (N,) that at least so many rows have, ascending, and how many rows each of the others has."""
    values, counts = np.unique(s, return_counts=True)
    few = {int(value): int(count) for value, count in zip(values, counts, strict=True) if count < least}
    return values[counts >= least], few


def count_by_group(predicted: np.ndarray, s: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(G, C) rows of each group that are predicted as each class which is predicted at all."""
    kept = np.isin(s, groups)
    classes, columns = np.unique(predicted[kept], return_inverse=True)
    table = np.zeros((len(groups), len(classes)), np.int64)
    np.add.at(table, (np.searchsorted(groups, s[kept]), columns), 1)
    return table


def largest_gap(tables: np.ndarray) -> np.ndarray:
    """(...): of counts (..., G, C) the largest difference of two groups' shares of one class."""
    shares = tables / tables.sum(-1, keepdims=True)
    return (shares.max(-2) - shares.min(-2)).max(-1)


def measure_gap(tables: Sequence[np.ndarray], permutations: int, seed: int) -> Gap:
    """The largest gap of several tables (G, C), and those under permutations of the groups among each table's rows.

    Permuted rows leave a table's margins, and given these nothing but chance: tables of the same margins are drawn
    (Patefield 1981), at a cost that does not hang on the number of rows.
    """
    from scipy.stats import random_table

    rng = np.random.default_rng(seed)
    drawn = [
        random_table(table.sum(1), table.sum(0)).rvs(size=permutations, random_state=rng).reshape(-1, *table.shape)
        for table in tables
    ]
    value = max(float(largest_gap(table)) for table in tables)
    chance = np.max([largest_gap(each) for each in drawn], axis=0)
    # as large but for rounding; the observed one counts as one of the permutations (Phipson and Smyth 2010)
    return Gap(value, float(chance.mean()), float((1 + (chance >= value - 1e-12).sum()) / (1 + permutations)))


def bound_difference(
    right: np.ndarray, other: np.ndarray, s: np.ndarray, groups: np.ndarray, risk: float
) -> tuple[float, float]:
    """By how much one classifier's balanced share of right answers is above another's on the same rows, and at least.

    `right` and `other` (N,) bool. The lower bound fails with probability `risk` where the two are equally good: the
    mean over groups of paired differences is taken for normal.
    """
    differences = [right[s == group].astype(np.float64) - other[s == group] for group in groups]
    mean = float(np.mean([each.mean() for each in differences]))
    error = np.sqrt(sum(each.var(ddof=1) / len(each) for each in differences)) / len(groups)
    return mean, mean - NormalDist().inv_cdf(1 - risk) * float(error)

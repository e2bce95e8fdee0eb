"""Published scores of how a code and known factors belong together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aeexp.evaluation.forest import bin_units, forest, importances, intervals, predict


class Table(NamedTuple):
    """Rows in random order; the first half fits, the second half tests."""

    codes: np.ndarray  # (N, L) float64: units that vary, in an order that does not depend on how they are numbered
    factors: np.ndarray  # (N, F) int64: values 0, 1, ... of each factor, at least two
    width: int  # of the code, with the units that do not vary

    @classmethod
    def of(cls, codes: np.ndarray, factors: np.ndarray) -> Table:
        """Of codes (N, D) as they are. Units whose deviation is below 1e-6 of the largest count as constant."""
        width = codes.shape[1]
        codes = codes.astype(np.float64)
        spread = np.where(np.ptp(codes, 0) > 0, codes.std(0), 0)  # the mean of equal numbers may round
        codes = codes[:, spread > 1e-6 * spread.max(initial=0)]
        # Trees and votes settle ties by the order of units.
        order = sorted(range(codes.shape[1]), key=lambda unit: codes[:, unit].tobytes())
        return cls(codes[:, order], factors, width)


def mig(table: Table, bins: int) -> float:
    """Mutual information gap (Chen et al. 2018): of the two units that tell most of a factor, over its entropy.

    Units are cut into `bins` of equal width between their ends, so that a factor of more values than bins is
    resolved in part only.
    """
    cells = cut(table.codes, bins)
    scores = [[information(cell, factor) for cell in cells.T] for factor in table.factors.T]
    entropies = [information(factor, factor) for factor in table.factors.T]
    return float(np.mean([gap(row) / entropy for row, entropy in zip(scores, entropies, strict=True)]))


def cut(codes: np.ndarray, bins: int) -> np.ndarray:
    """(N, L) which of `bins` of equal width between its ends each unit lies in."""
    low = codes.min(0, initial=np.inf)
    return ((codes - low) / (codes.max(0, initial=-np.inf) - low) * bins).astype(np.int64).clip(max=bins - 1)


def information(a: np.ndarray, b: np.ndarray) -> float:
    """Mutual information in nats of two columns (N,) of small numbers, from their counts."""
    width = int(b.max()) + 1
    joint = np.bincount(a * width + b, minlength=(int(a.max()) + 1) * width).reshape(-1, width) / len(a)
    apart = joint.sum(1, keepdims=True) * joint.sum(0)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / apart[there])).sum())


def gap(scores: list[float]) -> float:
    """Largest less second largest score, units that are not there having 0."""
    second, first = sorted([0.0, 0.0, *scores])[-2:]
    return first - second


def dci(table: Table, trees: int, depth: int, seed: int) -> dict[str, float]:
    """Disentanglement, completeness, informativeness (Eastwood and Williams 2018) by random forests.

    Forests are one of the paper's two choices, and unlike L1 regression ask neither for the units' scale nor for a
    factor that is linear in them. Every cut chooses among all units: were only some offered, as is usual, units
    without information would be cut at too, and importance would leak to them. Cuts by entropy halve an ordered
    factor, so that `depth` suffices for many values. Trees are those of forest.py, which see ranks in 128 bins at
    most. As published, importances sum to 1 for each factor, even for one that no unit tells of: see the
    informativeness before the other two.
    """
    codes, factors, width = table
    half = len(codes) // 2
    if not codes.shape[1]:
        codes = np.zeros((len(codes), 1))  # forests want a unit
    bins = bin_units(codes)
    importance, right = [], []
    for factor in factors.T:
        grown = forest(bins[:half], factor[:half], trees, depth, seed)
        importance.append(importances(grown))
        right.append(np.mean(predict(grown, bins[half:]) == factor[half:]))
    matrix = np.stack(importance, 1)  # (L, F); a unit left out as constant would be a row of zeros
    units, whole = matrix.sum(1), max(matrix.sum(), 1e-300)
    return {
        "dci_disentanglement": float((units / whole * concentration(matrix, matrix.shape[1])).sum()),
        "dci_completeness": float(concentration(matrix.T, width).mean()),
        "dci_informativeness": float(np.mean(right)),
    }


def modularity(table: Table, bins: int) -> float:
    """How far each unit tells of one factor alone (Ridgeway and Mozer 2018, section 3): the mean over units of 1 less
    the squared information on its other factors over that on its own; 0 where no unit tells of any.

    What chance gives as information, (bins - 1) (values - 1) / 2N, is taken off (Miller 1955). A unit counts that tells
    more of a factor than one unit of noise in ten thousand would: of the information of noise one factor holds most.
    """
    from scipy.special import chdtri

    codes, factors, _ = table
    scores = np.zeros((codes.shape[1], factors.shape[1]))
    tells = np.zeros(codes.shape[1], bool)
    for place, factor in enumerate(factors.T):
        for unit, cell in enumerate(cut(codes, bins).T):
            found, freedom = information(cell, factor), (len(np.unique(cell)) - 1) * int(factor.max())
            scores[unit, place] = max(0.0, found - freedom / (2 * len(factor)))
            # 2N times the information of noise follows chi²; where cells hold a row or two its mean is 1.17 times that
            tells[unit] |= 2 * len(factor) * found > chdtri(1.2 * freedom, 1e-4)
    if not tells.any():
        return 0.0
    scores, best = scores[tells], scores[tells].max(1)
    others = np.square(scores).sum(1) - np.square(best)
    return float(np.mean(1 - others / (np.square(best) * max(1, factors.shape[1] - 1))))


def mcc(table: Table) -> float:
    """Mean correlation coefficient (Hyvarinen and Morioka 2016; Khemakhem et al. 2020): of factors with the units that
    the best matching gives them, each unit to one factor, by the size of Spearman's rank correlation.

    A factor that no unit is left for counts 0.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import rankdata

    codes, factors, _ = table
    if not codes.shape[1]:
        return 0.0
    units, values = (rankdata(part, axis=0) for part in (codes, factors))
    units, values = ((part - part.mean(0)) / part.std(0) for part in (units, values))
    size = np.abs(values.T @ units) / len(units)
    return min(1.0, float(size[linear_sum_assignment(size, maximize=True)].sum() / factors.shape[1]))


def irs(table: Table) -> float:
    """Interventional robustness (Suter et al. 2019): how little a unit moves when all factors but one change.

    Of each unit the factor counts that holds it best: 1 less the mean, over the factor's values, of how far rows of
    that value lie from their mean (their 99th percentile), over the same of all rows. Units are weighed by their
    variance.
    """
    codes, factors, _ = table
    if not codes.shape[1]:
        return 0.0
    whole = _spread(codes)
    held = []
    for factor in factors.T:
        values = np.unique(factor)
        held.append(np.mean([_spread(codes[factor == value]) for value in values], axis=0) / whole)
    scores = (1 - np.min(held, axis=0)).clip(min=0)
    return float(np.average(scores, weights=codes.var(0)))


def _spread(codes: np.ndarray) -> np.ndarray:
    """(L,) how far rows lie from their mean."""
    return np.quantile(np.abs(codes - codes.mean(0)), 0.99, axis=0)


def concentration(matrix: np.ndarray, choices: int) -> np.ndarray:
    """1 less the entropy of each row's shares over that of `choices` equal ones; 0 where a row is 0."""
    whole = matrix.sum(1, keepdims=True)
    shares = matrix / np.where(whole > 0, whole, 1)
    logs = np.log(np.where(shares > 0, shares, 1))
    entropy = -(shares * logs).sum(1) / np.log(max(choices, 2))
    return np.where(whole[:, 0] > 0, (1 - entropy).clip(min=0), 0)


def sap(table: Table) -> float:
    """Separated attribute predictability (Kumar et al. 2018): gap of the two units that classify a factor best.

    A factor of K values is read from one unit by K - 1 thresholds (a tree of K leaves, values weighted to be equally
    frequent). Accuracy, too, is the mean over values, scaled so that chance is 0: factors of few values would reach
    a gap of 1 - 1 / K only.
    """
    return float(np.mean([gap([thresholds(unit, factor) for unit in table.codes.T]) for factor in table.factors.T]))


def thresholds(unit: np.ndarray, factor: np.ndarray) -> float:
    """0 (chance or worse) to 1: held-out accuracy of reading `factor` from where `unit` lies."""
    half = len(unit) // 2
    values = int(factor.max()) + 1
    bins = bin_units(unit[:, None], most=len(unit))[:, 0]  # a threshold may lie between any two rows
    last, leaves = intervals(bins[:half], factor[:half], values)
    right = leaves[np.searchsorted(last, bins[half:])] == factor[half:]
    counts = np.bincount(factor[half:], minlength=values)
    there = counts > 0
    if there.sum() < 2:
        return 0.0
    recall = np.bincount(factor[half:], right, minlength=values)[there] / counts[there]
    chance = 1 / there.sum()
    return max(0.0, float((recall.mean() - chance) / (1 - chance)))


def factor_vae(table: Table, votes: int, batch: int, seed: int) -> float:
    """Accuracy of the majority vote of Kim and Mnih (2018): which factor was fixed, by the unit that varied least.

    A vote draws a factor, a row, and `batch` rows (with replacement, among those of the table) that share the row's
    value; it goes to the unit whose variance there is the smallest part of its variance in all rows. `votes` make
    the classifier, and as many new ones test it.
    """
    codes, factors, _ = table
    if not codes.shape[1]:
        return 0.0
    draw = np.random.default_rng(seed)
    scaled = codes / codes.std(0)
    order = np.argsort(factors, axis=0, kind="stable")
    counts = [np.bincount(factor) for factor in factors.T]
    starts = [np.cumsum(count) - count for count in counts]

    fixed = draw.integers(factors.shape[1], size=2 * votes)
    units = np.empty_like(fixed)
    for vote, (f, row) in enumerate(zip(fixed, draw.integers(len(codes), size=2 * votes), strict=True)):
        value = factors[row, f]
        places = starts[f][value] + draw.integers(counts[f][value], size=batch)
        units[vote] = scaled[order[places, f]].var(0).argmin()
    ballot = np.zeros((codes.shape[1], factors.shape[1]), np.int64)
    np.add.at(ballot, (units[:votes], fixed[:votes]), 1)
    return float((ballot.argmax(1)[units[votes:]] == fixed[votes:]).mean())

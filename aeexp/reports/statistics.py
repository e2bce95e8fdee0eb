"""Means with their intervals, paired tests, and p values of several comparisons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import NamedTuple

import numpy as np

from aeexp.evaluation.uncertainty import quantile

PLAIN = 8  # numbers below which numpy adds one after the other


class Estimate(NamedTuple):
    """A mean over runs and how far it may be off."""

    mean: float
    half: float  # of Student's 95 % interval over independent runs; 0 of a single one
    runs: int
    sd: float  # of the runs, with n - 1; 0 of a single one
    rows: float | None = None  # half of the 95 % interval over test rows, the mean over runs; None: nobody says


def estimate(values: Sequence[float]) -> Estimate | None:
    """Of the values of independent runs; None of no values."""
    n = len(values)
    if n == 0:
        return None
    mean = _add(values) / n
    sd = 0.0 if n == 1 else math.sqrt(_add([(value - mean) * (value - mean) for value in values]) / (n - 1))
    half = 0.0 if n == 1 else quantile(n) * sd / math.sqrt(n)
    return Estimate(mean, half, n, sd)


def _add(values: Sequence[float]) -> float:
    """To the bits of numpy, which takes ten times as long for a few: a report asks some ten thousand times."""
    return reduce(add, values) if len(values) < PLAIN else float(np.sum(values))


class Test(NamedTuple):
    """Of the mean of paired differences against 0. Without a p value a `reason` says why there is none."""

    name: str | None
    pairs: int
    difference: float | None = None
    half: float | None = None  # of its 95 % interval
    p: float | None = None  # two-sided
    reason: str | None = None


FEWEST = 3  # pairs: two have one degree of freedom, whose interval is 12.7 standard errors wide on each side
PAIRED = "paired t-test"
CORRECTED = "corrected resampled t-test (Nadeau and Bengio 2003)"


def paired_test(differences: Sequence[float], ratio: float = 0.0) -> Test:
    """Student's t over pairs; `ratio` is test rows over training rows where pairs are folds or splits of one data set.

    Their training rows overlap, and the plain variance s^2 / n is too small: Nadeau and Bengio (Machine Learning 52,
    2003, section 3.5) take (1/n + ratio) s^2. No Wilcoxon test: of five pairs its smallest p is 0.06.
    """
    from scipy.special import stdtr

    n = len(differences)
    if n < FEWEST:
        return Test(None, n, reason=f"fewer than {FEWEST} pairs of runs with the same seed and fold")
    values = np.asarray(differences, dtype=np.float64)
    name = CORRECTED if ratio else PAIRED
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    if np.all(values == 0):
        return Test(name, n, 0.0, 0.0, 1.0)
    if sd <= 1e-12 * float(np.abs(values).max()):  # as of closed forms, which no seed changes
        return Test(None, n, mean, reason="all pairs differ by the same: there is no spread to test against")
    error = sd * math.sqrt(1 / n + ratio)
    p = float(2 * stdtr(n - 1, -abs(mean) / error))
    return Test(name, n, mean, quantile(n) * error, p)


def holm(ps: Sequence[float]) -> list[float]:
    """p values adjusted for their number (Holm 1979): the chance of one false alarm among them stays below 5 %."""
    adjusted, least = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        least = max(least, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = least
    return adjusted

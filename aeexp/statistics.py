"""Means with their intervals, paired tests, and p values of several comparisons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    mean: float
    half: float  # of Student's 95 % interval over independent runs; 0 of a single one
    runs: int
    sd: float  # of the runs, with n - 1; 0 of a single one


def estimate(values: Sequence[float]) -> Estimate | None:
    from scipy.stats import t

    n = len(values)
    if n == 0:
        return None
    sd = 0.0 if n == 1 else float(np.std(values, ddof=1))
    half = 0.0 if n == 1 else float(t.ppf(0.975, n - 1) * sd / math.sqrt(n))
    return Estimate(float(np.mean(values)), half, n, sd)

"""How far a number of a split may be off because the split has no more rows: an interval beside the number."""

from __future__ import annotations

import functools
import math
from typing import final

import numpy as np

DRAWS = 200  # of the rows, with replacement: the ends of an interval are good to a tenth of its width or so


@final
class Measured(float):
    """A number with its 95 % interval over the rows that it was measured on; in all else a float.

    Arithmetic gives plain floats: what is made of numbers has an interval of its own, or none.
    """

    low: float
    high: float

    def __new__(cls, value: float, low: float, high: float) -> Measured:
        number = super().__new__(cls, value)
        number.low, number.high = float(low), float(high)
        return number

    def __reduce__(self) -> tuple[type[Measured], tuple[float, float, float]]:
        return Measured, (float(self), self.low, self.high)

    def scale(self, factor: float, offset: float = 0.0) -> Measured:
        """The number times a factor plus an offset, with its interval."""
        ends = sorted((self.low * factor + offset, self.high * factor + offset))
        return Measured(self * factor + offset, *ends)

    def less(self, other: Measured) -> Measured:
        """The difference of numbers of other rows."""
        off = math.hypot(self.high - self.low, other.high - other.low) / 2
        return Measured(self - other, self - other - off, self - other + off)


def measure_mean(values: np.ndarray) -> Measured:
    """Of a value a row (N,): Student's interval; of a single row it has no ends."""
    values = np.asarray(values, dtype=np.float64)
    mean, rows = float(values.mean()), len(values)
    if rows < 2:
        return Measured(mean, -math.inf, math.inf)
    half = quantile(rows) * float(values.std(ddof=1)) / math.sqrt(rows)
    return Measured(mean, mean - half, mean + half)


def measure_share(hits: np.ndarray) -> Measured:
    """Of rows that are right (N,) bool: Wilson's interval (1927), which stays within 0 and 1 and knows that 0 of few
    rows is no certainty."""
    rows, share = len(hits), float(np.mean(hits))
    z = 1.959964
    centre = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * math.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    return Measured(share, max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)))


def measure_balanced(hits: np.ndarray, classes: np.ndarray) -> Measured:
    """The mean over the classes (N,) of the share that is right (N,) bool in each, from Wilson's interval of each (the
    square-and-add method: Newcombe 1998)."""
    shares = [measure_share(hits[classes == value]) for value in np.unique(classes)]
    mean = float(np.mean(shares))
    below, above = (math.sqrt(sum(off**2 for off in offs)) / len(shares) for offs in zip(
        *((share - share.low, share.high - share) for share in shares), strict=True))  # fmt: skip
    return Measured(mean, mean - below, mean + above)


def percentiles(value: float, drawn: np.ndarray) -> Measured:
    """The middle 95 % of what draws of the rows gave, with the value itself inside."""
    low, high = np.nanpercentile(drawn, [2.5, 97.5]) if np.isfinite(drawn).any() else (-math.inf, math.inf)
    return Measured(value, min(low, value), max(high, value))


@functools.cache
def quantile(n: int) -> float:
    """Of Student's t for the 95 % interval of a mean of n."""
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    return float(stdtrit(n - 1, 0.975))

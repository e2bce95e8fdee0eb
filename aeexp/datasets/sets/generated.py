"""Toy data drawn from a formula, so that what a model should find is known. `seed` is the data set's own."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source
from aeexp.errors import UsageError

MOST = 2**27  # values that are drawn at most: 0.5 GB


@DataSet
def swiss_roll(n: int = 2000, noise: float = 0.0, seed: int = 0) -> Source:
    """Points (n, 3) on a rolled-up sheet; `s` (n,) is the angle along the roll, 1.5 pi to 4.5 pi.

    `noise` is the standard deviation per coordinate; the roll is about 25 wide and its layers 6 apart.
    """
    from sklearn.datasets import make_swiss_roll

    return _draw_manifold(make_swiss_roll, n, noise, seed)


@DataSet
def s_curve(n: int = 2000, noise: float = 0.0, seed: int = 0) -> Source:
    """Points (n, 3) on a sheet bent to an S; `s` (n,) is the angle along it, -1.5 pi to 1.5 pi.

    `noise` is the standard deviation per coordinate; the arcs have radius 1.
    """
    from sklearn.datasets import make_s_curve

    return _draw_manifold(make_s_curve, n, noise, seed)


@DataSet
def sine_waves(
    n: int = 2000, min_length: int = 24, max_length: int = 48, frequencies: int = 4, noise: float = 0.05, seed: int = 0
) -> Source:
    """Sequences (n, max_length, 1) in [-1, 1] of min_length to max_length steps, all equally probable; then zeros.

    Class f1, f2, ... has that many cycles in min_length steps. `s` (n, 3): frequency in cycles per step, phase
    in [0, 2 pi), amplitude in [0.5, 1). What noise carries beyond -1 or 1 is cut off.
    """
    _check(n, noise, seed, values=n * max_length)
    if min_length < 3:
        raise UsageError(f"min_length={min_length}: a wave needs at least 3 steps")
    if max_length < min_length:
        raise UsageError(f"max_length={max_length} must not be below min_length={min_length}")
    most = (min_length - 1) // 2
    if not 1 <= frequencies <= most:
        raise UsageError(
            f"frequencies={frequencies} must lie between 1 and {most}: min_length={min_length} steps show no faster "
            "wave"
        )
    rng = np.random.default_rng(seed)
    y = rng.integers(frequencies, size=n)
    lengths = rng.integers(min_length, max_length + 1, size=n)
    s = np.stack([(y + 1) / min_length, rng.uniform(0, 2 * math.pi, n), rng.uniform(0.5, 1, n)], axis=1)
    frequency, phase, amplitude = (column[:, None] for column in s.T)
    step = np.arange(max_length)
    x = amplitude * np.sin(2 * math.pi * frequency * step + phase) + noise * rng.standard_normal((n, max_length))
    x = np.where(step < lengths[:, None], x.clip(-1, 1), 0)
    rows = Rows(x.astype(np.float32)[:, :, None], y, s.astype(np.float32), lengths=lengths)
    names = tuple(f"f{number}" for number in range(1, frequencies + 1))
    return Source(rows, classes=names, attributes=("frequency", "phase", "amplitude"))


def _draw_manifold(make: Callable[..., tuple[np.ndarray, np.ndarray]], n: int, noise: float, seed: int) -> Source:
    _check(n, noise, seed, values=3 * n)
    x, position = make(n, noise=noise, random_state=seed)
    return Source(Rows(x.astype(np.float32), s=position.astype(np.float32)), attributes=("position",))


def _check(n: int, noise: float, seed: int, values: int) -> None:
    if n < 3:
        raise UsageError(f"n={n} must leave a row each for train, val and test")
    if not values <= MOST:
        raise UsageError(f"n={n}: that makes {values:,} values, more than the {MOST:,} that are drawn at most")
    if not 0 <= noise < math.inf:
        raise UsageError(f"noise={noise} is a standard deviation: 0 or above")
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed={seed} must lie between 0 and 2^32 - 1")

"""Toy data drawn from a formula, so that what a model should find is known. `seed` is the data set's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import numpy as np
from annotated_types import Interval

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source, Variable
from aeexp.errors import UsageError
from aeexp.ranges import Count, NonNegative, Seed

MOST = 2**27  # values that are drawn at most: 0.5 GB


@DataSet
def swiss_roll(n: Annotated[int, Interval(ge=3)] = 2000, noise: NonNegative = 0.0, seed: Seed = 0) -> Source:
    """Points (n, 3) on a rolled-up sheet; `s` (n,) is the angle along the roll, 1.5 pi to 4.5 pi.

    `noise` is the standard deviation per coordinate; the roll is about 25 wide and its layers 6 apart.
    """
    from sklearn.datasets import make_swiss_roll

    return _draw_manifold(make_swiss_roll, n, noise, seed)


@DataSet
def s_curve(n: Annotated[int, Interval(ge=3)] = 2000, noise: NonNegative = 0.0, seed: Seed = 0) -> Source:
    """Points (n, 3) on a sheet bent to an S; `s` (n,) is the angle along it, -1.5 pi to 1.5 pi.

    `noise` is the standard deviation per coordinate; the arcs have radius 1.
    """
    from sklearn.datasets import make_s_curve

    return _draw_manifold(make_s_curve, n, noise, seed)


@DataSet
def moons(n: Annotated[int, Interval(ge=3)] = 2000, noise: NonNegative = 0.05, seed: Seed = 0) -> Source:
    """Points (n, 2) on two half circles of radius 1 that reach into each other; which of them is the label.

    `noise` is the standard deviation per coordinate.
    """
    from sklearn.datasets import make_moons

    check_size(n, 2 * n)
    x, y = make_moons(n, noise=noise, random_state=seed)
    rows = Rows(np.asarray(x, np.float32), np.asarray(y, np.int64))
    return Source(rows, classes=("upper", "lower"), variables=tuple(Variable(name) for name in "xy"))


@DataSet
def sine_waves(
    n: Annotated[int, Interval(ge=3)] = 2000,
    min_length: Annotated[int, Interval(ge=3)] = 24,
    max_length: Annotated[int, Interval(ge=3)] = 48,
    frequencies: Count = 4,
    noise: NonNegative = 0.05,
    seed: Seed = 0,
) -> Source:
    """Sequences (n, max_length, 1) in [-1, 1] of min_length to max_length steps, all equally probable; then zeros.

    Class f1, f2, ... has that many cycles in min_length steps. `s` (n, 3): frequency in cycles per step, phase
    in [0, 2 pi), amplitude in [0.5, 1). What noise carries beyond -1 or 1 is cut off.
    """
    check_size(n, n * max_length)
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


@DataSet
def weak_attribute(n: Annotated[int, Interval(ge=3)] = 6000, strength: NonNegative = 0.25, seed: Seed = 0) -> Source:
    """A table (n, 13) as of a survey, of which little tells the attribute `s`: two numbers, three answers, one-hot.

    Rows lie in four close clusters, told apart by the first number (a noise of 0.1 between whole ones, then brought to
    mean 0 and variance 1) and the first answer, of 4 kinds; the second answer, of 4, hangs on them; the second number
    and the third answer, of 3, are chance. `s` is 0 or 1, one row in three; it shifts the first number by 0.3
    `strength` and the log-odds of a second and a third answer by `strength`. The label `y` is whether the cluster is
    odd, wrong in one row of ten.
    """
    check_size(n, 13 * n)
    rng = np.random.default_rng(seed)
    s = (rng.random(n) < 1 / 3).astype(np.int64)
    cluster = rng.integers(4, size=n)
    first = np.eye(4)[cluster]
    shift = strength * s[:, None]
    second = 2 * first[:, [1, 0, 3, 2]] + shift * np.eye(4)[1]
    answers = [first, *(_draw_one_hot(odds, rng) for odds in (second, shift * np.eye(3)[0]))]
    numbers = np.stack([cluster + 0.1 * rng.standard_normal(n) + 0.3 * strength * s, rng.standard_normal(n)], 1)
    numbers = (numbers - numbers.mean(0)) / numbers.std(0)
    y = (cluster % 2) ^ (rng.random(n) < 0.1)
    rows = Rows(np.concatenate([numbers, *answers], 1).astype(np.float32), y.astype(np.int64), s)
    variables = [Variable(f"number {place}") for place in (1, 2)]
    variables += [Variable(f"answer {place}", tuple("abcd"[:kinds])) for place, kinds in enumerate((4, 4, 3), 1)]
    return Source(
        rows, classes=("even", "odd"), attributes=("group",), variables=tuple(variables), groups=(("0", "1"),)
    )


def _draw_one_hot(log_odds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of K kinds a row from log-odds (N, K)."""
    return np.eye(log_odds.shape[1])[(log_odds + rng.gumbel(size=log_odds.shape)).argmax(1)]


def _draw_manifold(make: Callable[..., tuple[np.ndarray, np.ndarray]], n: int, noise: float, seed: int) -> Source:
    check_size(n, 3 * n)
    x, position = make(n, noise=noise, random_state=seed)
    rows = Rows(x.astype(np.float32), s=position.astype(np.float32))
    return Source(rows, attributes=("position",), variables=tuple(Variable(name) for name in "xyz"))


def check_size(n: int, values: int) -> None:
    """Raises UsageError on more values than are drawn at most."""
    if not values <= MOST:
        raise UsageError(f"n={n}: that makes {values:,} values, more than the {MOST:,} that are drawn at most")

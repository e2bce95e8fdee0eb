"""Points in the plane: what a code of one unit, a field of arrows or a line between classes is drawn on."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from annotated_types import Interval

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source, Variable
from aeexp.datasets.sets.generated import check_size
from aeexp.ranges import NonNegative, Seed

PLANE = (Variable("x"), Variable("y"))


@DataSet
def xor(n: Annotated[int, Interval(ge=4)] = 1000, noise: NonNegative = 0.1, seed: Seed = 0) -> Source:
    """Points (n, 2) about the corners of the unit square, n / 4 each; the class is whether the two bits differ.

    No line in the plane tells the classes apart (Minsky and Papert 1969). `s` (n,) is the corner, 2 x + y.
    """
    check_size(n, 2 * n)
    rng = np.random.default_rng(seed)
    corner = rng.permutation(np.arange(n) % 4)
    bits = np.stack([corner // 2, corner % 2], 1)
    x = bits + noise * rng.standard_normal((n, 2))
    rows = Rows(x.astype(np.float32), bits.sum(1) % 2, corner)
    corners = (tuple(f"{corner // 2}, {corner % 2}" for corner in range(4)),)
    return Source(rows, classes=("alike", "different"), attributes=("corner",), variables=PLANE, groups=corners)


@DataSet
def spiral(
    n: Annotated[int, Interval(ge=3)] = 2000, turns: NonNegative = 1.25, noise: NonNegative = 0.05, seed: Seed = 0
) -> Source:
    """Points (n, 2) beside a spiral of Archimedes that ends at radius 1; `s` (n,) is the length along it, in [0, 1].

    Even in length: the curve has the same number of rows a unit of length everywhere. `noise` is the standard deviation
    in each coordinate. Radius grows from 0.2.
    """
    check_size(n, 2 * n)
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * math.pi * turns, 4097)
    curve = (0.2 + 0.8 * np.linspace(0, 1, len(angle)))[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    position = rng.uniform(0, 1, n)
    on_curve = np.stack([np.interp(position * length[-1], length, curve[:, side]) for side in range(2)], 1)
    x = on_curve + noise * rng.standard_normal((n, 2))
    rows = Rows(x.astype(np.float32), s=position.astype(np.float32))
    return Source(rows, attributes=("position",), variables=PLANE)


@DataSet
def rings(n: Annotated[int, Interval(ge=4)] = 1000, noise: NonNegative = 0.05, seed: Seed = 0) -> Source:
    """Points (n, 2) beside two circles about 0, of radius 0.4 and 1: the class. `s` (n,) is the angle in [0, 2 pi)."""
    check_size(n, 2 * n)
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 2)
    angle = rng.uniform(0, 2 * math.pi, n)
    radius = np.where(y == 1, 1.0, 0.4)[:, None]
    x = radius * np.stack([np.cos(angle), np.sin(angle)], 1) + noise * rng.standard_normal((n, 2))
    rows = Rows(x.astype(np.float32), y, angle.astype(np.float32))
    return Source(rows, classes=("inner", "outer"), attributes=("angle",), variables=PLANE)

"""Figures of known factors, as in dSprites (Matthey et al. 2017): every combination once, drawn, no file."""

from __future__ import annotations

import itertools
import math
from typing import Annotated

import numpy as np
from annotated_types import Interval

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source
from aeexp.errors import UsageError

SHAPES = ("square", "ellipse", "heart")
FACTORS = ("shape", "scale", "orientation", "x", "y")


@DataSet
def sprites(
    scales: Annotated[int, Interval(ge=1, le=8)] = 4,
    orientations: Annotated[int, Interval(ge=1, le=40)] = 8,
    positions: Annotated[int, Interval(ge=1, le=32)] = 8,
    size: Annotated[int, Interval(ge=16, le=64)] = 32,
) -> Source:
    """3 * scales * orientations * positions^2 pictures (1, size, size) of 0 and 1; no two are the same.

    `s` (N, 5) holds the numbers 0, 1, ... of the factors: scale from half to full size, orientation
    counter-clockwise over [0, pi/2), x to the right and y downwards by whole pixels.
    """
    box = size * 9 // 16  # the rest is room to move: 8 places two pixels apart at size=32
    figures = _draw_figures(scales, orientations, box)
    step, start = _choose_steps(positions, size, size - box)
    _require_distinct(figures, f"size={size}: ", f"scales={scales}, orientations={orientations}")

    grid = (3, scales, orientations, positions, positions)
    x = np.zeros((*grid, size, size), np.uint8)
    for column, row in itertools.product(range(positions), repeat=2):
        left, top = (start + step * place for place in (column, row))
        x[:, :, :, column, row, top : top + box, left : left + box] = figures
    s = np.indices(grid).reshape(5, -1).T
    rows = Rows(x.reshape(-1, 1, size, size), s[:, 0].astype(np.int64), s.astype(np.float32))
    return Source(rows, scale=1.0, classes=SHAPES, attributes=FACTORS, groups=(SHAPES, (), (), (), ()))


def _choose_steps(positions: int, size: int, room: int) -> tuple[int, int]:
    """Pixels between neighbouring places, and before the first one."""
    step = room // max(1, positions - 1)
    if not step >= 1:
        raise UsageError(
            f"positions={positions}: a figure of size={size} has {room + 1} places at whole pixels; "
            "take fewer positions or a larger size"
        )
    step = step if positions > 1 else 0
    return step, (room - step * (positions - 1)) // 2


def _draw_figures(scales: int, orientations: int, box: int) -> np.ndarray:
    """(3, scales, orientations, box, box) bool: figures about the middle of a box that holds the largest."""
    centres = np.arange(box) - (box - 1) / 2
    right, up = centres[None, :], -centres[:, None]
    radius = np.linspace(0.5, 1, scales)[:, None, None, None] if scales > 1 else np.ones((1, 1, 1, 1))
    angle = np.arange(orientations)[None, :, None, None] * (math.pi / 2 / orientations)
    turned = right * np.cos(angle) + up * np.sin(angle), up * np.cos(angle) - right * np.sin(angle)
    u, v = (2 / box / radius * part for part in turned)  # the figures' own axes, in units of their outer radius
    return np.stack([_square(u, v), _ellipse(u, v), _heart(u, v)])


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(abs(u), abs(v)) <= math.sqrt(0.5)


def _ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u**2 + (2 * v) ** 2 <= 1


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A square of side 1 on its tip with a disc on each upper side; its outer circle is brought to radius 1."""
    radius, middle = 0.89181, 0.18470  # where the tip and the discs' far points are equally far from (0, middle)
    u, v = abs(u) * radius, v * radius + middle
    half = math.sqrt(0.5)
    disc = (u - half / 2) ** 2 + (v - half / 2) ** 2 <= 0.25
    return disc | (u + abs(v) <= half)


def _require_distinct(figures: np.ndarray, where: str, counts: str) -> None:
    """Figures must differ also where one is moved: shift each into the corner of its box and compare."""
    flat = figures.reshape(-1, *figures.shape[-2:])
    top, left = flat.any(2).argmax(1), flat.any(1).argmax(1)
    cornered = {np.roll(f, (-t, -w), (0, 1)).tobytes() for f, t, w in zip(flat, top, left, strict=True)}
    if len(cornered) != len(flat):
        raise UsageError(
            f"{where}of the {len(flat)} figures of {counts} {len(flat) - len(cornered)} look like another one; "
            "take fewer, or a larger size"
        )

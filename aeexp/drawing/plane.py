"""The plane of a code with two units: a grid over it, and what of it lies where no row of the data is."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.image import AxesImage

from aeexp.drawing import canvas

PAPER = (1.0, 1.0, 1.0, 0.55)  # over what lies outside
USUAL = 99  # per cent of the test codes lie nearer to a training code than what is outside
OUTSIDE = (
    "pale, beyond the line: no training code falls into the tile's square,\n"
    f"and the nearest one is farther away than that of {USUAL} % of the test codes"
)


class Grid(NamedTuple):
    """Codes at even steps, those with a large unit 2 first."""

    across: np.ndarray  # (S,) values of unit 1
    up: np.ndarray  # (S,) values of unit 2
    codes: np.ndarray  # (S * S, 2)
    outside: np.ndarray  # (S, S) bool: no row of the data has such a code


def lay_grid(train: np.ndarray, test: np.ndarray, side: int) -> Grid:
    """The grid over the training codes (N, 2), and which of it lies outside them."""
    from sklearn.neighbors import NearestNeighbors

    low, high = np.percentile(train, (1, 99), axis=0)
    across, up = (np.linspace(low[unit], high[unit], side) for unit in range(2))
    codes = np.stack(np.meshgrid(across, up[::-1]), -1).reshape(-1, 2)
    nearest = NearestNeighbors(n_neighbors=1).fit(train)
    usual = np.percentile(nearest.kneighbors(test)[0], USUAL)
    lonely = (nearest.kneighbors(codes)[0][:, 0] > usual).reshape(side, side)
    pitch = np.where(high > low, (high - low) / (side - 1), 1.0)
    places = np.rint((train - low) / pitch).astype(int)
    places = places[((places >= 0) & (places < side)).all(1)]
    occupied = np.zeros((side, side), bool)
    occupied[side - 1 - places[:, 1], places[:, 0]] = True
    return Grid(across, up, codes, lonely & ~occupied)


def name_ticks(values: np.ndarray) -> list[str]:
    """Values (T,) of an axis, all with as many decimals as tell them apart."""
    span = float(np.ptp(values))
    decimals = max(0, 1 - math.floor(math.log10(span))) if span > 0 else 2
    return [f"{value:.{decimals}f}".replace("-", "−") for value in np.round(values, decimals) + 0.0]  # no −0


def mark_outside(axes: Axes, outside: np.ndarray, extent: tuple[float, float, float, float]) -> None:
    """Paper over the places (S, S) that are outside, and a line around them; `extent` as that of an image."""
    rows, columns = outside.shape
    left, right, bottom, top = extent
    paper = np.zeros((rows, columns, 4))
    paper[outside] = PAPER
    image = AxesImage(axes, extent=extent, interpolation="nearest", origin="upper", zorder=2)
    image.set_data(paper)
    axes.add_image(image)
    x, y = np.linspace(left, right, columns + 1), np.linspace(top, bottom, rows + 1)
    upright = [((x[c + 1], y[r]), (x[c + 1], y[r + 1])) for r, c in np.argwhere(outside[:, 1:] != outside[:, :-1])]
    lying = [((x[c], y[r + 1]), (x[c + 1], y[r + 1])) for r, c in np.argwhere(outside[1:] != outside[:-1])]
    line = LineCollection(upright + lying, colors=canvas.VERMILION, linewidths=1.2, zorder=3, capstyle="round")
    axes.add_collection(line, autolim=False)

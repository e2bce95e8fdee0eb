"""Rows of one to three numbers as points: what is drawn where a row has a place, and no picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from aeexp.datasets.core.data import Data
from aeexp.drawing import canvas, dots, naming, tables
from aeexp.drawing.arrays import attribute_tensor
from aeexp.evaluation.run import Run

SHOWN = 400  # points of a split that are drawn
BEHIND = 1500  # grey training points behind them
MOST = 3  # coordinates
VIEW = {"elev": 14, "azim": -72}  # from where a roll is seen along its axis, and its sheet from above


class Hues(NamedTuple):
    """Which rows are drawn, and their colours."""

    chosen: np.ndarray  # (N,) numbers of test rows
    hue: dots.Hue


def is_cloud(data: Data) -> bool:
    """Whether a row is a point: one to three numbers, none of them a category."""
    categories = any(variable.categories for variable in data.variables)
    return len(data.shape) == 1 and math.prod(data.shape) <= MOST and not categories


def choose_points(run: Run, seed: int = 0) -> Hues:
    """Test rows by chance, coloured by class, number to predict or first attribute."""
    rows = len(run.rows("test"))
    chosen = np.sort(np.random.default_rng(seed).permutation(rows)[:SHOWN])
    labels, numbers, attributes = run.labels("test"), run.responses("test"), attribute_tensor(run)
    if labels is not None and (labels >= 0).any():
        return Hues(chosen, dots.Hue(labels[chosen], "class", True, run.data.classes))
    if numbers is not None:
        return Hues(chosen, dots.Hue(numbers[chosen].astype(np.float64), run.data.response, False))
    if attributes is not None:
        first = attributes.reshape(rows, -1)[:, 0].double().cpu().numpy()
        return Hues(chosen, dots.Hue(first[chosen], naming.attribute_name(run), False))
    return Hues(chosen, dots.Hue(np.full(len(chosen), -1), "class", True))


def take_inputs(run: Run, split: str, chosen: np.ndarray) -> Tensor:
    """(N, F) rows of a split as the model sees them."""
    return run.rows(split).batch(torch.from_numpy(chosen)).x


def open_space(figure: Figure, rows: int, columns: int, place: int, data: Data) -> Axes:
    """Axes in the data's units: a plane, or a space that is looked at from the side; F = 1 takes x alone."""
    names = [naming.shorten(variable.name) for variable in data.variables] or ["feature 1", "feature 2", "feature 3"]
    if math.prod(data.shape) < MOST:
        axes = figure.add_subplot(rows, columns, place)
        axes.set_xlabel(names[0], fontsize=9)
        axes.set_aspect("equal", "datalim")
        canvas.hide_frame(axes)
        if math.prod(data.shape) == 1:
            axes.set_yticks([])
        else:
            axes.set_ylabel(names[1], fontsize=9)
        return axes
    axes: Any = figure.add_subplot(rows, columns, place, projection="3d")
    axes.view_init(**VIEW)
    axes.set(xlabel=names[0], ylabel=names[1], zlabel=names[2])
    axes.tick_params(labelsize=8, pad=-1)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_major_locator(MaxNLocator(4))
    axes.set_box_aspect(None, zoom=1.1)
    return axes


def frame(axes: Axes, points: np.ndarray) -> None:
    """Let a space reach as far as points (N, 3), so that panels compare and what lies outside is cut; a plane stays."""
    if points.shape[1] == MOST:
        low, high = points.min(0), points.max(0)
        edge = 0.02 * (high - low)
        limits = np.stack([low - edge, high + edge], 1)
        axes.set(xlim=limits[0], ylim=limits[1], zlim=limits[2])


def locate(data: Data, x: Tensor) -> np.ndarray:
    """(..., 1 to 3) values in the data's units."""
    return tables.in_units(data, x)


def draw_behind(axes: Axes, run: Run) -> None:
    """Where the training rows lie, pale."""
    rows = len(run.rows("train"))
    chosen = np.sort(np.random.default_rng(0).permutation(rows)[:BEHIND])
    points = lift(locate(run.data, take_inputs(run, "train", chosen)))
    axes.scatter(*points.T, s=5, c="0.82", linewidths=0, zorder=0)


def draw_plain(axes: Axes, points: np.ndarray, size: float) -> None:
    """Points (N, 1 to 3) in one colour."""
    axes.scatter(*lift(points).T, s=size, c=canvas.BLUE, linewidths=0)


def draw_points(axes: Axes, points: np.ndarray, hue: dots.Hue, size: float = 14.0) -> Any:
    """Points (N, 1 to 3) by class or quantity. Returns what a colour bar explains."""
    if points.shape[1] < MOST:
        return dots.draw_dots(axes, lift(points), hue)
    if not hue.categorical:
        return axes.scatter(*points.T, s=size, c=hue.values, cmap="viridis", linewidths=0, depthshade=False)
    for place, label in enumerate(np.unique(hue.values)):
        colour, marker = dots.look(place) if label >= 0 else (canvas.BLUE, "o")
        name = canvas.name_entry(naming.value_name(hue.names, int(label))) if label >= 0 else "unlabelled"
        ours = points[hue.values == label]
        axes.scatter(*ours.T, s=size, color=colour, marker=marker, linewidths=0, depthshade=False, label=name)
    return None


def draw_lines(axes: Axes, lines: Sequence[np.ndarray], colour: str, width: float = 1.2, **style: Any) -> None:
    """Lines (S, 1 to 3), as from rows to what became of them or of a sheet."""
    lifted = [lift(line) for line in lines]
    if lifted and lifted[0].shape[1] == MOST:
        from mpl_toolkits.mplot3d.art3d import Line3DCollection

        axes.add_collection(Line3DCollection(lifted, colors=colour, linewidths=width, **style))
        return
    axes.add_collection(LineCollection(lifted, colors=colour, linewidths=width, **style), autolim=False)


def lift(points: np.ndarray) -> np.ndarray:
    """Points of one number lie on a line at height 0."""
    return points if points.shape[-1] > 1 else np.concatenate([points, np.zeros_like(points)], -1)

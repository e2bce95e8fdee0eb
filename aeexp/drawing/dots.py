"""Dots in the plane whose colours say something, and the legend or colour bar that says what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from aeexp.drawing import canvas, naming

LEGEND = 22  # names in a column of a legend
SHORT = 4  # characters of a name that may stand on the dots
LOOKS = len(canvas.COLOURS) * len(canvas.MARKERS)  # classes that differ in colour or shape
FULL_LEGEND = 45.0  # size of its dots


def look(place: int) -> tuple[str, str]:
    """Colour and marker of a class: no two of `LOOKS` have both alike."""
    colours = len(canvas.COLOURS)
    return canvas.COLOURS[place % colours], canvas.MARKERS[(place + place // colours) % len(canvas.MARKERS)]


class Hue(NamedTuple):
    """What a point's colour says."""

    values: np.ndarray  # (N,) class numbers, -1 unknown; or quantities, NaN unknown
    title: str  # of legend or colour bar
    categorical: bool  # classes, else quantities
    names: Sequence[str] = ()  # of the classes; by number where they have none


def draw_dots(axes: Axes, points: np.ndarray, hue: Hue) -> PathCollection | None:
    """Draw points (N, 2) by class: a colour and a shape of its own, and above ten its name in the middle of its points.

    Returns what a colour bar explains where classes are more than there are looks, or quantities.
    """
    size = float(np.clip(6000 / len(points), 9, 28))
    if not hue.categorical:
        known = ~np.isnan(hue.values)
        if not known.all():  # behind the others, and in no colour of the bar
            axes.scatter(*points[~known].T, s=size, c="0.8", linewidths=0)
        return axes.scatter(*points[known].T, s=size, c=hue.values[known], cmap="viridis", linewidths=0)
    labels = hue.values
    present = np.unique(labels[labels >= 0])
    rest = labels < 0
    if rest.any():
        grey = "0.7" if len(present) else canvas.BLUE
        axes.scatter(*points[rest].T, s=size, c=grey, linewidths=0, label="unlabelled")
    if len(present) > LOOKS:
        return axes.scatter(*points[~rest].T, s=size, c=labels[~rest], cmap="viridis", linewidths=0)
    names = [canvas.name_entry(naming.value_name(hue.names, int(label))) for label in present]
    for place, (label, name) in enumerate(zip(present, names, strict=True)):
        colour, marker = look(place)
        colour = canvas.NAMED.get(name, colour)  # orange dots are called orange
        x, y = points[labels == label].T
        axes.scatter(x, y, s=size, linewidths=0, alpha=0.85, color=colour, marker=marker, label=name)
    if len(present) > len(canvas.COLOURS) and max(map(len, names)) <= SHORT:
        for label, name in zip(present, names, strict=True):
            _name_class(axes, points[labels == label], name)
    return None


def _name_class(axes: Axes, points: np.ndarray, name: str) -> None:
    """In the middle of its points, where ten colours no longer say enough."""
    x, y = np.median(points, axis=0)
    paper = [withStroke(linewidth=2.5, foreground="white")]
    axes.text(x, y, name, ha="center", va="center", fontsize=10, weight="bold", path_effects=paper)


def draw_key(figure: Figure, panels: Sequence[Axes], dots: PathCollection | None, hue: Hue) -> None:
    """A legend, or a colour bar of classes or quantities; nothing where no row is labelled."""
    if dots is not None and not hue.categorical:
        figure.colorbar(dots, ax=list(panels), label=hue.title)
    elif dots is not None:
        names = FuncFormatter(lambda value, _: naming.value_name(hue.names, round(value)))
        figure.colorbar(dots, ax=list(panels), label=hue.title, ticks=MaxNLocator(10, integer=True), format=names)
    else:
        draw_legend(figure, panels[0], hue.title)


def draw_legend(figure: Figure, axes: Axes, title: str) -> None:
    """The classes that were drawn, beside all panels; many stand in several columns."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels or labels == ["unlabelled"]:
        return
    columns = math.ceil(len(labels) / LEGEND)
    legend = figure.legend(
        handles, labels, loc="outside right center", title=title, frameon=False, ncols=columns,
        fontsize=10 if columns == 1 else 8, columnspacing=0.8, handletextpad=0.2,
    )  # fmt: skip
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([FULL_LEGEND])

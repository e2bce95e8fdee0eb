"""Dots in the plane whose colours say something, and the legend or colour bar that says what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from aeexp.drawing import canvas, naming
from aeexp.evaluation.run import Run


class Hue(NamedTuple):
    """What a point's colour says."""

    values: np.ndarray  # (N,) class numbers, -1 unknown; or quantities
    title: str  # of legend or colour bar
    categorical: bool  # classes, else quantities
    named: bool = True  # by the data's class names, else by number


def draw_dots(axes: Axes, points: np.ndarray, hue: Hue, run: Run) -> PathCollection | None:
    """Draw points (N, 2) by class.

    Returns what a colour bar explains where classes are too many for a legend, or quantities.
    """
    size = float(np.clip(6000 / len(points), 9, 28))
    if not hue.categorical:
        return axes.scatter(*points.T, s=size, c=hue.values, cmap="viridis", linewidths=0)
    labels = hue.values
    present = np.unique(labels[labels >= 0])
    rest = labels < 0
    if rest.any():
        grey = "0.7" if len(present) else canvas.BLUE
        axes.scatter(*points[rest].T, s=size, c=grey, linewidths=0, label="unlabelled")
    if len(present) > len(canvas.COLOURS):
        return axes.scatter(*points[~rest].T, s=size, c=labels[~rest], cmap="viridis", linewidths=0)
    for label, colour, marker in zip(present, canvas.COLOURS, canvas.MARKERS, strict=False):
        name = canvas.name_entry(value_name(run, hue, int(label)))
        axes.scatter(
            *points[labels == label].T, s=size, linewidths=0, alpha=0.85, color=colour, marker=marker, label=name
        )
    return None


def value_name(run: Run, hue: Hue, label: int) -> str:
    """What a legend calls a class or a value."""
    return naming.class_name(run, label) if hue.named else str(label)


def draw_key(figure: Figure, panels: Sequence[Axes], dots: PathCollection | None, hue: Hue, run: Run) -> None:
    """A legend, or a colour bar of classes or quantities; nothing where no row is labelled."""
    if dots is not None and not hue.categorical:
        figure.colorbar(dots, ax=list(panels), label=hue.title)
    elif dots is not None:
        names = FuncFormatter(lambda value, _: value_name(run, hue, round(value)))
        figure.colorbar(dots, ax=list(panels), label=hue.title, ticks=MaxNLocator(10, integer=True), format=names)
    else:
        handles, labels = panels[0].get_legend_handles_labels()
        if labels and labels != ["unlabelled"]:
            legend = figure.legend(handles, labels, loc="outside right center", title=hue.title, frameon=False)
            for handle in legend.legend_handles:
                if isinstance(handle, PathCollection):
                    handle.set_sizes([45])

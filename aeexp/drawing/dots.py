"""Dots in the plane whose colours say something, and the legend or colour bar that says what."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from aeexp.drawing import canvas
from aeexp.evaluation.run import Run


class Hue(NamedTuple):
    """What a point's colour says."""

    values: np.ndarray  # (N,) class numbers, -1 unknown; or quantities
    title: str  # of legend or colour bar
    whole: bool  # classes, else quantities
    named: bool = True  # by the data's class names, else by number


def draw_dots(axes: Axes, points: np.ndarray, hue: Hue, run: Run):
    """Draw by class; returns the mappable of a colour bar where classes are too many for a legend, or quantities."""
    size = float(np.clip(6000 / len(points), 9, 28))
    if not hue.whole:
        return axes.scatter(*points.T, s=size, c=hue.values, cmap="viridis", linewidths=0)
    labels = hue.values
    present = np.unique(labels[labels >= 0])
    rest = labels < 0
    if rest.any():
        axes.scatter(
            *points[rest].T, s=size, c="0.7" if len(present) else canvas.BLUE, linewidths=0, label="unlabelled"
        )
    if len(present) > len(canvas.COLOURS):
        return axes.scatter(*points[~rest].T, s=size, c=labels[~rest], cmap="viridis", linewidths=0)
    for place, label in enumerate(present):
        style = dict(color=canvas.COLOURS[place], marker=canvas.MARKERS[place], label=value_name(run, hue, int(label)))
        axes.scatter(*points[labels == label].T, s=size, linewidths=0, alpha=0.85, **style)
    return None


def value_name(run: Run, hue: Hue, label: int) -> str:
    return canvas.class_name(run, label) if hue.named else str(label)


def draw_key(made: Figure, boards: np.ndarray, drawn, hue: Hue, run: Run) -> None:
    """A legend, or a colour bar of classes or quantities; nothing where no row is labelled."""
    if drawn is not None and not hue.whole:
        made.colorbar(drawn, ax=list(boards), label=hue.title)
    elif drawn is not None:
        written = FuncFormatter(lambda value, _: value_name(run, hue, round(value)))
        made.colorbar(drawn, ax=list(boards), label=hue.title, ticks=MaxNLocator(10, integer=True), format=written)
    else:
        handles, names = boards[0].get_legend_handles_labels()
        if names and names != ["unlabelled"]:
            legend = made.legend(handles, names, loc="outside right center", title=hue.title, frameon=False)
            for handle in legend.legend_handles:
                handle.set_sizes([45])

"""When the units of a code are active, and for which classes."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, final

import numpy as np
from annotated_types import Interval
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from aeexp.drawing import canvas, naming
from aeexp.drawing.contracts import Plot
from aeexp.drawing.ranking import Order, rank_units
from aeexp.evaluation.run import Run

ACROSS = 8  # histograms in a row
BINS = 24
WIDE, HIGH = 0.9, 0.66  # of a cell, that a histogram takes
LINE, NAMES = 0.14, 56  # inches of a class, and how many have their names where all stand
ROWS = 300  # of the test split in the heat map, as many of each class as can be
SPARSE = 0.05  # of all activations are exactly 0: then whether a unit is active says as much as its value


@final
class Activations(Plot):
    """Mean test codes unit by unit: a histogram of each, and a heat map of rows sorted by class and of class means.
    Numbers to predict sort the rows in place of classes.

    The units are those with the largest KL where it falls into units, else those that vary most; at most `units` of
    them. Scales are shared: of two histograms the wider unit is the one that varies more. Where many activations are
    exactly 0 histograms leave these out, and say in what share of the rows the unit is active instead.
    """

    unfilmed: ClassVar = "its histograms have a scale for each step"

    def __init__(self, *, units: Annotated[int, Interval(ge=1, le=128)] = 32):
        self.units = units

    def __call__(self, run: Run) -> dict[str, Figure]:
        order = rank_units(run)
        order = order._replace(units=order.units[: self.units])
        codes = run.codes("test")[:, order.units].astype(np.float64)
        active = (codes != 0).mean(0) if (run.codes("test") == 0).mean() > SPARSE else None
        title = f"{naming.heading(run, f'activations in {len(codes)} test rows')}\n{order.describe()}"
        return {
            "activations": draw_histograms(title, order, codes, active),
            "activations_by_class": draw_heat_maps(run, title, order, codes, active),
        }


def draw_histograms(title: str, order: Order, codes: np.ndarray, active: np.ndarray | None) -> Figure:
    """A cell for each unit of codes (N, D); `active` (D,) is the share of rows in which each is not 0.

    One axes holds all: dozens of them would take seconds.
    """
    rows = math.ceil(codes.shape[1] / ACROSS)
    columns = math.ceil(codes.shape[1] / rows)  # 12 are 6 and 6, not 8 and 4
    bits = active is not None and len(np.unique(codes)) <= 2
    dropped = active is not None and not bits
    values = np.where(codes == 0, np.nan, codes) if dropped else codes
    edges = np.histogram_bin_edges(_range(values), BINS)
    heights = [np.histogram(unit, edges)[0] / len(codes) for unit in values.clip(edges[0], edges[-1]).T]
    top = max(float(np.max(heights)), 1e-12)
    figure = canvas.figure(title, max(1.25 * columns + 1.0, 5.0), 1.25 * rows + 1.2)
    axes = figure.add_subplot()
    axes.set(xlim=(-0.05, columns), ylim=(rows, 0), autoscale_on=False)
    corners = [(place % columns, place // columns + 0.95) for place in range(len(heights))]
    zero_in_range = bool(edges[0] < 0 < edges[-1])
    _cells(axes, corners, edges, np.array(heights) / top * HIGH, zero_in_range)
    for place, ((left, bottom), unit) in enumerate(zip(corners, order.units, strict=True)):
        amount = order.describe_unit(unit) if active is None else f"active {active[place]:.0%}"
        axes.text(left, bottom - HIGH - 0.03, f"unit {unit + 1}: {amount}", fontsize=7.5, va="bottom")
    _ticks(axes, edges, top, rows, columns)
    dotted = "; dotted: 0" if zero_in_range else ""
    left_out = "; rows where it is 0 are left out" if dropped else ""
    axes.set_xlabel(f"activation, the same scale for all{dotted}{left_out}", fontsize=9)
    axes.set_ylabel("share of rows", fontsize=9)
    return figure


def _cells(axes: Axes, corners: list[tuple[int, float]], edges: np.ndarray, bars: np.ndarray, zero: bool) -> None:
    """Stairs `bars` (D, BINS) over the lower left corners of their cells; a dotted line at 0 where `zero`."""
    across = WIDE * (edges - edges[0]) / (edges[-1] - edges[0])
    shapes, lines, zeros = [], [], []
    for (left, bottom), heights in zip(corners, bars, strict=True):
        stairs = np.column_stack([np.repeat(across, 2), np.concatenate([[0], np.repeat(heights, 2), [0]])])
        shapes.append(stairs * (1, -1) + (left, bottom))
        lines.append([(left, bottom), (left + WIDE, bottom)])
        if zero:
            place = left + WIDE * -edges[0] / (edges[-1] - edges[0])
            zeros.append([(place, bottom), (place, bottom - HIGH)])
    axes.add_collection(PolyCollection(shapes, facecolors=canvas.BLUE, linewidths=0), autolim=False)
    axes.add_collection(LineCollection(zeros, colors=canvas.VERMILION, linewidths=0.8, linestyles=":"), autolim=False)
    axes.add_collection(LineCollection(lines, colors="0.4", linewidths=0.8), autolim=False)


def _range(values: np.ndarray) -> np.ndarray:
    """Ends of the histograms: all but the outermost 0.05 % at each side, which count in the last bins, and a margin."""
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, (0.0005, 0.9995)) if len(known) else (0.0, 1.0)
    margin = 0.04 * (high - low) or 0.5
    return np.array([low - margin, high + margin])


def _ticks(axes: Axes, edges: np.ndarray, top: float, rows: int, columns: int) -> None:
    """Numbers at the outer cells: activations below each column, shares beside each row."""
    low, width = edges[0], edges[-1] - edges[0]
    values = [value for value in MaxNLocator(3).tick_values(low, edges[-1]) if low <= value <= edges[-1]]
    places = [column + WIDE * (value - low) / width for column in range(columns) for value in values]
    axes.set_xticks(places, [f"{value:g}".replace("-", "−") for value in values] * columns, fontsize=7)
    shares = [share for share in MaxNLocator(2).tick_values(0, top) if 0 <= share <= top]
    places = [row + 0.95 - HIGH * share / top for row in range(rows) for share in shares]
    axes.set_yticks(places, [f"{share:.0%}" if top > 0.02 else f"{share:.1%}" for share in shares] * rows, fontsize=7)
    axes.spines[:].set_visible(False)


def draw_heat_maps(run: Run, title: str, order: Order, codes: np.ndarray, active: np.ndarray | None) -> Figure:
    """Rows sorted by class above their class means; the share of active rows between them for sparse codes."""
    labels, numbers = run.labels("test"), run.responses("test")
    labels = np.full(len(codes), -1) if labels is None else labels
    chosen = canvas.choose_rows(labels, ROWS, len(codes))
    chosen = chosen[np.lexsort((chosen, labels[chosen], labels[chosen] < 0))]
    if numbers is not None:
        chosen = chosen[np.argsort(numbers[chosen], kind="stable")]  # unknown ones last
    present = np.unique(labels[labels >= 0])
    lines = LINE * len(present)  # room for the name of each class
    heights = [float(np.clip(lines, 4.0, 8.0)), 0.7 * (active is not None), min(2 * lines, max(4.0, min(lines, 8.0)))]
    parts = [height for height in heights if height]
    figure = canvas.figure(title, float(np.clip(0.3 * codes.shape[1] + 2.5, 6, 13)), sum(parts) + 1.5)
    boards = list(figure.subplots(len(parts), 1, sharex=True, squeeze=False, height_ratios=parts).flat)
    positive = bool(codes.min() >= 0)
    limit = float(np.quantile(np.abs(codes), 0.995)) or 1.0
    image = _heat(boards[0], codes[chosen], positive, limit)
    if numbers is not None:
        _numbers(boards[0], run, numbers[chosen])
    else:
        _classes(boards[0], run, labels[chosen], "white" if positive else "black")
    if active is not None:
        boards[1].bar(range(len(active)), active, color=canvas.BLUE)
        boards[1].set(ylim=(0, 1), yticks=[0, 1], yticklabels=["0%", "100%"], ylabel="active")
    if len(present):
        _heat(boards[-1], np.array([codes[labels == label].mean(0) for label in present]), positive, limit)
        every = math.ceil(len(present) / NAMES)
        names = [naming.class_name(run, int(label)) for label in present]
        boards[-1].set_yticks(range(0, len(present), every), names[::every], fontsize=8 if len(present) <= 14 else 7)
        boards[-1].set_ylabel("mean of class")
    every = math.ceil(codes.shape[1] / 32)
    units = [str(unit + 1) for unit in order.units[::every]]
    boards[-1].set_xticks(range(0, codes.shape[1], every), units, fontsize=8)
    boards[-1].set_xlabel(f"unit, by {'KL' if order.nats else 'standard deviation'} from left to right")
    beyond = "neither" if np.abs(codes).max() <= limit else "max" if positive else "both"
    figure.colorbar(image, ax=boards, label="activation", extend=beyond, aspect=40)
    return figure


def _heat(axes: Axes, values: np.ndarray, positive: bool, limit: float) -> AxesImage:
    colours, low = ("viridis", 0.0) if positive else (canvas.SIGNED, -limit)
    return axes.imshow(
        values, aspect="auto", interpolation="nearest", origin="upper", cmap=colours, vmin=low, vmax=limit
    )


def _numbers(axes: Axes, run: Run, numbers: np.ndarray) -> None:
    """The number to predict at some rows of those that are sorted by it."""
    rows = np.unique(np.linspace(0, len(numbers) - 1, 9).astype(int))
    names = ["unknown" if math.isnan(numbers[row]) else canvas.format_number(float(numbers[row])) for row in rows]
    axes.set_yticks(rows, names, fontsize=8)
    axes.set_ylabel(f"{len(numbers)} test rows by {run.data.response}")


def _classes(axes: Axes, run: Run, labels: np.ndarray, color: str) -> None:
    """Names in the middle of each class's rows, lines between them."""
    starts = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
    ends = np.append(starts[1:], len(labels))
    every = math.ceil(len(starts) / NAMES)
    if len(starts) == 1 and labels[0] < 0:
        axes.set(yticks=[], ylabel=f"{len(labels)} test rows")
        return
    names = ["unlabelled" if labels[start] < 0 else naming.class_name(run, int(labels[start])) for start in starts]
    axes.set_yticks(((starts + ends - 1) / 2)[::every], names[::every], fontsize=8 if len(starts) <= 20 else 7)
    axes.tick_params(axis="y", length=0)
    if len(starts) <= NAMES:
        for start in starts[1:]:
            axes.axhline(start - 0.5, color=color, linewidth=0.8)
    axes.set_ylabel(f"{len(labels)} test rows by class")

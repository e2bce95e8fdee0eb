"""A panel of sweep.png: one number over the swept value, on the splits and beside the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from aeexp.drawing import canvas
from aeexp.drawing.scales import make_logarithmic
from aeexp.reports.charts import BASELINES, name_baseline, scale_axis, tidy
from aeexp.reports.declarations import has_penalties
from aeexp.reports.statistics import Estimate
from aeexp.reports.swept import Point, Sweep

APART = 3.0  # points between the lines of a panel
SPLITS = {"val": ("validation split", "-."), "train": ("training split", (0, (1, 1.5)))}
ERRORS = ("loss", "reconstruction/mse")  # drawn on all splits: where test leaves train, capacity turns into overfitting
WIDTHS = {"hidden_dims": "units of all layers", "channels": "channels of all layers"}


def draw_panel(axes: Axes, sweep: Sweep, key: str, unit: str) -> None:
    """Mean and Student's 95 % interval of one number, a line for all that was swept beside; baselines without one."""
    values = [value for i in range(len(sweep.lines)) for value in draw_splits(axes, sweep, i, key)]
    if is_comparable(sweep, key):
        for name in BASELINES:
            values += draw_baseline(axes, sweep, key, name)
    scale_axis(axes, [point.at for point in sweep.points if point.at is not None])
    if values and min(values) > 0 and max(values) > 20 * min(values):
        make_logarithmic(axes, values)
    axes.set(title=key, xlabel=label_axis(sweep), ylabel=unit)
    if key in ERRORS and len(sweep.lines) == 1:
        mark_lowest(axes, sweep.points, key)
    tidy(axes)


def draw_splits(axes: Axes, sweep: Sweep, i: int, key: str) -> list[float]:
    """One of the sweep's lines on the test split, of an error on the others too; the values on them."""
    points = [point for point in sweep.points if point.line == sweep.lines[i]]
    place = APART * (i - (len(sweep.lines) - 1) / 2)
    look: dict[str, Any] = dict(color=canvas.LINES[i], marker=canvas.MARKERS[i], markersize=5, linewidth=1.6)
    label = sweep.lines[i] or "this model, test split"
    values = draw_line(axes, points, [point.estimate(key) for point in points], place, label=label, **look)
    look |= dict(linewidth=1.0, markersize=3.5, markerfacecolor="white", zorder=1.8)
    for part, (name, dashes) in SPLITS.items() if key in ERRORS else ():
        look |= dict(linestyle=dashes, label=name if i == 0 else None)
        values += draw_line(axes, points, [point.estimate(key, part) for point in points], place, **look)
    return values


def draw_line(
    axes: Axes, points: Sequence[Point], estimates: Sequence[Estimate | None], place: float, **look: Any
) -> list[float]:
    """A line with its intervals, and the values on it; `place` points to the right, so that intervals stand apart."""
    pairs = [(p.at, e) for p, e in zip(points, estimates, strict=True) if p.at is not None and e is not None]
    means = [e.mean for _, e in pairs]
    if pairs:
        line = axes.errorbar([at for at, _ in pairs], means, [e.half for _, e in pairs], capsize=3, **look)
        for artist in line.get_children():  # moved once the limits are known
            artist.set_transform(axes.transData + ScaledTranslation(place / 72, 0, axes.figure.dpi_scale_trans))
    return means


def draw_baseline(axes: Axes, sweep: Sweep, key: str, name: str) -> list[float]:
    """A baseline as one line where it is the same for all lines, else as one for each; the values on it."""
    label, (_, dashes) = name_baseline(name, sweep), BASELINES[name]
    rows: list[list[tuple[float, float]]] = [[] for _ in sweep.lines]
    for point in sweep.points:
        estimate = point.estimate(key, "baseline", name)
        if estimate is not None and point.at is not None:
            rows[sweep.lines.index(point.line)].append((point.at, estimate.mean))
    same = is_same_everywhere(rows)
    if same:
        rows = [sorted({at: mean for row in rows for at, mean in row}.items())]
    for i, row in enumerate(rows):
        if row:
            color = canvas.BLACK if same else canvas.LINES[i]
            x, y = zip(*row, strict=True)
            axes.plot(x, y, label=label if i == 0 else None, color=color, linestyle=dashes, linewidth=1.2)
    return [mean for row in rows for _, mean in row]


def is_same_everywhere(rows: Sequence[Sequence[tuple[float, float]]]) -> bool:
    """Whether a baseline's (swept value, mean) are the same for all lines at every value, but for 1 %."""
    means: dict[float, list[float]] = {}
    for row in rows:
        for at, mean in row:
            means.setdefault(at, []).append(mean)
    return all(max(m) - min(m) <= 0.01 * max(map(abs, m)) for m in means.values())


def is_comparable(sweep: Sweep, key: str) -> bool:
    """Whether a baseline's number is of the same thing: PCA's loss has no penalties."""
    return key != "loss" or not any(map(has_penalties, sweep.records))


def label_axis(sweep: Sweep) -> str | None:
    """The swept value's name, with what a list of layers was made of."""
    unit = None if sweep.name is None else WIDTHS.get(sweep.name.rpartition(".")[2])
    return f"{sweep.name} ({unit})" if unit else sweep.name


def mark_lowest(axes: Axes, points: Sequence[Point], key: str) -> None:
    """A line where validation is lowest, if that is no end of the sweep: beyond it capacity only fits the training."""
    pairs = [(e.mean, p.at) for p in points if p.at is not None and (e := p.estimate(key, "val")) is not None]
    if len(pairs) > 2 and min(pairs)[1] not in (pairs[0][1], pairs[-1][1]):
        axes.axvline(min(pairs)[1], color=canvas.GREY, linewidth=0.8, zorder=0, label="lowest validation error")

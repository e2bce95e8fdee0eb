"""One number over another: what is given up for what."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aeexp.drawing import canvas
from aeexp.reports.charts import BASELINES, heading, legend, tidy
from aeexp.reports.swept import Sweep

NAME = dict(facecolor="white", edgecolor="none", alpha=0.8, pad=0.5)  # of a point, that a line may cross


def scatter(found: Sweep, across: str, up: str) -> Figure | None:
    """Two numbers of the test split, a point for each group of runs, named; PCA and raw input as markers."""
    made = canvas.figure(heading(found, f"{up} over {across}"), 7.2, 5.2)
    axes, shown = made.add_subplot(), 0
    for i, line in enumerate(found.lines):
        color, mark = canvas.LINES[i % len(canvas.LINES)], canvas.MARKERS[i % len(canvas.MARKERS)]
        points = [(p, p.estimate(across), p.estimate(up)) for p in found.points if p.line == line]
        known = [(p, x, y) for p, x, y in points if x is not None and y is not None]
        if not known:
            continue
        x, y, wide, high = zip(*((x.mean, y.mean, x.half, y.half) for _, x, y in known), strict=True)
        style = dict(color=color, marker=mark, linewidth=1.2, elinewidth=0.8, capsize=2)
        axes.errorbar(x, y, high, wide, label=line or (found.name or "runs"), **style)
        for point, a, b in zip((p for p, *_ in known), x, y, strict=True):
            if point.at is not None:
                place = dict(textcoords="offset points", xytext=(6, 5), fontsize=9, color=color, bbox=NAME)
                axes.annotate(f"{point.at:g}", (a, b), **place)
        shown += len(known)
    for name, (label, mark, _) in BASELINES.items():
        references(axes, found, (across, up), name, label, mark)
    if shown < 2:
        return None
    axes.set(xlabel=across, ylabel=up)
    axes.margins(0.1)
    tidy(axes)
    legend(made, [axes])
    return made


def references(axes: Axes, found: Sweep, keys: tuple[str, str], name: str, label: str, mark: str) -> None:
    """The places of a baseline: one, or as many as the sweep changed it."""
    pairs = [[p.estimate(key, "baseline", name) for key in keys] for p in found.points]
    known = [(x.mean, y.mean) for x, y in pairs if x is not None and y is not None]
    spots = sorted({tuple(f"{value:.4g}" for value in spot): spot for spot in known}.values())  # one for equal ones
    if spots:
        fill = canvas.BLACK if name == "raw" else "white"
        style = dict(linestyle="none", marker=mark, color=canvas.BLACK, markerfacecolor=fill, markersize=8)
        axes.plot(*zip(*spots, strict=True), label=label, **style)

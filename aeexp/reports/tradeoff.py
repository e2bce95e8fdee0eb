"""One number over another: what is given up for what."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aeexp.drawing import canvas
from aeexp.reports.charts import BASELINES, add_legend, describe_sweep, name_baseline, tidy
from aeexp.reports.swept import Sweep

NAME = dict(facecolor="white", edgecolor="none", alpha=0.8, pad=0.5)  # of a point, that a line may cross


def draw_tradeoff(sweep: Sweep, across: str, up: str) -> Figure | None:
    """Two numbers of the test split, a point for each group of runs, named; PCA and raw input as markers.

    None where fewer than two groups have both.
    """
    figure = canvas.figure(describe_sweep(sweep, f"{up} over {across}"), 7.2, 5.2)
    axes = figure.add_subplot()
    lines = [draw_line(axes, sweep, i, across, up) for i in range(len(sweep.lines))]
    for name, (mark, _) in BASELINES.items():
        draw_baselines(axes, sweep, (across, up), name, name_baseline(name, sweep), mark)
    if sum(lines) < 2:
        return None
    axes.set(xlabel=across, ylabel=up)
    axes.margins(0.1)
    tidy(axes)
    add_legend(figure, [axes])
    return figure


def draw_line(axes: Axes, sweep: Sweep, i: int, across: str, up: str) -> int:
    """The points of one of the sweep's lines with both intervals; how many there are."""
    line, color = sweep.lines[i], canvas.LINES[i % len(canvas.LINES)]
    pairs = [(p, p.estimate(across), p.estimate(up)) for p in sweep.points if p.line == line]
    points = [(p, x, y) for p, x, y in pairs if x is not None and y is not None]
    if not points:
        return 0
    wide, high = [x.half for _, x, _ in points], [y.half for _, _, y in points]
    axes.errorbar(
        [x.mean for _, x, _ in points], [y.mean for _, _, y in points], high, wide, label=line or sweep.name or "runs",
        color=color, marker=canvas.MARKERS[i % len(canvas.MARKERS)], linewidth=1.2, elinewidth=0.8, capsize=2,
    )  # fmt: skip
    for point, x, y in points:
        if point.at is not None:
            axes.annotate(
                f"{point.at:g}", (x.mean, y.mean), textcoords="offset points", xytext=(6, 5), fontsize=9, color=color,
                bbox=NAME,
            )  # fmt: skip
    return len(points)


def draw_baselines(axes: Axes, sweep: Sweep, keys: tuple[str, str], name: str, label: str, mark: str) -> None:
    """The places of a baseline: one, or as many as the sweep changed it."""
    pairs = [[point.estimate(key, "baseline", name) for key in keys] for point in sweep.points]
    places = [(x.mean, y.mean) for x, y in pairs if x is not None and y is not None]
    spots = sorted({tuple(f"{value:.4g}" for value in place): place for place in places}.values())  # one for equal ones
    if spots:
        fill = canvas.BLACK if name == "raw" else "white"
        x, y = zip(*spots, strict=True)
        axes.plot(
            x, y, label=label, linestyle="none", marker=mark, color=canvas.BLACK, markerfacecolor=fill, markersize=8
        )

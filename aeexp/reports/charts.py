"""What charts of a sweep share: title, baselines, axis of the swept value, grid, legend."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from aeexp.evaluation.baselines import COMPARABLE, NAMES
from aeexp.reports.grouping import describe_baseline
from aeexp.reports.swept import Sweep

LONGEST = 120  # letters of the overrides that all runs share, in a title
BASELINES = {"pca": ("s", "--"), "raw": ("D", ":")}  # marker and line


def describe_sweep(sweep: Sweep, what: str) -> str:
    """The title of a chart: data, what is drawn, of how many runs, and the overrides that all share."""
    names = sorted({record.metrics["data"].get("name", "data") for record in sweep.records})
    sizes = sorted({len(point.group.records) for point in sweep.points})
    runs = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    mean = f"; mean of {runs} runs, 95 % interval" if sizes[-1] > 1 else ""
    common = " ".join(text for text in sweep.common if not text.startswith(("dataset.path", "dataset.test")))
    common = textwrap.shorten(common, LONGEST, placeholder=" ...")
    return f"{', '.join(names)}: {what}\ntest split{mean}\n{common}".rstrip()


def name_baseline(row: str, sweep: Sweep) -> str:
    """Of a sweep, in a legend: of several widths, not one of them."""
    name = describe_baseline(row, sweep.records)
    return NAMES[row] if "PCA, width " in name else name


def scale_axis(axes: Axes, values: Sequence[float]) -> None:
    """Logarithmic where positive values spread over more than a decade; a 0 beside them has a place left of them."""
    ticks = sorted(set(values))
    positive = [value for value in ticks if value > 0]
    if ticks[0] >= 0 and len(positive) >= 2 and positive[-1] > 10 * positive[0]:
        if ticks[0] > 0:
            axes.set_xscale("log")
        else:
            axes.set_xscale("symlog", linthresh=positive[0], linscale=0.8)
            axes.axvspan(0.25 * positive[0], 0.6 * positive[0], color="0.93", linewidth=0)  # the axis is broken here
    if len(ticks) <= 8:
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
        axes.xaxis.set_minor_locator(NullLocator())


def tidy(axes: Axes) -> None:
    """A light grid, and no frame above and at the right."""
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def add_legend(figure: Figure, boards: Iterable[Axes]) -> None:
    """Each label once, below all panels; baselines come last."""
    handles: dict[str, Artist] = {}
    for axes in boards:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    labels = sorted(handles, key=lambda label: label in (COMPARABLE, *NAMES.values()))
    wide = 0.065 * max(map(len, labels), default=1) + 0.7  # inches of an entry at this size
    columns = max(1, min(3, int(figure.get_figwidth() / wide)))
    figure.set_figheight(figure.get_figheight() + 0.18 * max(0, math.ceil(len(labels) / columns) - 3))
    figure.legend(
        [handles[label] for label in labels], [textwrap.shorten(label, 100, placeholder=" ...") for label in labels],
        loc="outside lower center", ncols=columns, fontsize=8, frameon=False, handlelength=3.0,
    )  # fmt: skip

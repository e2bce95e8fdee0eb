"""What charts of a sweep share: title, baselines, axis of the swept value, grid, legend."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from aeexp.evaluation.baselines import NAMES
from aeexp.reports.swept import Sweep

LONGEST = 120  # letters of the overrides that all runs share, in a title
BASELINES = {"pca": (NAMES["pca"], "s", "--"), "raw": (NAMES["raw"], "D", ":")}


def heading(found: Sweep, what: str) -> str:
    nodes = [node for point in found.points for node in point.metrics]
    names = sorted({node.get("data", {}).get("name", "data") for node in nodes})
    sizes = sorted({len(point.metrics) for point in found.points})
    runs = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    words = f"; mean of {runs} runs, 95 % interval" if sizes[-1] > 1 else ""
    common = " ".join(word for word in found.common if not word.startswith(("dataset.path", "dataset.test")))
    common = textwrap.shorten(common, LONGEST, placeholder=" ...")
    return f"{', '.join(names)}: {what}\ntest split{words}\n{common}".rstrip()


def across(axes: Axes, values: Sequence[float]) -> None:
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
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def legend(made: Figure, boards: Iterable[Axes]) -> None:
    """Each word once, below all panels."""
    words = {}
    for axes in boards:
        for handle, word in zip(*axes.get_legend_handles_labels(), strict=True):
            words.setdefault(word, handle)
    last = [word for word in words if word in [label for label, *_ in BASELINES.values()]]
    words = {word: words[word] for word in [*(word for word in words if word not in last), *last]}
    wide = 0.065 * max(map(len, words), default=1) + 0.7  # inches of an entry at this size
    columns = max(1, min(3, int(made.get_figwidth() / wide)))
    made.set_figheight(made.get_figheight() + 0.18 * max(0, math.ceil(len(words) / columns) - 3))
    style = dict(loc="outside lower center", ncols=columns, fontsize=8, frameon=False, handlelength=3.0)
    made.legend(words.values(), [textwrap.shorten(word, 100, placeholder=" ...") for word in words], **style)

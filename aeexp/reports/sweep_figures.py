"""Numbers over the value that a sweep changed, and one number over another."""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from aeexp.drawing import canvas
from aeexp.reports.charts import BASELINES, across, heading, legend, tidy
from aeexp.reports.declarations import Declarations
from aeexp.reports.statistics import Estimate
from aeexp.reports.swept import Point, Sweep, sweep
from aeexp.reports.tradeoff import scatter

log = logging.getLogger(__name__)

MOST = 6  # panels
DPI = 150
APART = 3.0  # points between the lines of a panel
SPLITS = {"val": ("validation split", "-."), "train": ("training split", (0, (1, 1.5)))}
ERRORS = ("loss", "reconstruction/mse")  # drawn on all splits: where test leaves train, capacity turns into overfitting
# Of these all that were measured, in this order; of any other metric its first number.
PANELS = (
    "loss", "reconstruction/mse", "fairness/accuracy_forest", "fairness/leakage_balanced_linear",
    "fairness/leakage_balanced_forest", "fairness/parity_gap_forest", "classification/accuracy", "probe/linear",
)  # fmt: skip
TRADEOFF = ("fairness/leakage_balanced_forest", "fairness/accuracy_forest")
WIDTHS = {"hidden_dims": "units of all layers", "channels": "channels of all layers"}
LISTED = ("loss", "latent", "reconstruction", "probe", "fairness")  # metrics of which PANELS names all that is drawn


def sweep_figures(root: Path, metrics: Sequence[str] = (), tradeoff: Sequence[str] = ()) -> None:
    """Write sweep.png and tradeoff.png for the finished runs below `root`, where there is something to draw."""
    found = sweep(root)
    if len(found.points) < 2:
        return
    if found.name is not None:
        save(curves(found, panels(measured(found, metrics), metrics)), root / "sweep.png", f"numbers over {found.name}")
    keys = found.keys()
    pair = tuple(tradeoff) or TRADEOFF
    if tradeoff and (len(pair) != 2 or missing(pair, keys)):
        log.warning("hydra.callbacks.curves.tradeoff=[%s] wants two keys that were measured", ",".join(tradeoff))
    elif not missing(pair, keys):
        save(scatter(found, *pair), root / "tradeoff.png", f"{pair[1]} over {pair[0]}")


def save(figure: Figure | None, path: Path, what: str) -> None:
    if figure is None:
        return
    canvas.save(figure, path, DPI)
    log.info("%s: %s", what, path)


def measured(found: Sweep, asked: Sequence[str] = ()) -> list[str]:
    """Keys of the sweep; a loss that is another thing in other runs is one of them only where it was asked for."""
    apart = "loss" not in asked and Declarations(found.records).incomparable("loss", found.records) is not None
    return [key for key in found.keys() if key != "loss" or not apart]


def panels(keys: Sequence[str], asked: Sequence[str] = ()) -> list[str]:
    """Which of the measured `keys` are drawn: those asked for, else a few of each metric; six at most."""
    for key in missing(asked, keys):
        near = difflib.get_close_matches(key, keys, n=1)
        way = f"did you mean {near[0]}?" if near else "no run measured it"
        log.warning("hydra.callbacks.curves.metrics: %s is left out of sweep.png; %s", key, way)
    if asked:
        return [key for key in asked if key in keys][:MOST]
    others = [key for key in keys if key.split("/")[0] not in LISTED and not key.endswith(("_se", "_k"))]
    first = {key.split("/")[0]: key for key in reversed(others)}
    chosen = [key for key in PANELS if key in keys]
    return [*chosen, *(key for key in keys if key in first.values() and key not in chosen)][:MOST]


def missing(asked: Iterable[str], keys: Sequence[str]) -> list[str]:
    return [key for key in asked if key not in keys]


def curves(found: Sweep, keys: Sequence[str]) -> Figure | None:
    """A panel a number: mean and Student's 95 % interval on the test split over the swept value, a line for the rest.

    Dashed: PCA of the same width; dotted: the raw input.
    """
    if not keys or len(found.lines) > len(canvas.LINES):
        if keys:
            log.info("no sweep.png: %d lines are more than can be told apart", len(found.lines))
        return None
    columns = 2 if len(keys) == 4 else min(3, len(keys))
    rows = math.ceil(len(keys) / columns)
    made = canvas.figure(heading(found, f"numbers over {found.name}"), max(6.8, 3.8 * columns), 2.8 * rows + 1.3)
    boards = made.subplots(rows, columns, squeeze=False).ravel()
    declared = Declarations(found.records)
    for axes, key in zip(boards, keys, strict=False):
        panel(axes, found, key, declared.unit(key))
    for axes in boards[len(keys) :]:
        axes.set_visible(False)
    legend(made, boards)
    return made


def panel(axes: Axes, found: Sweep, key: str, unit: str) -> None:
    values: list[float] = []
    for i, line in enumerate(found.lines):
        points = [point for point in found.points if point.line == line]
        style = dict(color=canvas.LINES[i], marker=canvas.MARKERS[i], markersize=5, linewidth=1.6)
        style["place"] = APART * (i - (len(found.lines) - 1) / 2)
        values += drawn(
            axes, points, [p.estimate(key) for p in points], label=line or "this model, test split", **style
        )
        for part, (words, dashes) in SPLITS.items() if key in ERRORS else ():
            style |= dict(linestyle=dashes, linewidth=1.0, markersize=3.5, markerfacecolor="white", zorder=1.8)
            word = words if i == 0 else None
            values += drawn(axes, points, [p.estimate(key, part) for p in points], label=word, **style)
    for name, (label, _, dashes) in BASELINES.items() if comparable(found, key) else ():
        rows = [
            [(p, p.estimate(key, "baseline", name)) for p in found.points if p.line == line] for line in found.lines
        ]
        same = alike(rows)
        known = {p.at: (p, e) for row in rows for p, e in row if e is not None}
        everywhere = [known[at] for at in sorted(known)]
        for i, row in enumerate([everywhere] if same else rows):
            style = dict(color=canvas.BLACK if same else canvas.LINES[i], linestyle=dashes, linewidth=1.2)
            known = [(p.at, e.mean) for p, e in row if e is not None]
            if known:
                axes.plot(*zip(*known, strict=True), label=label if i == 0 else None, **style)
                values += [mean for _, mean in known]
    across(axes, [point.at for point in found.points if point.at is not None])
    if values and min(values) > 0 and max(values) > 20 * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(values) < 300 * min(values) else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set(title=key, xlabel=called(found), ylabel=unit)
    if key in ERRORS and len(found.lines) == 1:
        chosen(axes, found.points, key)
    tidy(axes)


def called(found: Sweep) -> str | None:
    """The swept value's name, with what a list of layers was made of."""
    listed = found.name is not None and found.name.rpartition(".")[2] in WIDTHS
    return f"{found.name} ({WIDTHS[found.name.rpartition('.')[2]]})" if listed else found.name


def chosen(axes: Axes, points: Sequence[Point], key: str) -> None:
    """A line where validation is lowest, if that is no end of the sweep: beyond it capacity only fits the training."""
    known = [(e.mean, p.at) for p in points if (e := p.estimate(key, "val")) is not None]
    if len(known) > 2 and min(known)[1] not in (known[0][1], known[-1][1]):
        axes.axvline(min(known)[1], color=canvas.GREY, linewidth=0.8, zorder=0, label="lowest validation error")


def comparable(found: Sweep, key: str) -> bool:
    """Whether a baseline's number is of the same thing: PCA's loss has no penalties."""
    return key != "loss" or all(k == "loss/reconstruction" for k in found.keys() if k.startswith("loss/"))


def drawn(
    axes: Axes, points: Sequence[Point], estimates: Sequence[Estimate | None], place: float, **style
) -> list[float]:
    """A line with its intervals, and the values on it; `place` points to the right, so that intervals stand apart."""
    known = [(p.at, e.mean, e.half) for p, e in zip(points, estimates, strict=True) if e is not None]
    if known:
        x, y, half = zip(*known, strict=True)
        for artist in axes.errorbar(x, y, half, capsize=3, **style).get_children():  # moved once the limits are known
            artist.set_transform(axes.transData + ScaledTranslation(place / 72, 0, axes.figure.dpi_scale_trans))
    return [mean for _, mean, _ in known]


def alike(rows: Sequence[Sequence[tuple[Point, Estimate | None]]]) -> bool:
    """Whether a baseline is the same for all lines at every swept value, but for 1 %."""
    means: dict[float | None, list[float]] = {}
    for row in rows:
        for point, e in row:
            if e is not None:
                means.setdefault(point.at, []).append(e.mean)
    return all(max(m) - min(m) <= 0.01 * max(map(abs, m)) for m in means.values())

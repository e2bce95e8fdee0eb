"""sweep.png and tradeoff.png: numbers over the value that a sweep changed, and one number over another."""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from aeexp.drawing import canvas
from aeexp.reports.charts import add_legend, describe_sweep
from aeexp.reports.declarations import Declarations
from aeexp.reports.panels import draw_panel
from aeexp.reports.swept import Sweep, read_sweep
from aeexp.reports.tradeoff import draw_tradeoff

log = logging.getLogger(__name__)

MOST = 6  # panels
DPI = 150
# Of these all that were measured, in this order; of any other metric its first number.
PANELS = (
    "loss", "reconstruction/mse", "fairness/accuracy_forest", "fairness/leakage_balanced_linear",
    "fairness/leakage_balanced_forest", "fairness/parity_gap_forest", "classification/accuracy", "probe/linear",
    "regression/r2", "probe/ridge_r2",
)  # fmt: skip
LISTED = ("loss", "latent", "reconstruction", "probe", "fairness")  # metrics of which PANELS names all that is drawn
TRADEOFF = ("fairness/leakage_balanced_forest", "fairness/accuracy_forest")


def write_sweep_figures(root: Path, metrics: Sequence[str] = (), tradeoff: Sequence[str] = ()) -> None:
    """Write sweep.png and tradeoff.png for the finished runs below `root`, where there is something to draw."""
    sweep = read_sweep(root)
    if len(sweep.points) < 2:
        return
    if sweep.name is not None:
        panels = choose_panels(list_keys(sweep, metrics), metrics)
        save(draw_curves(sweep, panels), root / "sweep.png", f"numbers over {sweep.name}")
    keys = sweep.keys()
    pair = tuple(tradeoff) or TRADEOFF
    if tradeoff and (len(pair) != 2 or list_missing(pair, keys)):
        log.warning("hydra.callbacks.curves.tradeoff=[%s] wants two keys that were measured", ",".join(tradeoff))
    elif not list_missing(pair, keys):
        save(draw_tradeoff(sweep, pair[0], pair[1]), root / "tradeoff.png", f"{pair[1]} over {pair[0]}")


def save(figure: Figure | None, path: Path, what: str) -> None:
    """Write the figure, if there is one, and say so."""
    if figure is None:
        return
    canvas.save(figure, path, DPI)
    log.info("%s: %s", what, path)


def list_keys(sweep: Sweep, asked: Sequence[str] = ()) -> list[str]:
    """Keys of the sweep; a loss that is another thing in other runs is one of them only where it was asked for."""
    records = sweep.records
    apart = "loss" not in asked and Declarations(records).incomparable("loss", records) is not None
    return [key for key in sweep.keys() if key != "loss" or not apart]


def choose_panels(keys: Sequence[str], asked: Sequence[str] = ()) -> list[str]:
    """Which of the measured `keys` are drawn: those asked for, else a few of each metric; six at most."""
    for key in list_missing(asked, keys):
        near = difflib.get_close_matches(key, keys, n=1)
        way = f"did you mean {near[0]}?" if near else "no run measured it"
        log.warning("hydra.callbacks.curves.metrics: %s is left out of sweep.png; %s", key, way)
    if asked:
        return [key for key in asked if key in keys][:MOST]
    others = [key for key in keys if key.split("/")[0] not in LISTED and not key.endswith(("_se", "_k"))]
    first = {key.split("/")[0]: key for key in reversed(others)}
    chosen = [key for key in PANELS if key in keys]
    return [*chosen, *(key for key in keys if key in first.values() and key not in chosen)][:MOST]


def list_missing(asked: Iterable[str], keys: Sequence[str]) -> list[str]:
    """Which of the keys asked for no run measured."""
    return [key for key in asked if key not in keys]


def draw_curves(sweep: Sweep, keys: Sequence[str]) -> Figure | None:
    """A panel a number: mean and Student's 95 % interval on the test split over the swept value, a line for the rest.

    Dashed: the comparable PCA; dotted: the raw input. None of no keys, and of more lines than can be told apart.
    """
    if not keys or len(sweep.lines) > len(canvas.LINES):
        if keys:
            log.info("no sweep.png: %d lines are more than can be told apart", len(sweep.lines))
        return None
    columns = 2 if len(keys) == 4 else min(3, len(keys))
    rows = math.ceil(len(keys) / columns)
    title = describe_sweep(sweep, f"numbers over {sweep.name}")
    figure = canvas.figure(title, max(6.8, 3.8 * columns), 2.8 * rows + 1.3)
    boards = figure.subplots(rows, columns, squeeze=False).ravel()
    declarations = Declarations(sweep.records)
    for axes, key in zip(boards, keys, strict=False):
        draw_panel(axes, sweep, key, declarations.unit(key))
    for axes in boards[len(keys) :]:
        axes.set_visible(False)
    add_legend(figure, boards)
    return figure

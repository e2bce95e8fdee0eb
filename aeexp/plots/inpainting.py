"""Test examples, what a hole took from them, and what it is filled with."""

from __future__ import annotations

import logging
import math
from typing import Annotated, NamedTuple, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aeexp.drawing import canvas, channels, naming
from aeexp.drawing.arrays import mask_array, to_array
from aeexp.drawing.contracts import Plot
from aeexp.drawing.marking import HOLE, mark_hole
from aeexp.evaluation import fills
from aeexp.evaluation.run import Run
from aeexp.ranges import Count, Seed

log = logging.getLogger(__name__)

STYLES: dict[str, canvas.Stroke] = {  # of what fills a hole
    "model": {"color": canvas.BLUE, "linestyle": "-"},
    "mean fill": {"color": canvas.GREEN, "linestyle": ":"},
    "nearest neighbour": {"color": canvas.PURPLE, "linestyle": "-."},
}
PCA: canvas.Stroke = {"color": canvas.VERMILION, "linestyle": "--"}
WHOLE: canvas.Stroke = {"color": canvas.BLACK, "linewidth": 1.6}


class Rows(NamedTuple):
    """The rows shown, as arrays."""

    whole: np.ndarray  # (N, *shape)
    hole: np.ndarray  # (N, *shape) bool
    filled: dict[str, np.ndarray]  # (N, *shape) by what fills the hole
    mask: np.ndarray | None  # (N, T) which steps of sequences there are

    def squared_error(self, name: str) -> np.ndarray:
        """(N,) summed over features; outside the hole there is none."""
        return ((self.filled[name] - self.whole) ** 2).reshape(len(self.whole), -1).sum(1)


@final
class Inpainting(Plot):
    """Test examples, spread over the classes: whole, with a hole, and filled by the model and by each baseline.

    Vectors and sequences of one feature are lines, one panel each; sequences of several features are left out.
    `train_rows` and `seed` are those of metric=inpainting: where the nearest neighbour is looked for.
    """

    def __init__(
        self, *, examples: Annotated[int, Interval(ge=1, le=24)] = 10, train_rows: Count = 5000, seed: Seed = 0
    ):
        self.examples = examples
        self.train_rows = train_rows
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        split = run.rows("test")
        chosen = canvas.choose_rows(run.labels("test"), self.examples, len(split))
        batch = run.learner.task(split.batch(torch.from_numpy(chosen)))
        if batch.hole is None:
            return {}
        if len(run.data.shape) == 2 and run.data.shape[1] > 1:
            log.info("plot=inpainting: left out, since the steps have %d features", run.data.shape[1])
            return {}
        pca = {} if (pca := fills.fill_by_pca(run, batch)) is None else {run.describe_pca(): pca}
        fillings = {
            "model": fills.fill_by_model(run, batch),
            **pca,
            "mean fill": fills.fill_by_mean(run, batch),
            "nearest neighbour": fills.fill_by_neighbour(run, batch, self.train_rows, self.seed),
        }
        filled = {name: to_array(rows) for name, rows in fillings.items()}
        rows = Rows(to_array(batch.targets), batch.hole.cpu().numpy(), filled, mask_array(batch))
        title = naming.heading(run, "holes in test examples, filled")
        figure = _tiles(title, rows, run.data.limits) if len(run.data.shape) == 3 else _lines(title, rows)
        return {"inpainting": figure}


def _tiles(title: str, rows: Rows, limits: tuple[float, float]) -> Figure:
    """One column an example; below each filled hole its squared error."""
    count = len(rows.whole)
    places = [0.0, 1.0, *(2.05 + 1.3 * i for i in range(len(rows.filled)))]
    cell = min(1.6, max(0.55, 8 / count))
    figure, axes = canvas.board(title, count, places[-1] + 1.3, rows.whole.shape[1:], cell=cell, beside=1.8)
    canvas.draw_tiles(axes, rows.whole[None], limits, top=0.0)
    canvas.draw_tiles(axes, mark_hole(rows.whole, rows.hole, limits)[None], limits, top=1.0)
    for top, (name, pictures) in zip(places[2:], rows.filled.items(), strict=True):
        canvas.draw_tiles(axes, pictures[None], limits, top=top)
        _outline(axes, channels.spread(np.broadcast_to(rows.hole, rows.whole.shape))[:, 0] == 1, top)
        canvas.write_numbers(axes, rows.squared_error(name), top + 0.65)
    axes.set_yticks(places, ["whole", "with hole", *rows.filled], fontsize=9)
    axes.set_xlabel(
        "number below a picture: squared error in the hole (framed), summed over its values;\n"
        "outside the hole all show the input itself; PCA was given the mean fill",
        fontsize=9,
    )
    return figure


def _outline(axes: Axes, hole: np.ndarray, top: float) -> None:
    """Frame the holes (N, H, W) of a line of tiles."""
    height, width = hole.shape[1:]
    gap = canvas.gap_between(height, width)
    unit, lines = np.array((width + gap, height + gap)), []
    for column, plane in enumerate(hole):
        padded = np.pad(plane, 1).astype(np.int8)
        edges = [[(x, y), (x + 1, y)] for y, x in np.argwhere(np.diff(padded[:, 1:-1], axis=0))]
        edges += [[(x, y), (x, y + 1)] for y, x in np.argwhere(np.diff(padded[1:-1], axis=1))]
        corner = (column - width / 2 / unit[0], top - height / 2 / unit[1])
        lines += [np.array(edge) / unit + corner for edge in edges]
    axes.add_collection(LineCollection(lines, colors=HOLE, linewidths=0.9, capstyle="projecting"), autolim=False)


def _lines(title: str, rows: Rows) -> Figure:
    """One panel an example, the hole in grey."""
    count = len(rows.whole)
    columns = min(4, count)
    lines = math.ceil(count / columns)
    figure = canvas.figure(title, max(6.0, 2.9 * columns + 0.6), 2.1 * lines + 1.1)
    panels = canvas.panels(figure, lines, columns, count, sharex=True, sharey=True)
    errors = [rows.squared_error(name) for name in list(rows.filled)[:2]]
    for i, axes in enumerate(panels):
        _panel(axes, rows, i)
        numbers = ", ".join(canvas.format_number(error[i]) for error in errors)
        axes.set_title(f"squared error {numbers}", fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.tick_params(labelsize=8, labelbottom=True)
        axes.set_xlabel(("feature" if rows.whole.ndim == 2 else "step") if i + columns >= count else "")
        axes.set_ylabel("value" if i % columns == 0 else "")
    meaning = f"the hole is grey; above a panel the error in it: {'; '.join(list(rows.filled)[:2])}"
    canvas.legend_below(figure, panels[0], 5, meaning)
    return figure


def _panel(axes: Axes, rows: Rows, i: int) -> None:
    """Row `i` and what fills its hole, over its features or steps."""
    whole, hole = rows.whole[i].reshape(-1), rows.hole[i].reshape(-1)
    places = np.arange(1, len(whole) + 1)
    for place in places[hole]:
        axes.axvspan(place - 0.5, place + 0.5, color="0.88", linewidth=0)
    dots: canvas.Stroke = {"marker": ".", "markersize": 4} if len(places) <= 32 else {}
    real = np.ones(len(places), bool) if rows.mask is None else rows.mask[i]
    axes.plot(places, np.where(real, whole, np.nan), label="whole", **WHOLE | dots)
    for name, filled in rows.filled.items():
        inside = np.where(hole, filled[i].reshape(-1), np.nan)
        axes.plot(places, inside, label=name, **dots | STYLES.get(name, PCA) | {"linewidth": 1.3})

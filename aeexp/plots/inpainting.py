"""Test examples, what a hole took from them, and what it is filled with."""

from __future__ import annotations

import logging
import math
from typing import final

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from aeexp.drawing import canvas
from aeexp.drawing.contracts import Plot
from aeexp.errors import UsageError
from aeexp.evaluation import fills
from aeexp.evaluation.run import Run
from aeexp.types import Batch

log = logging.getLogger(__name__)

HOLE = canvas.ORANGE


@final
class Inpainting(Plot):
    """Test examples, spread over the classes: whole, with a hole, and filled by the model and by each baseline.

    Vectors and sequences of one feature are lines, one panel each; sequences of several features are left out.
    `train_rows` and `seed` are those of metric=inpainting: where the nearest neighbour is looked for.
    """

    def __init__(self, *, examples: int = 10, train_rows: int = 5000, seed: int = 0):
        if not 1 <= examples <= 24:
            raise UsageError(f"examples={examples}: take 1 to 24, so that they stay readable")
        if train_rows < 1:
            raise UsageError(f"train_rows={train_rows} must be at least 1")
        self.examples = examples
        self.train_rows = train_rows
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        split = run.rows("test")
        chosen = canvas.spread(run.labels("test"), self.examples, len(split))
        batch = run.learner.task(split.batch(torch.from_numpy(chosen)))
        if batch.hole is None:
            return {}
        if len(run.data.shape) == 2 and run.data.shape[1] > 1:
            log.info("plot=inpainting: left out, since the steps have %d features", run.data.shape[1])
            return {}
        filled = {
            "model": fills.fill_by_model(run, batch),
            "PCA, same width": fills.fill_by_pca(run, batch),
            "mean fill": fills.fill_by_mean(run, batch),
            "nearest neighbour": fills.fill_by_neighbour(run, batch, self.train_rows, self.seed),
        }
        draw = _tiles if len(run.data.shape) == 3 else _lines
        title = canvas.heading(run, "holes in test examples, filled")
        return {"inpainting": draw(title, batch, filled, run.data.limits)}


def _tiles(title: str, batch: Batch, filled: dict[str, Tensor], limits: tuple[float, float]) -> Figure:
    """One column an example; below each filled hole its squared error."""
    whole, hole = _numpy(batch.target), batch.hole.cpu().numpy()
    count = len(whole)
    places = [0.0, 1.0, *(2.05 + 1.3 * i for i in range(len(filled)))]
    made, axes = canvas.board(
        title, count, places[-1] + 1.3, whole.shape[1:], cell=min(1.6, max(0.55, 8 / count)), beside=1.8
    )
    canvas.tiles(axes, whole[None], limits, top=0.0)
    canvas.tiles(axes, marked(whole, hole, limits)[None], limits, top=1.0)
    for top, picture in zip(places[2:], map(_numpy, filled.values()), strict=True):
        canvas.tiles(axes, picture[None], limits, top=top)
        _outline(axes, hole[:, 0], top)
        for column, error in enumerate(_errors(picture, whole)):
            axes.text(column - 0.04, top + 0.65, canvas.number(error), ha="center", va="center", fontsize=8)
    axes.set_yticks(places, ["whole", "with hole", *filled], fontsize=9)
    words = "number below a picture: squared error in the hole (framed), summed over its values"
    axes.set_xlabel(f"{words};\noutside the hole all show the input itself; PCA was given the mean fill", fontsize=9)
    return made


def marked(whole: np.ndarray, hole: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """(N, 3, H, W) in the data's units: grey or colour, and the hole in a colour that no grey picture has."""
    low, high = limits
    colour = low + np.array(to_rgb(HOLE)) * ((high - low) or 1.0)
    base = whole if whole.shape[1] == 3 else whole.mean(1, keepdims=True)
    return np.where(hole.any(1, keepdims=True), colour[:, None, None], base).astype(whole.dtype)


def _outline(axes: Axes, hole: np.ndarray, top: float) -> None:
    """Frame the holes (N, H, W) of a line of tiles."""
    height, width = hole.shape[1:]
    gap = max(1, round(canvas.MARGIN * min(height, width)))
    unit, lines = np.array((width + gap, height + gap)), []
    for column, plane in enumerate(hole):
        padded = np.pad(plane, 1).astype(np.int8)
        edges = [[(x, y), (x + 1, y)] for y, x in np.argwhere(np.diff(padded[:, 1:-1], axis=0))]
        edges += [[(x, y), (x, y + 1)] for y, x in np.argwhere(np.diff(padded[1:-1], axis=1))]
        corner = (column - width / 2 / unit[0], top - height / 2 / unit[1])
        lines += [np.array(edge) / unit + corner for edge in edges]
    axes.add_collection(LineCollection(lines, colors=HOLE, linewidths=0.9, capstyle="projecting"), autolim=False)


def _lines(title: str, batch: Batch, filled: dict[str, Tensor], limits: tuple[float, float]) -> Figure:
    """One panel an example, the hole in grey."""
    whole, hole = (part.flatten(1).cpu().numpy() for part in (batch.target, batch.hole))
    mask = None if batch.mask is None else batch.mask.cpu().numpy()
    columns = min(4, len(whole))
    rows = math.ceil(len(whole) / columns)
    made = canvas.figure(title, max(6.0, 2.9 * columns + 0.6), 2.1 * rows + 1.1)
    panels = made.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    styles = dict(zip(filled, (canvas.BLUE, canvas.VERMILION, canvas.GREEN, canvas.PURPLE), strict=True))
    dashes = dict(zip(filled, ("-", "--", ":", "-."), strict=True))
    places = np.arange(1, whole.shape[1] + 1)
    few = dict(marker=".", markersize=4) if len(places) <= 32 else {}
    for i, axes in enumerate(panels[: len(whole)]):
        for place in places[hole[i]]:
            axes.axvspan(place - 0.5, place + 0.5, color="0.88", linewidth=0)
        real = np.ones(len(places), bool) if mask is None else mask[i]
        axes.plot(places, np.where(real, whole[i], np.nan), color=canvas.BLACK, linewidth=1.6, label="whole", **few)
        for name, picture in filled.items():
            inside = np.where(hole[i], _numpy(picture).reshape(len(whole), -1)[i], np.nan)
            axes.plot(places, inside, color=styles[name], linestyle=dashes[name], linewidth=1.3, label=name, **few)
        errors = [_errors(_numpy(picture), _numpy(batch.target))[i] for picture in filled.values()]
        axes.set_title("squared error " + ", ".join(map(canvas.number, errors[:2])), fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.tick_params(labelsize=8, labelbottom=True)
        axes.set_xlabel(("feature" if batch.target.dim() == 2 else "step") if i + columns >= len(whole) else "")
        axes.set_ylabel("value" if i % columns == 0 else "")
    for axes in panels[len(whole) :]:
        axes.set_visible(False)
    handles = panels[0].get_legend_handles_labels()
    names = "the hole is grey; above a panel the error in it: model, PCA"
    made.legend(*handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False, title=names, title_fontsize=8)
    return made


def _errors(filled: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """(N,) summed squared error; outside the hole there is none."""
    return ((filled - whole) ** 2).reshape(len(whole), -1).sum(1)


def _numpy(x: Tensor) -> np.ndarray:
    return x.float().cpu().numpy()

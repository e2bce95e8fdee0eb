"""Test examples beside what the model and PCA make of them."""

from __future__ import annotations

import math
import textwrap
from typing import Annotated, ClassVar, NamedTuple, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from aeexp.drawing import canvas, cells, naming, tables
from aeexp.drawing.arrays import mask_array, to_array
from aeexp.drawing.cloud import is_cloud
from aeexp.drawing.contracts import Plot
from aeexp.drawing.moves import draw_reconstructions
from aeexp.drawing.sketching import draw_examples, draw_table
from aeexp.evaluation.run import Run
from aeexp.models.autoencoder import Autoencoder
from aeexp.noises import Chain
from aeexp.ranges import Seed
from aeexp.types import Batch

STYLES: tuple[canvas.Stroke, ...] = (  # input, corrupted input, output, PCA
    {"color": canvas.BLACK, "linewidth": 1.6},
    {"color": canvas.GREY, "linestyle": ":", "linewidth": 1.4},
    {"color": canvas.BLUE, "linewidth": 1.2},
    {"color": canvas.ORANGE, "linestyle": "--", "linewidth": 1.2},
)


TABLE = 4  # rows of a table that are shown


class Rows(NamedTuple):
    """The examples shown, each (N, *shape)."""

    target: np.ndarray
    corrupted: np.ndarray | None  # None: the run has no noise, and its task makes no hole
    output: np.ndarray
    pca: np.ndarray | None
    baseline: str  # what it is, or why there is none
    names: list[str]  # (N,) their classes or numbers to predict, "" where unknown
    mask: np.ndarray | None = None  # (N, T) which steps of sequences there are

    @property
    def source(self) -> str:
        """What outputs were made from, where that is not the input."""
        return "" if self.corrupted is None else "from corrupted"

    def squared_error(self, picture: np.ndarray) -> np.ndarray:
        """(N,) squared error, summed over features."""
        return ((picture - self.target) ** 2).reshape(len(picture), -1).sum(1)


@final
class Reconstructions(Plot):
    """Test examples, spread over the classes: input, corrupted input, output, error, and the comparable PCA.

    Rows of a table stand in their own units and words, 4 of them. Rows of one to three numbers are points, and lines
    lead from them to what they became. Where the run has noise, or its task makes a hole, model and PCA both get the
    corrupted input; `seed` draws the noise.
    """

    unfilmed: ClassVar = ""
    of_pictures: ClassVar = True

    def __init__(self, *, examples: Annotated[int, Interval(ge=1, le=24)] = 10, seed: Seed = 0):
        self.examples = examples
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        if is_cloud(run.data):
            return {"reconstructions": draw_reconstructions(run, self.seed)}
        rows = self.reconstruct(run)
        title = naming.heading(run, "reconstructions of the test split")
        if run.data.variables:
            return {"reconstructions": _cells(title, run, rows)}
        if canvas.are_pictures(run.data.shape):
            return {"reconstructions": _pictures(title, rows, run.data.limits)}
        return {"reconstructions": _curves(title, rows)}

    @torch.no_grad()
    def sketch(self, run: Run) -> dict[str, np.ndarray]:
        """Inputs above outputs; of a table and of lines each input beside its output."""
        batch, x, _ = self.take_rows(run)
        output = _mean_output(run.model, batch, x)
        if run.data.variables:
            shown = np.stack([to_array(batch.targets), output], 1)[: TABLE // 2]
            values = tables.in_units(run.data, torch.from_numpy(shown)).reshape(-1, output.shape[1])
            return {"reconstructions": draw_table(tables.find_columns(run), ["input", "output"] * len(shown), values)}
        rows = [canvas.cut_at_end(each, mask_array(batch)) for each in (to_array(batch.targets), output)]
        return {"reconstructions": draw_examples(rows, run.data.shape, run.data.limits)}

    def take_rows(self, run: Run) -> tuple[Batch, Tensor, np.ndarray]:
        """The rows that are shown as the task gives them, what the model sees of them, and their numbers."""
        split = run.rows("test")
        chosen = canvas.choose_rows(run.labels("test"), self.examples, len(split))
        batch = run.learner.task(split.batch(torch.from_numpy(chosen)))
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return batch, run.learner.objective.noise.corrupt(batch), chosen

    @torch.no_grad()
    def reconstruct(self, run: Run) -> Rows:
        """Test rows, and what the model and PCA make of them; the generators of others stay as they were."""
        batch, x, chosen = self.take_rows(run)
        noise = run.learner.objective.noise
        with torch.random.fork_rng():
            output = _mean_output(run.model, batch, x)
            pca = None if (baseline := run.pca()) is None else _mean_output(baseline.model, batch, x)
        noisy = bool(noise.parts) if isinstance(noise, Chain) else True
        corrupted = noisy or batch.hole is not None
        mask = mask_array(batch)
        known = naming.row_names(run, "test")
        names = [known[row] if known else "" for row in chosen]
        return Rows(
            to_array(batch.targets), to_array(x) if corrupted else None, output, pca, run.describe_pca(), names, mask
        )  # fmt: skip


def _mean_output(model: Autoencoder, batch: Batch, x: Tensor) -> np.ndarray:
    """The reconstruction from the mean code, which is the same at every call."""
    out = model(batch, x)
    picture, mask = model.decode(out.code.mean, out.context, out.code.skips), out.batch.mask
    return to_array(picture if mask is None else picture * mask.unsqueeze(-1))


def _cells(title: str, run: Run, rows: Rows) -> Figure:
    """Rows of a table: each beside what was made of it, column by column."""
    pca = textwrap.fill(rows.baseline, 12)
    parts = {"input": rows.target, "corrupted": rows.corrupted, "output": rows.output, pca: rows.pca}
    given = {name: tables.in_units(run.data, torch.from_numpy(x)) for name, x in parts.items() if x is not None}
    groups = []
    for i in range(min(len(rows.target), TABLE)):
        kind = f"{run.data.response} " if run.data.response else ""
        label = f": {kind}{rows.names[i]}" if rows.names[i] else ""
        errors = [
            f"{name}: {canvas.format_number(float(rows.squared_error(output)[i]))}"
            for name, output in (("squared error", rows.output), ("PCA", rows.pca))
            if output is not None
        ]
        heading = f"test row {i + 1}{label}\n{'; '.join(errors)}"
        groups.append(cells.Group(heading, list(given), np.stack([x[i] for x in given.values()]), given["input"][i]))
    note = f"in the data's units{f', {rows.source} input' if rows.source else ''}"
    note += f"; {rows.baseline}\n"  # or why there is none
    note += "red above the input, blue below (full at 2 standard deviations of the column)"
    return cells.draw_cells(title, note, run, groups)


class Line(NamedTuple):
    """A row of the board: one tile for each example."""

    name: str
    pictures: np.ndarray
    errors: np.ndarray | None = None  # (N,) the numbers below
    height: float = 1.0  # of a tile and what follows it
    signed: bool = False  # is an error itself


def _pictures(title: str, rows: Rows, limits: tuple[float, float]) -> Figure:
    """One column an example; below each output its squared error."""
    lines = [Line("input", rows.target)]
    if rows.corrupted is not None:
        lines.append(Line("corrupted", rows.corrupted))
    for name, output in (("output", rows.output), (textwrap.fill(rows.baseline, 18), rows.pca)):
        if output is not None:
            lines.append(Line(f"{name}\n{rows.source}".rstrip(), output, rows.squared_error(output), 1.3))
            lines.append(Line("its error", _difference(rows, output), height=1.12, signed=True))
    places = np.cumsum([0.0, *(line.height for line in lines)])
    count = len(rows.target)
    cell = min(1.6, max(0.55, 8 / count))
    figure, axes = canvas.board(title, count, places[-1], rows.target.shape[1:], cell=cell, beside=2.6)
    colour = rows.target.ndim == 4 and rows.target.shape[1] == 3
    scale = canvas.symmetric_limits(np.concatenate([line.pictures for line in lines if line.signed]))
    error_limits, cmap = ((0.0, scale[1]), "Greys") if colour else (scale, canvas.SIGNED)
    label = "error, RMS over channels" if colour else "error: output − input"
    image = None
    for place, line in zip(places[:-1], lines, strict=True):
        pictures = canvas.cut_at_end(line.pictures, rows.mask)[None]
        if line.signed:
            image = canvas.draw_tiles(axes, pictures, error_limits, top=place, cmap=cmap)
        else:
            canvas.draw_tiles(axes, pictures, limits, top=place)
        if line.errors is not None:
            canvas.write_numbers(axes, line.errors, place + 0.65)
    axes.set_yticks(places[:-1], [line.name for line in lines], fontsize=9)
    if image is not None:
        figure.colorbar(image, ax=axes, label=label, shrink=0.6, aspect=30, pad=0.01)
    missing = f"\nPCA: {rows.baseline}" if rows.pca is None else ""
    axes.set_xlabel(f"number below a picture: squared error,\nsummed over its values{missing}", fontsize=9)
    return figure


def _difference(rows: Rows, picture: np.ndarray) -> np.ndarray:
    """Difference (N, ...); for pictures in colour its root mean square over channels (N, 1, H, W), without sign."""
    difference = picture - rows.target
    colour = difference.ndim == 4 and difference.shape[1] == 3
    return np.sqrt((difference**2).mean(1, keepdims=True)) if colour else difference


def _curves(title: str, rows: Rows) -> Figure:
    """Flat examples: one panel each, all lines over the features in it."""
    names = ("input", "corrupted", f"output {rows.source}".rstrip(), f"{rows.baseline} {rows.source}".rstrip())
    parts = (rows.target, rows.corrupted, rows.output, rows.pca)
    count, features = len(rows.target), math.prod(rows.target.shape[1:])
    columns = min(5, count)
    lines = math.ceil(count / columns)
    figure = canvas.figure(title, max(5.5, 2.3 * columns + 0.6), 2.0 * lines + 1.0)
    panels = canvas.panels(figure, lines, columns, count, sharex=True, sharey=True)
    # separate features read as steps, many as a curve
    steps: canvas.Stroke = {"drawstyle": "steps-mid", "marker": ".", "markersize": 4} if features <= 32 else {}
    for name, part, style in zip(names, parts, STYLES, strict=True):
        if part is not None:
            for axes, values in zip(panels, canvas.cut_at_end(part, rows.mask).reshape(count, -1), strict=True):
                axes.plot(np.arange(1, features + 1), values, label=name, **style | steps)
    own = list(map(canvas.format_number, rows.squared_error(rows.output)))
    pca = None if rows.pca is None else list(map(canvas.format_number, rows.squared_error(rows.pca)))
    for i, axes in enumerate(panels):
        axes.set_title(f"squared error {own[i]}" + ("" if pca is None else f"\nPCA {pca[i]}"), fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.tick_params(labelsize=8, labelbottom=True)
        feature = "feature" if rows.target.ndim == 2 else "step"
        axes.set_xlabel(feature if i + columns >= count else "", fontsize=9)
        axes.set_ylabel("value" if i % columns == 0 else "", fontsize=9)
    canvas.legend_below(figure, panels[0], 4 if columns > 3 else 2)
    return figure

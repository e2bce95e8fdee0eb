"""Test examples beside what the model and PCA make of them."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple, final

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from aeexp.drawing import canvas
from aeexp.drawing.contracts import Plot
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run


class Rows(NamedTuple):
    """The examples shown, each (N, *shape)."""

    target: np.ndarray
    corrupted: np.ndarray | None  # None: the run has no noise, and its task makes no hole
    output: np.ndarray
    pca: np.ndarray
    mask: np.ndarray | None = None  # (N, T) which steps of sequences there are

    def squared_error(self, picture: np.ndarray) -> np.ndarray:
        """(N,) squared error, summed over features."""
        return ((picture - self.target) ** 2).reshape(len(picture), -1).sum(1)


@final
class Reconstructions(Plot):
    """Test examples, spread over the classes: input, corrupted input, output, error, and PCA of equal width.

    Where the run has noise, or its task makes a hole, model and PCA both get the corrupted input; `seed` draws the
    noise.
    """

    of_pictures: ClassVar = True

    def __init__(self, *, examples: int = 10, seed: int = 0):
        if not 1 <= examples <= 24:
            raise UsageError(f"examples={examples}: take 1 to 24, so that they stay readable")
        self.examples = examples
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        rows = self.reconstruct(run)
        draw = _pictures if canvas.are_pictures(run.data.shape) else _curves
        title = canvas.heading(run, "reconstructions of the test split")
        return {"reconstructions": draw(title, rows, run.data.limits)}

    @torch.no_grad()
    def reconstruct(self, run: Run) -> Rows:
        split = run.rows("test")
        chosen = canvas.choose_rows(run.labels("test"), self.examples, len(split))
        batch = run.learner.task(split.batch(torch.from_numpy(chosen)))
        noise = run.learner.objective.noise
        noisy = len(noise.noises) > 0
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            x = noise(batch.x) if noisy else batch.x
            x = x if batch.mask is None else x * batch.mask.unsqueeze(-1)
            outputs = [_mean(model(batch, x), model) for model in (run.model, run.pca().model)]
        mask = None if batch.mask is None else batch.mask.cpu().numpy()
        return Rows(_numpy(batch.target), _numpy(x) if noisy or batch.hole is not None else None, *outputs, mask)


def _mean(out, model) -> np.ndarray:
    """The reconstruction from the mean code, which is the same at every call."""
    picture, mask = model.decode(out.code.mean, out.context, out.code.skips), out.batch.mask
    return _numpy(picture if mask is None else picture * mask.unsqueeze(-1))


def _numpy(x: Tensor) -> np.ndarray:
    return x.float().cpu().numpy()


def _pictures(title: str, rows: Rows, limits: tuple[float, float]) -> Figure:
    """One column an example; below each output its squared error."""
    source = "" if rows.corrupted is None else "\nfrom corrupted"
    shown = [("input", rows.target, None)]
    if rows.corrupted is not None:
        shown.append(("corrupted", rows.corrupted, None))
    for name, output in ((f"output{source}", rows.output), (f"PCA, same width{source}", rows.pca)):
        shown += [(name, output, rows.squared_error(output)), ("its error", _signed(rows, output), None)]
    below = {"its error": 1.12}  # a tile and what follows it: the error's number, or a little air
    places = np.cumsum([0.0] + [1.3 if error is not None else below.get(name, 1.0) for name, _, error in shown])
    count = len(rows.target)
    made, axes = canvas.board(
        title, count, places[-1], rows.target.shape[1:], cell=min(1.6, max(0.55, 8 / count)), beside=2.6
    )
    colour = rows.target.ndim == 4 and rows.target.shape[1] != 1
    scale = canvas.symmetric_limits(np.concatenate([picture for name, picture, _ in shown if name == "its error"]))
    for place, (name, picture, errors) in zip(places[:-1], shown, strict=True):
        if name == "its error":
            style = dict(limits=(0.0, scale[1]), cmap="Greys") if colour else dict(limits=scale, cmap=canvas.SIGNED)
            bar = canvas.draw_tiles(axes, canvas.cut_at_end(picture, rows.mask)[None], top=place, **style)
        else:
            canvas.draw_tiles(axes, canvas.cut_at_end(picture, rows.mask)[None], limits, top=place)
        for column, error in enumerate(() if errors is None else errors):
            axes.text(column - 0.04, place + 0.65, canvas.format_number(error), ha="center", va="center", fontsize=8)
    axes.set_yticks(places[:-1], [name for name, *_ in shown], fontsize=9)
    label = "error, RMS over channels" if colour else "error: output − input"
    made.colorbar(bar, ax=axes, label=label, shrink=0.6, aspect=30, pad=0.01)
    axes.set_xlabel("number below a picture: squared error,\nsummed over its values", fontsize=9)
    return made


def _signed(rows: Rows, picture: np.ndarray) -> np.ndarray:
    """Difference (N, ...); for pictures in colour its root mean square over channels (N, 1, H, W), without sign."""
    difference = picture - rows.target
    grey = difference.ndim == 3 or difference.shape[1] == 1
    return difference if grey else np.sqrt((difference**2).mean(1, keepdims=True))


def _curves(title: str, rows: Rows, limits: tuple[float, float]) -> Figure:
    """Flat examples: one panel each, all lines over the features in it."""
    parts = (rows.target, rows.corrupted, rows.output, rows.pca)
    flat = [None if part is None else canvas.cut_at_end(part, rows.mask).reshape(len(part), -1) for part in parts]
    source = "" if rows.corrupted is None else " from corrupted"
    columns = min(5, len(rows.target))
    lines = math.ceil(len(rows.target) / columns)
    made = canvas.figure(title, max(5.5, 2.3 * columns + 0.6), 2.0 * lines + 1.0)
    panels = made.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    styles = (
        ("input", dict(color=canvas.BLACK, linewidth=1.6)),
        ("corrupted", dict(color=canvas.GREY, linestyle=":", linewidth=1.4)),
        (f"output{source}", dict(color=canvas.BLUE, linewidth=1.2)),
        (f"PCA, same width{source}", dict(color=canvas.ORANGE, linestyle="--", linewidth=1.2)),
    )
    feature = "feature" if rows.target.ndim == 2 else "step"
    few = flat[0].shape[1] <= 32  # separate features read as steps, many as a curve
    features = np.arange(1, flat[0].shape[1] + 1)
    errors = rows.squared_error(rows.output), rows.squared_error(rows.pca)
    for i, axes in enumerate(panels[: len(rows.target)]):
        for part, (name, style) in zip(flat, styles, strict=True):
            if part is not None:
                where = dict(drawstyle="steps-mid", marker=".", markersize=4) if few else {}
                axes.plot(features, part[i], label=name, **style, **where)
        axes.set_title(f"squared error {canvas.format_number(errors[0][i])}\nPCA {canvas.format_number(errors[1][i])}", fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.tick_params(labelsize=8, labelbottom=True)
        lowest = i + columns >= len(rows.target)
        axes.set_xlabel(feature if lowest else "", fontsize=9)
        axes.set_ylabel("value" if i % columns == 0 else "", fontsize=9)
    for axes in panels[len(rows.target) :]:
        axes.set_visible(False)
    style = dict(ncols=4 if columns > 3 else 2, fontsize=8, frameon=False)
    made.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", **style)
    return made

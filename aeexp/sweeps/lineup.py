"""The runs of a sweep on the same test rows: reconstructions.png and codes.png in the sweep's folder."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from aeexp.drawing import canvas, dots
from aeexp.drawing.side_by_side import sample_grid
from aeexp.evaluation.run import Run
from aeexp.runs.folder import RunFolder
from aeexp.runs.loading import LoadedRun
from aeexp.sweeps.selection import DPI, SEED, choose_shown, read_data
from aeexp.trainers.checkpoint import load as load_checkpoint

log = logging.getLogger(__name__)

EXAMPLES = 10  # columns of each half
APART = 0.8  # tiles between reconstructions and samples
ROWS = 2000  # codes on a map
WIDE = 30  # characters of a label


class Line(NamedTuple):
    """One run: what it makes of the shown rows, and what it draws itself."""

    title: str
    error: str  # in words
    output: np.ndarray  # (EXAMPLES, *shape)
    samples: np.ndarray | None  # None where side information has no list of values


def save_lineup(root: Path, trust: Sequence[str] = ()) -> None:
    """Write what there is to compare of the finished runs below `root` that were asked for figures; of parts of
    packages in `trust` too."""
    titles, common = choose_shown(root)
    if len(titles) < 2:
        return
    figures = {"reconstructions": draw_reconstructions(titles, common, trust), "codes": draw_codes(titles, common)}
    for name, figure in figures.items():
        if figure is not None:
            canvas.save(figure, root / f"{name}.png", DPI)
            log.info("%s side by side: %s", name, root / f"{name}.png")


@torch.no_grad()
def draw_reconstructions(runs: list[tuple[str, RunFolder]], common: str, trust: Sequence[str] = ()) -> Figure | None:
    """Test rows above, below them a row for each run: its reconstructions, and samples beside them.

    None where the runs saw different data, or rows that lie beyond memory: they are read once, for all runs.
    """
    try:
        loaded = [(title, LoadedRun(run.path, "cpu", trust=trust)) for title, run in runs]
        node = loaded[0][1].config["dataset"]
        where = read_data(runs[0][1]).get("residency", "device")
        if where not in ("device", "host") or any(run.config["dataset"] != node for _, run in loaded):
            log.info("no reconstructions.png: the runs see different data, or data beyond memory")
            return None
        data = loaded[0][1].load_data()
    except (OSError, RuntimeError, ValueError) as error:
        log.warning("no reconstructions.png: %s", str(error).splitlines()[0])
        return None
    split = data.sample("test")
    labels = None if split.y is None else split.y.cpu().numpy()
    batch = split.batch(torch.from_numpy(canvas.choose_rows(labels, EXAMPLES, len(split))))
    lines = []
    for title, run in loaded:
        if not run.model.masks:  # a mask is no reconstruction
            output = run.model.likelihood.mean(Run(run.learner, data).forward(batch).output).numpy()
            lines.append(Line(title, _describe_error(run.folder), output, _draw_samples(run)))
    if len(lines) < 2:
        return None
    mask = None if batch.mask is None else batch.mask.numpy()
    lines = [line._replace(output=canvas.cut_at_end(line.output, mask)) for line in lines]
    title = f"{data.name}: test rows, what each model makes of them, and what it draws from codes of its own\n{common}"
    return _lay_out(title.rstrip(), canvas.cut_at_end(batch.x.numpy(), mask), lines, data.limits)


def _lay_out(title: str, inputs: np.ndarray, lines: list[Line], limits: tuple[float, float]) -> Figure:
    count, shape = len(inputs), inputs.shape[1:]
    columns, first = 2 * count + APART, 1.2
    cell = min(0.75, 11 / columns)
    figure, axes = canvas.board(title, columns, first + len(lines), shape, cell=cell, beside=2.4)
    canvas.draw_tiles(axes, inputs[None], limits)
    for place, line in enumerate(lines):
        canvas.draw_tiles(axes, line.output[None], limits, top=first + place)
        if line.samples is not None:
            canvas.draw_tiles(axes, line.samples[None, :count], limits, left=count + APART, top=first + place)
    labels = ["test rows", *(f"{_break(line.title)}\n{line.error}".rstrip() for line in lines)]
    axes.set_yticks([0, *(first + np.arange(len(lines)))], labels, fontsize=10)
    center = count + APART + (count - 1) / 2
    axes.text(center, 0, "samples: decoded from drawn codes", ha="center", va="center", fontsize=11)
    return figure


def _break(title: str) -> str:
    """Lines of a label; a list that is too long for one breaks behind a comma."""
    return textwrap.fill(title if len(title) <= WIDE else title.replace(",", ", "), WIDE)


def _describe_error(folder: RunFolder) -> str:
    """The error that was measured, and PCA's beside it."""
    metrics = folder.read_metrics()
    key = "reconstruction/mse"
    own, pca = metrics["test"].get(key), metrics["baseline"].get("pca", {}).get(key)
    if own is None:
        return ""
    return f"error {canvas.format_number(own)}" + ("" if pca is None else f" (PCA {canvas.format_number(pca)})")


def _draw_samples(run: LoadedRun) -> np.ndarray | None:
    """(N, *shape): of a conditional model one a label, of others the first that are drawn."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        examples = sample_grid(run.model)
    if examples is None:
        return None
    pictures = examples[0]
    return pictures[:, 0] if run.model.condition.size else pictures.reshape(-1, *pictures.shape[2:])[:EXAMPLES]


def draw_codes(runs: list[tuple[str, RunFolder]], common: str) -> Figure | None:
    """Maps of the test codes of runs that saved them (save_codes=true) and whose code has two units."""
    saved = [(title, run, arrays) for title, run in runs if (arrays := run.read_codes()) is not None]
    saved = [(title, run, arrays) for title, run, arrays in saved if arrays["codes"].shape[1] == 2]
    if len(saved) < 2:
        return None
    classes = load_checkpoint(saved[0][1].best)["data"].get("classes", [])
    columns = len(saved) if len(saved) <= 4 else -(-len(saved) // 2)
    lines = -(-len(saved) // columns)
    names = {read_data(run)["name"] for _, run, _ in saved}
    title = f"{', '.join(sorted(names))}: test codes of two units\n{common}".rstrip()
    figure = canvas.figure(title, 3.7 * columns + 1.2, 3.9 * lines + 0.7)
    boards = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, (title, _, arrays) in zip(boards, saved, strict=False):
        points = arrays["codes"][:ROWS]
        labels = arrays.get("labels", np.full(len(points), -1))[:ROWS]
        dots.draw_dots(axes, points, dots.Hue(labels, "class", True, classes))
        axes.set_aspect("equal", adjustable="datalim")
        axes.tick_params(labelsize=8)
        axes.set_title(textwrap.fill(title, 36), fontsize=12)
        axes.set(xlabel="unit 1", ylabel="unit 2")
    for axes in boards[len(saved) :]:
        axes.set_visible(False)
    dots.draw_legend(figure, boards[0], "class")
    return figure

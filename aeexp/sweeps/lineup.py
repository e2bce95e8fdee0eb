"""The runs of a sweep on the same test rows: reconstructions.png and codes.png in the sweep's folder."""

from __future__ import annotations

import json
import logging
import textwrap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from aeexp.drawing import canvas
from aeexp.drawing.side_by_side import sample_grid
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.runs.finished import Finished
from aeexp.sweeps.gallery import ASIDE, DPI, SEED, described, distinct, finished, titled
from aeexp.trainers.checkpoint import load as load_checkpoint

log = logging.getLogger(__name__)

MOST = 12  # rows, or maps
EXAMPLES = 10  # columns of each half
APART = 0.8  # tiles between reconstructions and samples
ROWS = 2000  # codes on a map


class Line(NamedTuple):
    """One run: what it makes of the shown rows, and what it draws itself."""

    title: str
    error: str  # in words
    output: np.ndarray  # (EXAMPLES, *shape)
    samples: np.ndarray | None  # None where side information has no list of values


def lineup(root: Path) -> None:
    """Write what there is to compare of the finished runs below `root` that were asked for figures."""
    runs = list(distinct(finished(root)).items())[:MOST]
    if len(runs) < 2:
        return
    shared = set.intersection(*(set(words) for words, _ in runs))
    named = [(titled(words, shared), folder) for words, folder in runs]
    common = " ".join(word for word in runs[0][0] if word in shared and not word.startswith(ASIDE))
    for name, figure in (("reconstructions", reconstructions(named, common)), ("codes", codes(named, common))):
        if figure is not None:
            canvas.save(figure, root / f"{name}.png", DPI)
            log.info("%s side by side: %s", name, root / f"{name}.png")


@torch.no_grad()
def reconstructions(named: list[tuple[str, Path]], common: str) -> Figure | None:
    """Test rows above, below them a row for each run: its reconstructions, and samples beside them.

    None where the runs saw different data, or rows that lie beyond memory: they are read once, for all runs.
    """
    try:
        loaded = [(title, Finished(folder, on="cpu")) for title, folder in named]
        node = loaded[0][1].config["dataset"]
        where = described(named[0][1]).get("residency", "device")
        if where not in ("device", "host") or any(run.config["dataset"] != node for _, run in loaded):
            log.info("no reconstructions.png: the runs see different data, or data beyond memory")
            return None
        data = loaded[0][1].data()
    except (UsageError, OSError, RuntimeError) as error:
        log.warning("no reconstructions.png: %s", str(error).splitlines()[0])
        return None
    split = data.sample("test")
    labels = None if split.y is None else split.y.cpu().numpy()
    batch = split.batch(torch.from_numpy(canvas.choose_rows(labels, EXAMPLES, len(split))))
    lines = []
    for title, run in loaded:
        if not run.model.masks:  # a mask is no reconstruction
            output = run.model.likelihood.mean(Run(run.learner, data).forward(batch).output).numpy()
            lines.append(Line(title, _error(run.folder), output, _samples(run)))
    if len(lines) < 2:
        return None
    mask = None if batch.mask is None else batch.mask.numpy()
    lines = [line._replace(output=canvas.cut_at_end(line.output, mask)) for line in lines]
    title = f"{data.name}: test rows, what each model makes of them, and what it draws from codes of its own\n{common}"
    return _board(title.rstrip(), canvas.cut_at_end(batch.x.numpy(), mask), lines, data.limits)


def _board(title: str, inputs: np.ndarray, lines: list[Line], limits: tuple[float, float]) -> Figure:
    count, shape = len(inputs), inputs.shape[1:]
    columns, first = 2 * count + APART, 1.2
    cell = min(0.75, 11 / columns)
    made, axes = canvas.board(title, columns, first + len(lines), shape, cell=cell, beside=2.4)
    canvas.draw_tiles(axes, inputs[None], limits)
    for place, line in enumerate(lines):
        canvas.draw_tiles(axes, line.output[None], limits, top=first + place)
        if line.samples is not None:
            canvas.draw_tiles(axes, line.samples[None, :count], limits, left=count + APART, top=first + place)
    labels = ["test rows", *(f"{textwrap.fill(line.title, 30)}\n{line.error}".rstrip() for line in lines)]
    axes.set_yticks([0, *(first + np.arange(len(lines)))], labels, fontsize=10)
    style = dict(ha="center", va="center", fontsize=11)
    axes.text(count + APART + (count - 1) / 2, 0, "samples: decoded from drawn codes", **style)
    return made


def _error(folder: Path) -> str:
    """The error that was measured, and PCA's beside it."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    key = "reconstruction/mse"
    own, pca = metrics["test"].get(key), metrics["baseline"].get("pca", {}).get(key)
    if own is None:
        return ""
    return f"error {canvas.format_number(own)}" + ("" if pca is None else f" (PCA {canvas.format_number(pca)})")


def _samples(run: Finished) -> np.ndarray | None:
    """(N, *shape): of a conditional model one a label, of others the first that are drawn."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        made = sample_grid(run.model)
    if made is None:
        return None
    pictures = made[0]
    return pictures[:, 0] if run.model.condition.size else pictures.reshape(-1, *pictures.shape[2:])[:EXAMPLES]


def codes(named: list[tuple[str, Path]], common: str) -> Figure | None:
    """Maps of the test codes of runs that saved them (save_codes=true) and whose code has two units."""
    found = []
    for title, folder in named:
        if (folder / "codes.npz").is_file():
            with np.load(folder / "codes.npz", allow_pickle=False) as saved:
                arrays = {key: saved[key] for key in saved}
            if arrays["codes"].shape[1] == 2:
                found.append((title, folder, arrays))
    if len(found) < 2:
        return None
    classes = load_checkpoint(found[0][1] / "checkpoints" / "best.pt")["data"].get("classes", [])
    columns = len(found) if len(found) <= 4 else -(-len(found) // 2)
    lines = -(-len(found) // columns)
    names = {described(folder)["name"] for _, folder, _ in found}
    title = f"{', '.join(sorted(names))}: test codes of two units\n{common}".rstrip()
    made = canvas.figure(title, 3.7 * columns + 1.2, 3.9 * lines + 0.7)
    boards = made.subplots(lines, columns, squeeze=False).ravel()
    for axes, (title, _, arrays) in zip(boards, found, strict=False):
        _map(axes, arrays["codes"][:ROWS], arrays.get("labels", np.zeros(0, int))[:ROWS], classes)
        axes.set_title(textwrap.fill(title, 36), fontsize=12)
        axes.set(xlabel="unit 1", ylabel="unit 2")
    for axes in boards[len(found) :]:
        axes.set_visible(False)
    handles, words = boards[0].get_legend_handles_labels()
    if words:
        legend = made.legend(handles, words, loc="outside right center", title="class", frameon=False)
        for handle in legend.legend_handles:
            handle.set_sizes([45])
    return made


def _map(axes, points: np.ndarray, labels: np.ndarray, classes: list[str]) -> None:
    """Dots by class, one unit as long as the other; grey where classes are none or too many."""
    shown = [int(label) for label in np.unique(labels) if label >= 0]
    size = float(np.clip(6000 / len(points), 9, 36))
    if not 1 <= len(shown) <= len(canvas.COLOURS):
        axes.scatter(*points.T, s=size, color=canvas.GREY, linewidths=0)
    for place, label in enumerate(shown if len(shown) <= len(canvas.COLOURS) else ()):
        name = classes[label] if label < len(classes) else str(label)
        style = dict(color=canvas.COLOURS[place], marker=canvas.MARKERS[place], label=name)
        axes.scatter(*points[labels == label].T, s=size, linewidths=0, alpha=0.85, **style)
    axes.set_aspect("equal", adjustable="datalim")
    axes.tick_params(labelsize=8)

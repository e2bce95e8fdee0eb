"""Loss and terms over the training, from the rows of history.csv."""

from __future__ import annotations

import itertools
import math
from typing import ClassVar, final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aeexp.drawing import canvas, naming
from aeexp.drawing.contracts import Plot
from aeexp.drawing.scales import make_logarithmic
from aeexp.evaluation.run import Run

OTHER = ("step", "epoch", "split", "lr", "loss")  # columns that are no term
PROBE = "probe/"  # beginning of columns that no training row has
LABELS = {"train": "training: mean of the steps since the last validation", "val": "validation"}
STYLES: dict[str, canvas.Stroke] = {
    "train": {"color": canvas.ORANGE, "linestyle": "--", "linewidth": 1.6},
    "val": {"color": canvas.BLUE, "linewidth": 1.6},
}
DIAMOND: canvas.Stroke = {
    "linestyle": "none", "marker": "D", "color": canvas.ORANGE, "markerfacecolor": "none", "markersize": 9,
    "markeredgewidth": 1.8,
}  # fmt: skip


@final
class Curves(Plot):
    """One panel for the loss and one for each term, if there are several; a line marks the lowest validation loss.

    A diamond is the training rows in the state that is kept, measured as validation rows are, where that is known: the
    curve of training has noise and states of the past in it, and may lie above.
    With trainer.probe_every_epochs the last panels are what a probe read of the validation codes.
    Stages before the last one, such as layers in pre-training, are a figure of their own with a panel for each loss.
    Nothing to draw where nothing was iterated: a closed-form solution.
    """

    unfilmed: ClassVar = "it shows every step as it is"

    def __call__(self, run: Run) -> dict[str, Figure]:
        stages = dict.fromkeys(row["split"].rpartition("/")[0] for row in run.history)
        rows = {stage: _rows(run, f"{stage}/") for stage in stages if stage}
        iterated = {stage: part for stage, part in rows.items() if min(map(len, part.values())) >= 2}
        return {**self.draw_terms(run), **({"curves_layers": _stages(run, iterated)} if iterated else {})}

    def draw_terms(self, run: Run) -> dict[str, Figure]:
        """The run itself; of several stages the last."""
        rows = _rows(run, "")
        if min(len(part) for part in rows.values()) < 2:
            return {}
        terms = [name for name in rows["val"][0] if name not in OTHER and not name.startswith(PROBE)]
        probed = group_probes(rows["val"])
        names = ["loss", *(terms if len(terms) > 1 else []), *probed]
        best = min(rows["val"], key=lambda row: row["loss"])
        columns = min(3, len(names))
        lines = math.ceil(len(names) / columns)
        content = "learning curves" if len(run.history) == len(rows["val"]) * 2 else "learning curves of fine-tuning"
        figure = canvas.figure(naming.heading(run, content), max(6.0, 3.6 * columns), 2.6 * lines + 1.1)
        panels = canvas.panels(figure, lines, columns, len(names), sharex=True)
        where = f"lowest validation loss: {best['loss']:.4g} at step {best['step']} (epoch {best['epoch']:.3g})"
        for axes, name in zip(panels, names, strict=True):
            if name in probed:
                draw_probes(axes, name, probed[name], best)
                continue
            _panel(axes, name, rows, best, where)
            trained = run.trained.get(name if name == "loss" else f"loss/{name}")
            if trained is not None and run.best_step is not None:
                axes.plot(run.best_step, trained, label="training rows, measured as validation rows are", **DIAMOND)
        canvas.legend_below(figure, panels[0], 1)
        return {"curves": figure}


def group_probes(rows: list[dict]) -> dict[str, dict[str, list[dict]]]:
    """Of each unit its columns, each with the rows that have it: accuracies, R², errors have a panel each."""
    names = dict.fromkeys(name for row in rows for name in row if name.startswith(PROBE))
    groups: dict[str, dict[str, list[dict]]] = {}
    for name in names:
        unit = {"r2": "R²", "rmse": "RMSE", "mae": "MAE"}.get(name.rpartition("_")[2], "accuracy")
        groups.setdefault(f"probe: {unit}", {})[name] = [row for row in rows if name in row]
    return groups


def draw_probes(axes: Axes, title: str, columns: dict[str, list[dict]], best: dict) -> None:
    """A line for each probe of the validation codes, named at its end."""
    for name, colour in zip(columns, itertools.cycle(canvas.LINES)):
        rows = columns[name]
        steps, values = [row["step"] for row in rows], [row[name] for row in rows]
        label = name.removeprefix(PROBE).replace("_", " ").removesuffix(" r2")
        axes.plot(steps, values, color=colour, linewidth=1.6, marker=".", label=label)
    axes.axvline(best["step"], color=canvas.VERMILION, linestyle=":", linewidth=1.2)
    axes.legend(fontsize=8)
    _finish(axes, title, "validation codes")


def _rows(run: Run, head: str) -> dict[str, list[dict]]:
    return {split: [row for row in run.history if row["split"] == head + split] for split in STYLES}


def _stages(run: Run, stages: dict[str, dict[str, list[dict]]]) -> Figure:
    columns = min(3, len(stages))
    lines = math.ceil(len(stages) / columns)
    title = naming.heading(run, "each layer in pre-training")
    figure = canvas.figure(title, max(6.0, 3.6 * columns), 2.6 * lines + 1.3)
    panels = canvas.panels(figure, lines, columns, len(stages))
    for axes, (stage, rows) in zip(panels, stages.items(), strict=True):
        best = min(rows["val"], key=lambda row: row["loss"])
        _panel(axes, "loss", rows, best, "lowest validation loss: the state that is kept")
        axes.set_title(f"{stage.replace('_', ' ')}: {best['loss']:.4g} after epoch {best['epoch']:.3g}", fontsize=10)
    canvas.legend_below(figure, panels[0], 1)
    return figure


def _panel(axes: Axes, name: str, rows: dict[str, list[dict]], best: dict, where: str) -> None:
    values = []
    for split, style in STYLES.items():
        known = [row for row in rows[split] if name in row]
        steps = [row["step"] for row in known]
        axes.plot(steps, [row[name] for row in known], label=LABELS[split], **style)
        values += [row[name] for row in known]
    axes.axvline(best["step"], color=canvas.VERMILION, linestyle=":", linewidth=1.2, label=where)
    if name in best:
        axes.plot(best["step"], best[name], "o", color=canvas.VERMILION, markersize=5)
    if min(values) > 0 and max(values) > 10 * min(values):
        make_logarithmic(axes, values)
    _finish(axes, name, "mean per example")


def _finish(axes: Axes, title: str, what: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set(xlabel="optimizer step", ylabel=what)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.tick_params(labelbottom=True)
    axes.grid(color="0.9", linewidth=0.6)
    canvas.hide_frame(axes)

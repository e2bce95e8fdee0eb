"""Loss and terms over the training, from the rows of history.csv."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aeexp.drawing import canvas
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.run import Run

OTHER = ("step", "epoch", "split", "lr", "loss")  # columns that are no term
STYLES = {
    "train": ("training: mean of the steps since the last validation", dict(color=canvas.ORANGE, linestyle="--")),
    "val": ("validation", dict(color=canvas.BLUE)),
}
SEEN = dict(
    linestyle="none", marker="D", color=canvas.ORANGE, markerfacecolor="none", markersize=9, markeredgewidth=1.8
)


@final
class Curves(Plot):
    """One panel for the loss and one for each term, if there are several; a line marks the lowest validation loss.

    A diamond is the training rows in the state that is kept, measured as validation rows are, where that is known: the
    curve of training has noise and states of the past in it, and may lie above.
    Stages before the last one, such as layers in pre-training, are a figure of their own with a panel for each loss.
    Nothing to draw where nothing was iterated: a closed-form solution.
    """

    def __call__(self, run: Run) -> dict[str, Figure]:
        stages = dict.fromkeys(row["split"].rpartition("/")[0] for row in run.history)
        rows = {stage: _rows(run, f"{stage}/") for stage in stages if stage}
        drawn = {stage: part for stage, part in rows.items() if min(map(len, part.values())) >= 2}
        return {**self.draw_terms(run), **({"curves_layers": _stages(run, drawn)} if drawn else {})}

    def draw_terms(self, run: Run) -> dict[str, Figure]:
        """The run itself; of several stages the last."""
        rows = _rows(run, "")
        if min(len(part) for part in rows.values()) < 2:
            return {}
        terms = [name for name in rows["val"][0] if name not in OTHER]
        names = ["loss", *(terms if len(terms) > 1 else [])]
        best = min(rows["val"], key=lambda row: row["loss"])
        columns = min(3, len(names))
        lines = math.ceil(len(names) / columns)
        what = "learning curves" if len(run.history) == len(rows["val"]) * 2 else "learning curves of fine-tuning"
        made = canvas.figure(canvas.heading(run, what), max(6.0, 3.6 * columns), 2.6 * lines + 1.1)
        panels = made.subplots(lines, columns, squeeze=False, sharex=True).ravel()
        where = f"lowest validation loss: {best['loss']:.4g} at step {best['step']} (epoch {best['epoch']:.3g})"
        for axes, name in zip(panels, names, strict=False):
            _panel(axes, name, rows, best, where)
            seen = run.trained.get(name if name == "loss" else f"loss/{name}")
            if seen is not None and run.best_step is not None:
                axes.plot(run.best_step, seen, label="training rows, measured as validation rows are", **SEEN)
        _legend(made, panels, len(names))
        return {"curves": made}


def _rows(run: Run, head: str) -> dict[str, list[dict]]:
    return {split: [row for row in run.history if row["split"] == head + split] for split in STYLES}


def _stages(run: Run, stages: dict[str, dict[str, list[dict]]]) -> Figure:
    columns = min(3, len(stages))
    lines = math.ceil(len(stages) / columns)
    title = canvas.heading(run, "each layer in pre-training")
    made = canvas.figure(title, max(6.0, 3.6 * columns), 2.6 * lines + 1.3)
    panels = made.subplots(lines, columns, squeeze=False).ravel()
    for axes, (stage, rows) in zip(panels, stages.items(), strict=False):
        best = min(rows["val"], key=lambda row: row["loss"])
        _panel(axes, "loss", rows, best, "lowest validation loss: the state that is kept")
        axes.set_title(f"{stage.replace('_', ' ')}: {best['loss']:.4g} after epoch {best['epoch']:.3g}", fontsize=10)
    _legend(made, panels, len(stages))
    return made


def _legend(made: Figure, panels: Sequence[Axes], used: int) -> None:
    for axes in panels[used:]:
        axes.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", fontsize=8, frameon=False)


def _panel(axes: Axes, name: str, rows: dict[str, list[dict]], best: dict, where: str) -> None:
    seen = []
    for split, (label, style) in STYLES.items():
        known = [row for row in rows[split] if name in row]
        axes.plot([row["step"] for row in known], [row[name] for row in known], label=label, linewidth=1.6, **style)
        seen += [row[name] for row in known]
    axes.axvline(best["step"], color=canvas.VERMILION, linestyle=":", linewidth=1.2, label=where)
    if name in best:
        axes.plot(best["step"], best[name], "o", color=canvas.VERMILION, markersize=5)
    if min(seen) > 0 and max(seen) > 10 * min(seen):
        axes.set_yscale("log")
    axes.set_title(name, fontsize=10)
    axes.set(xlabel="optimizer step", ylabel="mean per example")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.tick_params(labelbottom=True)
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)

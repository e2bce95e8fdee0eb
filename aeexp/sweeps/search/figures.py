"""What a search came to, in pictures: how it went on, which values mattered, what was given up for what."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from aeexp.drawing import canvas
from aeexp.sweeps.search.charts import (
    describe_counts,
    label_direction,
    label_objective,
    read_values,
    set_log_scale,
    tidy_axes,
)
from aeexp.sweeps.search.pareto import draw_pareto
from aeexp.sweeps.search.slices import draw_slices

log = logging.getLogger(__name__)

DPI = 150


def draw_figures(study: Study, objectives: Sequence[str], folder: Path) -> None:
    """Write hpo_history.png, hpo_values.png, hpo_importances.png and, for several objectives, hpo_pareto.png."""
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    figures = {"history": draw_history(study, objectives), "values": draw_slices(study, objectives)}
    if len(complete) >= 5 and all(np.ptp(read_values(complete, i)) > 0 for i in range(len(objectives))):
        figures["importances"] = draw_importances(study, objectives)
    if len(objectives) > 1:
        figures["pareto"] = draw_pareto(study, objectives)
    for name, figure in figures.items():
        canvas.save(figure, folder / f"hpo_{name}.png", DPI)
    log.info("figures of the search: %s", folder / f"hpo_{{{','.join(figures)}}}.png")


def draw_history(study: Study, objectives: Sequence[str]) -> Figure:
    """Each trial's value in order; of one objective the best so far, and what pruned runs had reached."""
    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED and trial.intermediate_values]
    before_pruning = [value for trial in pruned for value in trial.intermediate_values.values()]
    figure = canvas.figure(f"{describe_counts(study)}: objective by trial", 7.0, 1.0 + 2.7 * len(objectives))
    boards = figure.subplots(len(objectives), 1, squeeze=False, sharex=True).ravel()
    for i, (axes, name) in enumerate(zip(boards, objectives, strict=True)):
        numbers, values = [trial.number for trial in complete], read_values(complete, i)
        axes.plot(numbers, values, "o", color=canvas.BLUE, markersize=5, label="complete")
        if len(objectives) == 1:
            best = _accumulate_best(study, values)
            steps = [*numbers, trials[-1].number], [*best, best[-1]]
            axes.step(*steps, where="post", color=canvas.BLACK, label="best so far", zorder=1)
            _mark_pruned(axes, pruned)
        _mark_failed(axes, trials)
        set_log_scale(axes, [*values, *before_pruning])
        axes.set_ylabel(f"{label_objective(name)}\n{label_direction(study.directions[i])}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        tidy_axes(axes)
    boards[-1].set_xlabel("trial")
    boards[0].legend(fontsize=8, frameon=False)
    return figure


def _accumulate_best(study: Study, values: Sequence[float]) -> np.ndarray:
    lowest = study.directions[0] == StudyDirection.MINIMIZE
    return (np.minimum if lowest else np.maximum).accumulate(np.array(values))


def _mark_pruned(axes: Axes, pruned: Sequence[FrozenTrial]) -> None:
    if pruned:
        last = [trial.intermediate_values[max(trial.intermediate_values)] for trial in pruned]
        axes.plot([trial.number for trial in pruned], last, marker="x", linestyle="none", color=canvas.ORANGE,
                  label="pruned: best until then")  # fmt: skip


def _mark_failed(axes: Axes, trials: Sequence[FrozenTrial]) -> None:
    """On the lower edge: they have no value."""
    numbers = [trial.number for trial in trials if trial.state == TrialState.FAIL]
    if numbers:
        low = axes.get_ylim()[0]
        axes.plot(numbers, [low] * len(numbers), marker="^", linestyle="none", color=canvas.VERMILION, clip_on=False,
                  label="failed")  # fmt: skip


def draw_importances(study: Study, objectives: Sequence[str]) -> Figure:
    """Which share of the objective's variation each value explains: fANOVA (Hutter et al. 2014) on complete trials."""
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    searched = {name for trial in study.get_trials(deepcopy=False) for name in trial.params}
    # a value that is searched and an objective too explains itself
    indices = [i for i, name in enumerate(objectives) if name not in searched] or [0]
    objectives = [objectives[i] for i in indices]
    importances = [
        optuna.importance.get_param_importances(study, evaluator=evaluator, target=lambda trial, i=i: trial.values[i])
        for i in indices
    ]
    names = sorted(importances[0], key=importances[0].__getitem__)
    height = 1.9 + 0.32 * len(names) * len(objectives)
    objective = f" for {label_objective(objectives[0])}" if len(objectives) == 1 else ""
    figure = canvas.figure(f"{describe_counts(study)}: which values mattered{objective}", 7.0, height)
    axes = figure.add_subplot()
    thick = 0.8 / len(objectives)
    colors = canvas.LINES * len(objectives)
    for i, (name, shares, color) in enumerate(zip(objectives, importances, colors, strict=False)):
        y = np.arange(len(names)) - 0.4 + thick * (len(objectives) - i - 0.5)
        bars = axes.barh(y, [shares[n] for n in names], thick, color=color, label=label_objective(name))
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="share of the variation (fANOVA, complete trials)", xlim=(0, 1.08))
    if len(objectives) > 1:
        figure.legend(loc="outside lower center", ncols=len(objectives), fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure

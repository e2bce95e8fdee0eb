"""What a search found, in pictures: how it went on, which values mattered, what was given up for what."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from aeexp.drawing import canvas
from aeexp.sweeps.search.charts import describe_counts, label_objective, set_log_scale, set_whole_ticks, tidy_axes
from aeexp.sweeps.search.slices import draw_slices

log = logging.getLogger(__name__)

DPI = 150


def draw_figures(study: Study, objectives: Sequence[str], folder: Path) -> None:
    """Write hpo_history.png, hpo_values.png, hpo_importances.png and, for several objectives, hpo_pareto.png."""
    done = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    made = {"history": draw_history(study, objectives), "values": draw_slices(study, objectives)}
    if len(done) >= 5 and all(np.ptp([t.values[i] for t in done]) > 0 for i in range(len(objectives))):
        made["importances"] = draw_importances(study, objectives)
    if len(objectives) > 1:
        made["pareto"] = draw_pareto(study, objectives)
    for name, figure in made.items():
        canvas.save(figure, folder / f"hpo_{name}.png", DPI)
    log.info("figures of the search: %s", folder / f"hpo_{{{','.join(made)}}}.png")


def draw_history(study: Study, objectives: Sequence[str]) -> Figure:
    """Each trial's value in order; of one objective the best so far, and what pruned runs had reached."""
    trials = study.get_trials(deepcopy=False)
    made = canvas.figure(f"{describe_counts(study)}: objective by trial", 7.0, 1.0 + 2.7 * len(objectives))
    boards = made.subplots(len(objectives), 1, squeeze=False, sharex=True).ravel()
    for i, (axes, name) in enumerate(zip(boards, objectives, strict=True)):
        done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        numbers, values = [t.number for t in done], np.array([t.values[i] for t in done])
        axes.plot(numbers, values, "o", color=canvas.BLUE, markersize=5, label="complete")
        if len(objectives) == 1:
            best = accumulate_best(study, values)
            steps = [*numbers, trials[-1].number], [*best, best[-1]]
            axes.step(*steps, where="post", color=canvas.BLACK, label="best so far", zorder=1)
            cut = [
                (t.number, t.intermediate_values[max(t.intermediate_values)]) for t in trials if has_pruned_values(t)
            ]
            if cut:
                style = dict(marker="x", linestyle="none", color=canvas.ORANGE)
                axes.plot(*zip(*cut, strict=True), label="pruned: best until then", **style)
        failed = [t.number for t in trials if t.state == TrialState.FAIL]
        if failed:
            low = axes.get_ylim()[0]
            style = dict(marker="^", linestyle="none", color=canvas.VERMILION, clip_on=False)
            axes.plot(failed, [low] * len(failed), label="failed", **style)
        set_log_scale(
            axes, [*values, *(line for t in trials if has_pruned_values(t) for line in t.intermediate_values.values())]
        )
        axes.set_ylabel(f"{label_objective(name)}\n({study.directions[i].name.lower()})")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        tidy_axes(axes)
    boards[-1].set_xlabel("trial")
    boards[0].legend(fontsize=8, frameon=False)
    return made


def accumulate_best(study: Study, values: np.ndarray) -> np.ndarray:
    lowest = study.directions[0] == StudyDirection.MINIMIZE
    return (np.minimum if lowest else np.maximum).accumulate(values)


def has_pruned_values(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.PRUNED and bool(trial.intermediate_values)


def draw_importances(study: Study, objectives: Sequence[str]) -> Figure:
    """Which share of the objective's variation each value explains: fANOVA (Hutter et al. 2014) on complete trials."""
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    names = {name for trial in study.get_trials(deepcopy=False) for name in trial.params}
    # a value that is searched and an objective too explains itself
    asked = [(i, name) for i, name in enumerate(objectives) if name not in names] or [(0, objectives[0])]
    objectives = [name for _, name in asked]
    found = [
        optuna.importance.get_param_importances(study, evaluator=evaluator, target=lambda t, i=i: t.values[i])
        for i, _ in asked
    ]
    names = sorted(found[0], key=found[0].__getitem__)
    high = 0.32 * len(names) * len(objectives)
    of = f" for {label_objective(objectives[0])}" if len(objectives) == 1 else ""
    made = canvas.figure(f"{describe_counts(study)}: which values mattered{of}", 7.0, 1.9 + high)
    axes = made.add_subplot()
    thick = 0.8 / len(objectives)
    for i, (name, shares, color) in enumerate(zip(objectives, found, canvas.LINES * len(objectives), strict=False)):
        y = np.arange(len(names)) - 0.4 + thick * (len(objectives) - i - 0.5)
        bars = axes.barh(y, [shares[n] for n in names], thick, color=color, label=label_objective(name))
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="share of the variation (fANOVA, complete trials)", xlim=(0, 1.08))
    if len(objectives) > 1:
        made.legend(loc="outside lower center", ncols=len(objectives), fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return made


def draw_pareto(study: Study, objectives: Sequence[str]) -> Figure:
    """Each pair of objectives; those trials that no other beats in all are joined and named."""
    done = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    front = {trial.number for trial in study.best_trials}
    pairs = list(itertools.combinations(range(len(objectives)), 2))
    title = f"{describe_counts(study)}: what is given up for what"
    made = canvas.figure(title, max(6.5, 5.0 * len(pairs)), 4.8)
    for axes, (a, b) in zip(made.subplots(1, len(pairs), squeeze=False).ravel(), pairs, strict=True):
        rest = [trial.values for trial in done if trial.number not in front]
        best = sorted((trial for trial in done if trial.number in front), key=lambda trial: trial.values[a])
        if rest:
            axes.plot([v[a] for v in rest], [v[b] for v in rest], "o", color="0.7", markersize=5, label="beaten")
        line = "-" if len(objectives) == 2 else ""
        # what was reached between two trials is the worse one's
        steps = "steps-post" if study.directions[a] == StudyDirection.MINIMIZE else "steps-pre"
        x, y = [t.values[a] for t in best], [t.values[b] for t in best]
        drawn = dict(marker="o", linestyle=line or "none", linewidth=1, color=canvas.BLUE, drawstyle=steps)
        axes.plot(x, y, label="not beaten (trial)", **drawn)
        for trial, at_x, at_y in zip(best, x, y, strict=True):
            axes.annotate(trial.number, (at_x, at_y), xytext=(4, 4), textcoords="offset points", fontsize=8)
        for axis, i in (("x", a), ("y", b)):
            getattr(axes, f"set_{axis}label")(f"{label_objective(objectives[i])} ({study.directions[i].name.lower()})")
            set_log_scale(axes, [t.values[i] for t in done], axis)
            set_whole_ticks(axes, [t.values[i] for t in done], axis)
        tidy_axes(axes)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    made.legend(handles.values(), handles, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return made

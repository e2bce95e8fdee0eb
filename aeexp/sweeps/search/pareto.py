"""Several objectives against each other: what is given up for what."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import get_args

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from aeexp.drawing import canvas
from aeexp.sweeps.search.charts import (
    AxisName,
    describe_counts,
    label_direction,
    label_objective,
    read_values,
    set_label,
    set_log_scale,
    set_whole_ticks,
    tidy_axes,
)


def draw_pareto(study: Study, objectives: Sequence[str]) -> Figure:
    """Each pair of objectives; those trials that no other beats in all are joined and named."""
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    front = {trial.number for trial in study.best_trials}
    beaten = [trial for trial in complete if trial.number not in front]
    best = [trial for trial in complete if trial.number in front]
    pairs = list(itertools.combinations(range(len(objectives)), 2))
    title = f"{describe_counts(study)}: what is given up for what"
    figure = canvas.figure(title, max(6.5, 5.0 * len(pairs)), 4.8)
    boards = figure.subplots(1, len(pairs), squeeze=False).ravel()
    for axes, pair in zip(boards, pairs, strict=True):
        if beaten:
            x, y = (read_values(beaten, i) for i in pair)
            axes.plot(x, y, "o", color="0.7", markersize=5, label="beaten")
        _draw_front(axes, best, pair, study.directions[pair[0]], joined=len(objectives) == 2)
        for axis, i in zip(get_args(AxisName), pair, strict=True):
            set_label(axes, f"{label_objective(objectives[i])} {label_direction(study.directions[i])}", axis)
            set_log_scale(axes, read_values(complete, i), axis)
            set_whole_ticks(axes, read_values(complete, i), axis)
        tidy_axes(axes)
    handles, labels = boards[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure


def _draw_front(
    axes: Axes, best: Sequence[FrozenTrial], pair: tuple[int, int], direction: StudyDirection, joined: bool
) -> None:
    """Trials that are not beaten, with their numbers, from left to right."""
    best = sorted(best, key=lambda trial: trial.values[pair[0]])
    x, y = (read_values(best, i) for i in pair)
    # what was reached between two trials is the worse one's
    steps = "steps-post" if direction == StudyDirection.MINIMIZE else "steps-pre"
    line = "-" if joined else "none"
    axes.plot(x, y, marker="o", linestyle=line, linewidth=1, color=canvas.BLUE, drawstyle=steps,
              label="not beaten (trial)")  # fmt: skip
    for trial, at_x, at_y in zip(best, x, y, strict=True):
        axes.annotate(str(trial.number), (at_x, at_y), xytext=(4, 4), textcoords="offset points", fontsize=8)

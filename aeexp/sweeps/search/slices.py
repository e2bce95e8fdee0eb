"""The objective over each searched value."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna import Study
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from aeexp.drawing import canvas
from aeexp.sweeps.search.charts import (
    describe_counts,
    label_objective,
    read_values,
    set_log_scale,
    set_whole_ticks,
    tidy_axes,
)

COLUMNS = 3


def draw_slices(study: Study, objectives: Sequence[str]) -> Figure:
    """The first objective over each searched value; darker is later."""
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    names = list(dict.fromkeys(name for trial in complete for name in trial.params))
    columns, rows = min(COLUMNS, len(names)), -(-len(names) // COLUMNS)
    objective = label_objective(objectives[0])
    title = f"{describe_counts(study)}: {objective} over each value; darker is later, the star is the best"
    figure = canvas.figure(title, max(6.0, 3.6 * columns), 1.0 + 2.8 * rows)
    boards = figure.subplots(rows, columns, squeeze=False, sharey=True)
    lowest = study.directions[0] == StudyDirection.MINIMIZE
    best = (min if lowest else max)(complete, key=lambda trial: trial.values[0])
    for axes, name in itertools.zip_longest(boards.ravel(), names):
        if name is None:
            axes.set_visible(False)
        else:
            _draw_slice(axes, [trial for trial in complete if name in trial.params], best, name)
    for row in boards:
        row[0].set_ylabel(objective)
    return figure


def _draw_slice(axes: Axes, trials: Sequence[FrozenTrial], best: FrozenTrial, name: str) -> None:
    y = read_values(trials, 0)
    numbers = [trial.number for trial in trials]
    axes.scatter(locate(trials, name), y, s=28, c=numbers, cmap="Blues", vmin=-0.5 * len(trials), edgecolors="0.4",
                 linewidths=0.5)  # fmt: skip
    if name in best.params:
        axes.scatter(locate([best], name, trials), [best.values[0]], s=170, marker="*", color=canvas.VERMILION,
                     edgecolors="white", zorder=3)  # fmt: skip
    label_axis(axes, trials, name)
    set_log_scale(axes, y)
    tidy_axes(axes)


def locate(trials: Sequence[FrozenTrial], name: str, among: Sequence[FrozenTrial] = ()) -> list[float]:
    """Where values lie on the axis: choices by their order in the first trial `among` all that are drawn."""
    distribution = (among or trials)[0].distributions[name]
    if isinstance(distribution, CategoricalDistribution):
        return [distribution.choices.index(trial.params[name]) for trial in trials]
    return [trial.params[name] for trial in trials]


def label_axis(axes: Axes, trials: Sequence[FrozenTrial], name: str) -> None:
    """Name and ticks of a searched value: its choices, a logarithmic scale, whole numbers."""
    distribution = trials[0].distributions[name]
    if isinstance(distribution, CategoricalDistribution):
        labels = [str(choice) for choice in distribution.choices]
        crowded = sum(map(len, labels)) > 30
        angle, end = (30, "right") if crowded else (0, "center")
        axes.set_xticks(range(len(labels)), labels, fontsize=8, rotation=angle, ha=end)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    elif isinstance(distribution, IntDistribution | FloatDistribution) and distribution.log:
        set_log_scale(axes, [trial.params[name] for trial in trials], "x")
    else:
        set_whole_ticks(axes, [trial.params[name] for trial in trials], "x")
    axes.set_xlabel(name)

"""The objective over each searched value."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna import Study
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from aeexp.drawing import canvas
from aeexp.sweeps.search.charts import describe_counts, label_objective, set_log_scale, set_whole_ticks, tidy_axes

COLUMNS = 3


def draw_slices(study: Study, objectives: Sequence[str]) -> Figure:
    """The first objective over each searched value; darker is later."""
    done = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    names = list(dict.fromkeys(name for trial in done for name in trial.params))
    columns, rows = min(COLUMNS, len(names)), -(-len(names) // COLUMNS)
    title = f"{describe_counts(study)}: {label_objective(objectives[0])} over each value; darker is later, the star is the best"
    made = canvas.figure(title, max(6.0, 3.6 * columns), 1.0 + 2.8 * rows)
    boards = made.subplots(rows, columns, squeeze=False, sharey=True)
    direction = study.directions[0]
    best = (min if direction == optuna.study.StudyDirection.MINIMIZE else max)(done, key=lambda t: t.values[0])
    for axes, name in itertools.zip_longest(boards.ravel(), names):
        if name is None:
            axes.set_visible(False)
            continue
        known = [trial for trial in done if name in trial.params]
        style = dict(
            c=[t.number for t in known], cmap="Blues", vmin=-0.5 * len(known), edgecolors="0.4", linewidths=0.5
        )
        y = [t.values[0] for t in known]
        axes.scatter(locate(known, name), y, s=28, **style)
        if name in best.params:
            star = dict(marker="*", s=170, color=canvas.VERMILION, zorder=3, edgecolors="white")
            axes.scatter(locate([best], name, known), [best.values[0]], **star)
        label_axis(axes, known, name)
        set_log_scale(axes, y)
        tidy_axes(axes)
    for row in boards:
        row[0].set_ylabel(label_objective(objectives[0]))
    return made


def locate(trials: Sequence[FrozenTrial], name: str, of: Sequence[FrozenTrial] = ()) -> list[float]:
    """Where values lie on the axis: choices by their order."""
    distribution = (of or trials)[0].distributions[name]
    if isinstance(distribution, CategoricalDistribution):
        return [distribution.choices.index(trial.params[name]) for trial in trials]
    return [trial.params[name] for trial in trials]


def label_axis(axes: Axes, trials: Sequence[FrozenTrial], name: str) -> None:
    distribution = trials[0].distributions[name]
    if isinstance(distribution, CategoricalDistribution):
        crowded = sum(len(str(choice)) for choice in distribution.choices) > 30
        angle = dict(rotation=30, ha="right") if crowded else {}
        axes.set_xticks(range(len(distribution.choices)), distribution.choices, fontsize=8, **angle)
        axes.set_xlim(-0.5, len(distribution.choices) - 0.5)
    elif distribution.log:
        set_log_scale(axes, [trial.params[name] for trial in trials], "x")
    else:
        set_whole_ticks(axes, [trial.params[name] for trial in trials], "x")
    axes.set_xlabel(name)

"""What charts of a search share: title, names, scale, grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

AxisName = Literal["x", "y"]


def describe_counts(study: Study) -> str:
    """`search of 30 trials (20 complete, 10 pruned)`"""
    counts = count_trials(study)
    text = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    return f"search of {sum(counts.values())} trials ({text})"


def count_trials(study: Study) -> dict[str, int]:
    """How many trials ended in which way; those that still run are not counted."""
    states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    return {name: len(study.get_trials(deepcopy=False, states=[state])) for name, state in states.items()}


def read_values(trials: Iterable[FrozenTrial], objective: int) -> list[float]:
    """Of complete trials, the values of one objective."""
    return [trial.values[objective] for trial in trials]


def label_objective(objective: str) -> str:
    """As an axis or a title names it."""
    return "best monitored value" if objective == "best" else objective


def label_direction(direction: StudyDirection) -> str:
    """`(minimize)`, to stand behind an objective's label."""
    return f"({direction.name.lower()})"


def set_label(axes: Axes, text: str, axis: AxisName) -> None:
    """The label of one of the two axes."""
    axes.set_xlabel(text) if axis == "x" else axes.set_ylabel(text)


def set_log_scale(axes: Axes, values: Sequence[float], axis: AxisName = "y") -> None:
    """Where positive values spread over more than a factor of 5: the good ones would lie on the axis."""
    if len(values) and min(values) > 0 and max(values) > 5 * min(values):
        axes.set_xscale("log") if axis == "x" else axes.set_yscale("log")
        ruler = axes.xaxis if axis == "x" else axes.yaxis
        ruler.set_major_locator(LogLocator(subs=(1, 2, 5)))  # a decade alone has too few ticks
        ruler.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ruler.set_minor_formatter(NullFormatter())


def set_whole_ticks(axes: Axes, values: Sequence[float], axis: AxisName) -> None:
    """Whole ticks where all values are, such as widths; there is no unit and a half."""
    ruler = axes.xaxis if axis == "x" else axes.yaxis
    if ruler.get_scale() == "linear" and all(float(value).is_integer() for value in values):
        ruler.set_major_locator(MaxNLocator(integer=True))


def tidy_axes(axes: Axes) -> None:
    """A faint grid behind the values, no frame at the top and the right."""
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)

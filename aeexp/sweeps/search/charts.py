"""What charts of a search share: words, scale, grid."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from optuna import Study
from optuna.trial import TrialState


def describe_counts(study: Study) -> str:
    """Search of 30 trials (20 complete, 10 pruned)"""
    words = ", ".join(f"{number} {name}" for name, number in count_trials(study).items() if number)
    return f"search of {sum(count_trials(study).values())} trials ({words})"


def count_trials(study: Study) -> dict[str, int]:
    states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    return {name: len(study.get_trials(deepcopy=False, states=[state])) for name, state in states.items()}


def label_objective(objective: str) -> str:
    return "best monitored value" if objective == "best" else objective


def set_log_scale(axes: Axes, values: Sequence[float], axis: str = "y") -> None:
    """Where positive values spread over more than a factor of 5: the good ones would lie on the axis."""
    if len(values) and min(values) > 0 and max(values) > 5 * min(values):
        getattr(axes, f"set_{axis}scale")("log")
        ruler = getattr(axes, f"{axis}axis")
        ruler.set_major_locator(LogLocator(subs=(1, 2, 5)))  # a decade alone has too few ticks
        ruler.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ruler.set_minor_formatter(NullFormatter())


def set_whole_ticks(axes: Axes, values: Sequence[float], axis: str) -> None:
    """Whole ticks where all values are, such as widths; there is no unit and a half."""
    ruler = getattr(axes, f"{axis}axis")
    if ruler.get_scale() == "linear" and all(float(value).is_integer() for value in values):
        ruler.set_major_locator(MaxNLocator(integer=True))


def tidy_axes(axes: Axes) -> None:
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)

"""Which columns of a table a code keeps."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial
from typing import Annotated, ClassVar, NamedTuple, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from aeexp.drawing import canvas, naming, tables
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.run import Run

HEIGHT = 0.34  # inches of a column
FLOOR = -0.25  # of R², where bars end: a column that is worse says so by its number


class Score(NamedTuple):
    """How well one column comes back, by the model and by PCA: R² of a number, accuracy of categories."""

    name: str
    own: float
    pca: float | None  # None: there is no comparable PCA, as where it would make no error
    simplest: float  # of the training mean, which is about 0; of the most frequent category of the training rows


@final
class Columns(Plot):
    """How well each column of a table is reconstructed on the test split, the comparable PCA beside it.

    Of a number R², the share of its variance that the reconstruction explains: 1 is all of it, 0 as much as the mean
    does. Of categories the share of rows whose likeliest category is their own; a line marks what the most frequent
    category of the training rows gets. The worst stand on top, at most `most` of each kind. Only for data whose columns
    have names.
    """

    unfilmed: ClassVar = "its rows are sorted by error, anew at each step"

    def __init__(self, *, most: Annotated[int, Interval(ge=1, le=100)] = 30):
        self.most = most

    def __call__(self, run: Run) -> dict[str, Figure]:
        if not run.data.variables:
            return {}
        numbers, categories = score_columns(run)
        kinds = [
            (numbers, "numbers", "R²: share of the variance that is explained; 0: no better than the mean"),
            (
                categories,
                "categories",
                "rows with the right category; line: the most frequent one of the training rows",
            ),
        ]
        kinds = [(sorted(scores, key=lambda score: score.own), *words) for scores, *words in kinds if scores]
        heights = [min(len(scores), self.most) for scores, *_ in kinds]
        title = naming.heading(run, "columns of the test split, how well each is reconstructed")
        figure = canvas.figure(title, 7.5, HEIGHT * sum(heights) + 0.75 * len(kinds) + 1.0)
        panels = figure.subplots(len(kinds), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (scores, name, meaning) in zip(panels, kinds, strict=True):
            _draw_bars(axes, scores[: self.most], run.describe_pca(), accuracy=name == "categories")
            part = "" if len(scores) <= self.most else f", the worst {self.most} of {len(scores)}"
            axes.set_title(f"{name}{part}", fontsize=10)
            axes.set_xlabel(textwrap.fill(meaning, 90), fontsize=9)
        canvas.legend_below(figure, panels[0], 2)
        return {"columns": figure}


def score_columns(run: Run) -> tuple[list[Score], list[Score]]:
    """Of all columns of numbers, and of all columns of categories."""
    columns = tables.find_columns(run)
    truth = torch.cat([out.batch.targets.cpu() for out in run.passes("test")])
    x = tables.in_units(run.data, truth)
    own_output = tables.in_units(run.data, _outputs(run))
    pca = None if (baseline := run.pca()) is None else tables.in_units(run.data, _outputs(baseline))
    frequent = tables.in_units(run.data, run.rows("train").batch(slice(0, tables.ROWS)).x)
    numbers, categories = [], []
    for variable, place in zip(columns.variables, columns.places, strict=True):
        if variable.categories:
            own = x[:, place].argmax(1)
            score, most = partial(_share_right, own), float((own == frequent[:, place].mean(0).argmax()).mean())
        else:
            score, most = partial(_explain, x[:, place.start]), 0.0
        part = place if variable.categories else place.start
        scored = Score(variable.name, score(own_output[:, part]), None if pca is None else score(pca[:, part]), most)
        (categories if variable.categories else numbers).append(scored)
    return numbers, categories


def _outputs(run: Run) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat(
            [run.model.likelihood.restore(out.output, out.batch.targets).cpu() for out in run.passes("test")]
        )


def _share_right(own: np.ndarray, output: np.ndarray) -> float:
    return float((output.argmax(1) == own).mean())


def _explain(truth: np.ndarray, output: np.ndarray) -> float:
    """R²; of a column that is constant 1 where it is met, else 0, as scikit-learn has it."""
    from sklearn.metrics import r2_score

    return float(r2_score(truth, output)) if len(truth) > 1 else float("nan")


def _draw_bars(axes: Axes, scores: Sequence[Score], baseline: str, accuracy: bool) -> None:
    """Two bars a column, the model's above that of the baseline if there is one, each with its number."""
    places = np.arange(len(scores))
    lowest = 0.0 if accuracy else FLOOR
    series = [("this model", [score.own for score in scores], canvas.BLUE)]
    beside = [score.pca for score in scores if score.pca is not None]
    series += [(baseline, beside, canvas.ORANGE)] if beside else []
    for number, (name, values, colour) in enumerate(series):
        at = places - 0.2 + 0.4 * number
        axes.barh(at, np.clip(np.nan_to_num(values), lowest, 1), 0.36, color=colour, label=name)
        for y, value in zip(at, values, strict=True):
            text = f"{100 * value:.0f} %" if accuracy else canvas.format_number(value, 2)
            axes.text(max(0.0, min(value, 1.0)) + 0.01, y, text, va="center", fontsize=7)
    if accuracy:
        simplest = [score.simplest for score in scores]
        axes.vlines(simplest, places - 0.42, places + 0.42, color=canvas.BLACK, linewidth=1.4)
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set_yticks(places, [naming.shorten(score.name, 28) for score in scores], fontsize=9)
    left = 0.0 if accuracy or min(min(values) for _, values, _ in series) >= 0 else FLOOR
    axes.set(xlim=(left, 1.1), ylim=(len(scores) - 0.5, -0.5), xticks=np.linspace(0, 1, 6))
    if accuracy:
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    canvas.hide_frame(axes)

"""How many labels it takes: the accuracy of a probe over the number of labels that it was fitted on."""

from __future__ import annotations

import logging
import math
from typing import ClassVar, final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from aeexp.drawing import canvas, naming
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.classifiers import Kind
from aeexp.evaluation.probes import accuracies, name_regressor, score_labels, select_truth
from aeexp.evaluation.regressors import measure_answers, predict_responses
from aeexp.evaluation.run import Run
from aeexp.ranges import Count, Seed, Several

log = logging.getLogger(__name__)

STYLES: dict[str, canvas.Stroke] = {
    "codes": {"color": canvas.BLUE, "marker": "o", "linewidth": 1.5, "markersize": 5},
    "raw input": {"color": canvas.GREEN, "marker": "^", "linestyle": ":", "linewidth": 1.5, "markersize": 5},
    "untrained encoder": {"color": canvas.GREY, "marker": "D", "linestyle": "-.", "linewidth": 1.5, "markersize": 5},
}
PCA: canvas.Stroke = {"color": canvas.ORANGE, "marker": "s", "linestyle": "--", "linewidth": 1.5, "markersize": 5}


@final
class LabelBudget(Plot):
    """Test accuracy of one probe on codes, PCA codes, raw input and the codes before training, over label budgets.

    The last budget is all labelled training rows, at most `rows`. Bars are 95 % intervals of the mean over `draws`
    draws of the labelled rows, the same rows for every line. A model that predicts labels itself is a line across.
    Of numbers to predict it is R², and `linear` is ridge regression.
    """

    reads: ClassVar = ("codes", "truth")

    def __init__(
        self,
        *,
        classifier: Kind = "linear",
        budgets: list[Count],
        draws: Several = 5,
        rows: Count = 5000,
        seed: Seed = 0,
    ):
        self.classifier: Kind = classifier
        self.budgets = sorted(set(budgets))
        self.draws = draws
        self.rows = rows
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        numbers = run.data.has_response and not run.data.is_labelled
        if not run.data.is_labelled and not numbers:
            return {}
        if numbers and name_regressor(self.classifier) is None:
            log.info(
                "plot=label_budget left out: classifier=%s is one of classes, and labels are numbers", self.classifier
            )
            return {}
        known = len(select_truth(run, "train")[1])
        most = min(self.rows, known)
        budgets = [*(b for b in self.budgets if b < most), most]
        figure = canvas.figure(naming.heading(run, f"{'R²' if numbers else 'accuracy'} by number of labels"), 6.4, 4.4)
        axes = figure.add_subplot()
        models: dict[str, Run | None] = {"codes": run}
        if "inputs" not in run.lacks:
            models |= {run.describe_pca(): run.pca(), "raw input": run.raw(), "untrained encoder": run.random()}
        for place, (name, model) in enumerate((n, m) for n, m in models.items() if m is not None):
            scores = accuracies(model, "test", self.classifier, budgets, self.draws, self.seed)
            _line(axes, name, scores, 1.03 ** (place - 1.5))
        if (prediction := score_labels(run, "test")) is not None:
            scores, labels = prediction
            own = float((scores.argmax(1) == labels).double().mean())
            label = f"the model's own classifier, trained on {known:,} labels: {100 * own:.1f} %"
            axes.axhline(own, color=canvas.VERMILION, linewidth=1.4, label=label)
        if (answers := predict_responses(run, "test")) is not None:
            own = float(measure_answers(*answers)["r2"])
            label = f"the model's own regressor, trained on {known:,} labels: R² {own:.3g}"
            axes.axhline(own, color=canvas.VERMILION, linewidth=1.4, label=label)
        _dress(axes, budgets, self.classifier, numbers)
        canvas.legend_below(figure, axes, 2)
        return {"label_budget": figure}


def interval(values: list[float]) -> float:
    """Half the width of the 95 % interval of the mean (Student's t); 0 of a single value."""
    from scipy.stats import t

    count = len(values)
    return float(t.ppf(0.975, count - 1) * np.std(values, ddof=1) / math.sqrt(count)) if count > 1 else 0.0


def _line(axes: Axes, name: str, scores: dict[int, list[float]], aside: float) -> None:
    """Points stand a little aside of each other, so that every bar is seen."""
    means = [float(np.mean(values)) for values in scores.values()]
    bars = [interval(values) for values in scores.values()]
    places = [budget * aside for budget in scores]
    axes.errorbar(places, means, yerr=bars, label=name, capsize=3, **STYLES.get(name, PCA))


def _dress(axes: Axes, budgets: list[int], classifier: Kind, numbers: bool) -> None:
    names = {"linear": "linear probe", "knn": "nearest neighbours", "svm_linear": "linear SVM", "svm_rbf": "RBF SVM"}
    ticks = [*(b for b in budgets if 1.6 * b < budgets[-1]), budgets[-1]]  # closer ones would overlap
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{budget:,}" for budget in ticks])
    axes.set_xlabel("labelled training rows (logarithmic); bars: 95 % interval over draws of them")
    if numbers:
        axes.set_ylabel(f"R² on the test split, {'ridge' if classifier == 'linear' else names[classifier]}")
    else:
        axes.set_ylabel(f"test accuracy, {names[classifier]}")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(color="0.9", linewidth=0.6)
    canvas.hide_frame(axes)

"""What gives away a row of a class that training did not see, and what does not."""

from __future__ import annotations

from typing import Annotated, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aeexp.drawing import canvas, cells, naming, tables
from aeexp.drawing.arrays import mask_array, to_array
from aeexp.drawing.contracts import Plot
from aeexp.evaluation import outliers
from aeexp.evaluation.run import Run
from aeexp.ranges import Seed, Several

BINS = 10, 40  # at least and at most: few rows of a kind would be spikes
GROUP = 2.8  # tiles from one kind of rows to the next
STYLES: dict[str, canvas.Stroke] = {  # of the ROC curves
    "model": {"color": canvas.BLUE, "linewidth": 2.0},
    "model, −ELBO": {"color": canvas.SKY, "linewidth": 1.6},
    "isolation forest": {"color": canvas.GREEN, "linestyle": "-.", "linewidth": 1.4},
    "nearest neighbour": {"color": canvas.PURPLE, "linestyle": ":", "linewidth": 1.8},
}
PCA: canvas.Stroke = {"color": canvas.VERMILION, "linestyle": "--", "linewidth": 1.4}
TABLE = 2  # rows of a table in each group


@final
class Anomaly(Plot):
    """Histogram of the test errors of normal and abnormal rows; ROC curves; the rows that stand out, and those missed.

    `rows` and `seed` are those of metric=anomaly. Drawn under dataset.normal_classes alone, and not where the model is
    told the label.
    """

    def __init__(
        self,
        *,
        examples: Annotated[int, Interval(ge=1, le=24)] = 10,
        rows: Several = 5000,
        seed: Seed = 0,
    ):
        self.examples = examples
        self.rows = rows
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        truth = outliers.find_abnormal(run)
        labels, normal = run.labels("test"), run.data.normal
        if truth is None or labels is None or normal is None or outliers.knows_label(run):
            return {}
        scores = self.compute_scores(run)
        if not all(np.isfinite(score).all() for score in scores.values()):
            return {}
        names = [naming.class_name(run, i) for i in range(len(run.data.classes)) if i not in normal]
        listed = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        title = naming.heading(run, f"test rows of class {listed}, which training did not see")
        figure = canvas.figure(title, 9.6, 4.0)
        left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
        _histogram(left, scores["model"], truth)
        _roc(right, scores, truth)
        return {"anomaly": figure, "anomaly_rows": self.draw_extremes(run, scores["model"], truth, labels)}

    def compute_scores(self, run: Run) -> dict[str, np.ndarray]:
        """(N,) scores of the labelled test rows, by what gives them."""
        own, free = outliers.score_by_model(run), outliers.score_without_model(run, self.rows, self.seed)
        scores = {"model": own[""]} | ({"model, −ELBO": own["_elbo"]} if "_elbo" in own else {})
        if (pca := run.pca()) is not None:
            scores[run.describe_pca()] = outliers.score_by_model(pca)[""]
        return scores | {name.replace("_", " "): score for name, score in free.items()}

    @torch.no_grad()
    def draw_extremes(self, run: Run, score: np.ndarray, truth: np.ndarray, labels: np.ndarray) -> Figure:
        """Normal and abnormal rows with the largest error, and abnormal rows with the least, each above its output."""
        order = np.argsort(-score, kind="stable")
        normal, abnormal = order[~truth[order]], order[truth[order]]
        groups = {
            "abnormal,\nlargest error": abnormal[: min(self.examples, (len(abnormal) + 1) // 2)],
            "abnormal,\nleast error": abnormal[::-1][: min(self.examples, max(1, len(abnormal) // 2))],
            "normal,\nlargest error": normal[: self.examples],
        }
        if run.data.variables:
            return self.draw_table(run, groups, score, labels)
        columns = max(map(len, groups.values()))
        title = naming.heading(run, "rows by reconstruction error")
        cell = min(1.6, max(0.55, 8 / columns))
        figure, axes = canvas.board(title, columns, GROUP * len(groups) - 0.3, run.data.shape, cell=cell, beside=1.8)
        places, ticks = outliers.find_labelled(run), {}
        for number, (name, chosen) in enumerate(groups.items()):
            top, rows = GROUP * number, places[chosen]
            _rows_and_outputs(axes, run, rows, top)
            ticks |= {top: name, top + 1.0: "output"}
            for column, (error, label) in enumerate(zip(score[chosen], labels[rows], strict=True)):
                text = f"{canvas.format_number(error)}\n{naming.class_name(run, int(label))[:12]}"
                axes.text(column - 0.04, top + 1.78, text, ha="center", va="center", fontsize=8)
        axes.set_yticks(list(ticks), list(ticks.values()), fontsize=9)
        axes.set_xlabel("below a row: squared error, summed over its values, and its class", fontsize=9)
        return figure

    def draw_table(self, run: Run, extremes: dict[str, np.ndarray], score: np.ndarray, labels: np.ndarray) -> Figure:
        """Of a table the most extreme row or two of each group, beside their outputs, in words."""
        places, groups = outliers.find_labelled(run), []
        for name, chosen in extremes.items():
            for place in chosen[:TABLE]:
                row = places[place]
                out = run.forward(run.rows("test").batch(torch.tensor([row])))
                shown = torch.cat([out.batch.targets, run.model.likelihood.restore(out.output, out.batch.targets)])
                values = tables.in_units(run.data, shown)
                kind = f"{naming.class_name(run, int(labels[row]))}, error {canvas.format_number(float(score[place]))}"
                groups.append(cells.Group(f"{name}\n{kind}", ["row", "output"], values, values[0]))
        note = "in the data's units; red above the row, blue below"
        return cells.draw_cells(naming.heading(run, "rows by reconstruction error"), note, run, groups)


def _rows_and_outputs(axes: Axes, run: Run, rows: np.ndarray, top: float) -> None:
    """Test rows, and below them what the model makes of their mean codes."""
    out = run.forward(run.rows("test").batch(torch.from_numpy(rows)))
    mask = mask_array(out.batch)
    for place, examples in (
        (top, out.batch.targets),
        (top + 1.0, run.model.likelihood.restore(out.output, out.batch.targets)),
    ):
        canvas.draw_tiles(axes, canvas.cut_at_end(to_array(examples), mask)[None], run.data.limits, top=place)


def _histogram(axes: Axes, score: np.ndarray, truth: np.ndarray) -> None:
    # Few rows with a huge error would press all others into one bin.
    end = float(np.quantile(score, 0.995)) or 1.0
    count = np.clip(2 * int(np.sqrt(min(truth.sum(), (~truth).sum()))), *BINS)
    bins = np.linspace(0.0, end, count + 1).tolist()
    for kind, name, colour in ((~truth, "normal", canvas.BLUE), (truth, "abnormal", canvas.VERMILION)):
        values, count = score[kind].clip(max=end), int(kind.sum())
        weights = np.full(count, 100 / count)
        style, alpha = ("stepfilled", 0.45) if name == "normal" else ("step", 1.0)
        label = f"{name} ({count} rows)"
        axes.hist(values, bins, weights=weights, histtype=style, color=colour, alpha=alpha, linewidth=1.8, label=label)
    axes.set_xlabel(f"squared error of a row; the last bin holds all above {canvas.format_number(end)}")
    axes.set_ylabel("share of normal, of abnormal rows, %")
    axes.set(xlim=(0, end), ylim=(0, 1.22 * axes.get_ylim()[1]))  # room for the legend
    axes.legend(frameon=False, fontsize=9)
    canvas.hide_frame(axes)


def _roc(axes: Axes, scores: dict[str, np.ndarray], truth: np.ndarray) -> None:
    from sklearn.metrics import roc_auc_score, roc_curve

    axes.plot([0, 1], [0, 1], color="0.75", linewidth=1.0, label="chance: 0.5")
    for name, score in scores.items():
        false, true, _ = roc_curve(truth, score)
        axes.plot(false, true, label=f"{name}: {roc_auc_score(truth, score):.3f}", **STYLES.get(name, PCA))
    axes.set(xlabel="normal rows taken for abnormal (share)", ylabel="abnormal rows found (share)")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    corner = "lower right" if roc_auc_score(truth, scores["model"]) >= 0.5 else "upper left"
    axes.legend(title="area under the curve", loc=corner, fontsize=8, title_fontsize=8, framealpha=0.9)
    canvas.hide_frame(axes)

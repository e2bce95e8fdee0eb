"""Error and probe accuracy over the level of noise at the input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from aeexp.contracts import Noise
from aeexp.drawing import canvas, naming
from aeexp.drawing.contracts import Plot
from aeexp.errors import UsageError
from aeexp.evaluation.robustness import curve, level_in_training, pick_noise
from aeexp.evaluation.run import Run
from aeexp.ranges import NonNegative, Seed, Several

STYLES: dict[str, canvas.Stroke] = {
    "this model": {"color": canvas.BLUE, "marker": "o", "linewidth": 1.6, "markersize": 5},
    "corrupted input": {"color": canvas.GREEN, "marker": "^", "linestyle": ":", "linewidth": 1.6, "markersize": 5},
}
PCA: canvas.Stroke = {"color": canvas.ORANGE, "marker": "s", "linestyle": "--", "linewidth": 1.6, "markersize": 5}
LEVELS = {
    "gaussian": "standard deviation of Gaussian noise",
    "masking": "share of features set to 0",
    "salt_pepper": "share of features set to an end of the range",
    "block": "side of the block set to 0, as a share",
}
PANELS = {"mse": "squared error against the clean target", "linear": "linear probe that was fitted on clean codes"}


@final
class Robustness(Plot):
    """Test error and test accuracy of the model, the comparable PCA and the corrupted input, over levels of noise.

    Probes are fitted on clean training codes. The noise is an option of the group noise, as in
    noise@plot.robustness.noise=masking, at each of `levels` in place of its own. The level of this noise in training,
    where there was some, is marked.
    """

    of_pictures: ClassVar = True

    def __init__(
        self,
        *,
        noise: Mapping[str, Noise],
        levels: Sequence[NonNegative],
        rows: Several = 5000,
        seed: Seed = 0,
    ):
        self.name, self.noise = pick_noise(noise, levels)
        if len(set(levels)) < 2:
            raise UsageError(f"levels={list(levels)}: a curve needs at least 2")
        self.levels = sorted(set(levels))
        self.rows = rows
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        pca = {} if (pca := run.pca()) is None else {run.describe_pca(): pca}
        models = {"this model": run, **pca, "corrupted input": run.raw()}
        settings = (self.name, self.noise, self.levels, self.rows, self.seed)
        curves = {name: curve(model, "test", *settings) for name, model in models.items()}
        measures = [measure for measure in PANELS if all(measure in values for values in curves.values())]
        title = naming.heading(run, "robustness to noise, test split")
        figure = canvas.figure(title, 4.6 * len(measures) + 0.6, 4.3)
        panels = canvas.panels(figure, 1, len(measures), len(measures))
        for axes, measure in zip(panels, measures, strict=True):
            for name, values in curves.items():
                axes.plot(self.levels, values[measure], label=name, **STYLES.get(name, PCA))
            self.dress(axes, measure, level_in_training(run, self.noise))
        canvas.legend_below(figure, panels[0], 4)
        return {"robustness": figure}

    def dress(self, axes: Axes, measure: str, level: float | None) -> None:
        """Axes, titles, and a line at the level of this noise in training."""
        if level is not None:
            axes.axvline(level, color=canvas.VERMILION, linestyle="-.", linewidth=1.2, label=f"in training: {level:g}")
        axes.set_title(PANELS[measure], fontsize=10)
        ylabel = "sum over features, mean over rows" if measure == "mse" else "accuracy"
        axes.set(xlabel=LEVELS.get(self.name, f"level of {self.name}"), ylabel=ylabel)
        if measure == "mse":
            axes.set_ylim(bottom=0)
        else:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.grid(color="0.9", linewidth=0.6)
        canvas.hide_frame(axes)

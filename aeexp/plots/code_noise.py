"""Error and probe accuracy over how many bits of a code arrive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from aeexp.drawing import canvas, naming
from aeexp.drawing.contracts import Plot
from aeexp.errors import UsageError
from aeexp.evaluation.code_noise import measure_channel, measure_training
from aeexp.evaluation.run import Run
from aeexp.ranges import Positive, Seed, Several

OWN: canvas.Stroke = {"color": canvas.BLUE, "marker": "o", "linewidth": 1.6, "markersize": 5}
LEARNT: canvas.Stroke = {"color": canvas.SKY, "linestyle": "-.", "linewidth": 1.4}
TRAINING = "this model, training rows"
PCA: canvas.Stroke = {"color": canvas.ORANGE, "marker": "s", "linestyle": "--", "linewidth": 1.6, "markersize": 5}
PANELS = {
    "mse": "squared error of what a noisy code decodes to",
    "linear": "linear probe that was fitted on clean codes",
}


@final
class CodeNoise(Plot):
    """Test error and accuracy of a linear probe over the bits of a whole code that arrive, the comparable PCA beside.

    The horizontal axis is bits a unit times units, so that codes of unlike width compare: what a channel of that
    Gaussian noise carries at most (`metric=code_noise`). The dotted line is the error of the mean row,
    the one of dots and dashes that of the training rows.
    """

    of_pictures: ClassVar = True

    def __init__(self, *, bits: Sequence[Positive], rows: Several = 5000, seed: Seed = 0):
        if len(set(bits)) < 2:
            raise UsageError(f"bits={list(bits)}: a curve needs at least 2")
        self.bits = sorted(set(bits))
        self.rows = rows
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        models = {"this model": (run, OWN)} | (
            {} if (pca := run.pca()) is None else {run.describe_pca(): (pca, PCA)}
        )  # fmt: skip
        curves = {
            name: measure_channel(model, "test", self.bits, self.rows, self.seed) for name, (model, _) in models.items()
        }
        measures = [measure for measure in PANELS if all(measure in values for values in curves.values())]
        title = naming.heading(run, "noise on the code, test split")
        figure = canvas.figure(title, 4.6 * len(measures) + 0.6, 4.3)
        panels = canvas.panels(figure, 1, len(measures), len(measures))
        for axes, measure in zip(panels, measures, strict=True):
            for name, (model, style) in models.items():
                bits = [each * model.model.latent.dim for each in self.bits]
                axes.plot(bits, curves[name][measure], label=name, **style)
            if measure == "mse":
                known = measure_training(run, self.bits, self.rows, self.seed)
                axes.plot([each * run.model.latent.dim for each in self.bits], known, label=TRAINING, **LEARNT)
                mean = float(run.mean().errors("test").mean())
                axes.axhline(mean, color="0.4", linestyle=":", linewidth=1.2, label="the mean row")
            axes.set_title(PANELS[measure], fontsize=10)
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.set(xlabel="bits of the code that arrive", ylim=(0, None))
            if measure == "linear":
                axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            axes.grid(color="0.9", linewidth=0.6)
            canvas.hide_frame(axes)
        canvas.legend_below(figure, panels[0], 4)
        return {"code_noise": figure}

"""Error and probe accuracy over the level of noise at the input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from aeexp.contracts import Noise
from aeexp.drawing import canvas
from aeexp.drawing.contracts import Plot
from aeexp.errors import UsageError
from aeexp.evaluation.robustness import curve, level_in_training, pick_noise
from aeexp.evaluation.run import Run

STYLES = {
    "this model": dict(color=canvas.BLUE, marker="o"),
    "PCA, same width": dict(color=canvas.ORANGE, marker="s", linestyle="--"),
    "corrupted input": dict(color=canvas.GREEN, marker="^", linestyle=":"),
}
LEVELS = {
    "gaussian": "standard deviation of Gaussian noise",
    "masking": "share of features set to 0",
    "salt_pepper": "share of features set to an end of the range",
    "block": "side of the block set to 0, as a share",
}
PANELS = {"mse": "squared error against the clean target", "linear": "linear probe that was fitted on clean codes"}


@final
class Robustness(Plot):
    """Test error and test accuracy of the model, PCA of the same width and the corrupted input, over levels of noise.

    Probes are fitted on clean training codes. The noise is an option of the group noise, as in
    noise@plot.robustness.noise=masking, at each of `levels` in place of its own. The level of this noise in training,
    where there was some, is marked.
    """

    of_pictures: ClassVar = True

    def __init__(self, *, noise: Mapping[str, Noise], levels: Sequence[float], rows: int = 5000, seed: int = 0):
        self.name, self.noise = pick_noise(noise, levels)
        if len(set(levels)) < 2:
            raise UsageError(f"levels={list(levels)}: a curve needs at least 2")
        if rows < 2:
            raise UsageError(f"rows={rows} must be at least 2")
        self.levels = sorted(set(levels))
        self.rows = rows
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        models = {"this model": run, "PCA, same width": run.pca(), "corrupted input": run.raw()}
        settings = (self.name, self.noise, self.levels, self.rows, self.seed)
        curves = {name: curve(model, "test", *settings) for name, model in models.items()}
        shown = [panel for panel in PANELS if all(panel in found for found in curves.values())]
        made = canvas.figure(canvas.heading(run, "robustness to noise, test split"), 4.6 * len(shown) + 0.6, 4.3)
        boards = made.subplots(1, len(shown), squeeze=False)[0]
        for axes, panel in zip(boards, shown, strict=True):
            for name, found in curves.items():
                axes.plot(self.levels, found[panel], label=name, linewidth=1.6, markersize=5, **STYLES[name])
            self.dress(axes, panel, level_in_training(run, self.noise))
        made.legend(
            *boards[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False
        )
        return {"robustness": made}

    def dress(self, axes: Axes, panel: str, level: float | None) -> None:
        if level is not None:
            axes.axvline(level, color=canvas.VERMILION, linestyle="-.", linewidth=1.2, label=f"in training: {level:g}")
        axes.set_title(PANELS[panel], fontsize=10)
        axes.set(
            xlabel=LEVELS.get(self.name, f"level of {self.name}"),
            ylabel="sum over features, mean over rows" if panel == "mse" else "accuracy",
        )
        if panel == "mse":
            axes.set_ylim(bottom=0)
        else:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.grid(color="0.9", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)

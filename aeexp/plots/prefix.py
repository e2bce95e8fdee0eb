"""The error over how many of a code's first units are kept."""

from __future__ import annotations

from typing import Annotated, ClassVar, final

import numpy as np
from annotated_types import Interval
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from aeexp.drawing import canvas, naming
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.prefixes import measure_prefixes
from aeexp.evaluation.run import Run
from aeexp.regularizers.sparse import Matryoshka
from aeexp.tensors import count_share


@final
class Prefix(Plot):
    """Squared error of test rows from the first m units of their codes, over m, beside that of PCA's first components
    and of the training rows' mean. Lines upright: the prefixes that a matryoshka was trained on (Bussmann et al. 2025).
    """

    of_pictures: ClassVar = True

    def __init__(self, *, points: Annotated[int, Interval(ge=2, le=64)] = 14):
        self.points = points

    def __call__(self, run: Run) -> dict[str, Figure]:
        trained = [count_share(share, run.model.latent.dim) for share in find_trained(run)]
        ticks = self.choose_counts(run.model.latent.dim)
        errors = measure_prefixes(run, "test", counts := sorted({*ticks, *trained}))
        if errors is None:
            return {}
        figure = canvas.figure(naming.heading(run, "error of test rows from the first units alone"), 6.8, 4.2)
        axes = figure.add_subplot()
        axes.plot(counts, errors.mean(1), "o-", color=canvas.BLUE, markersize=4, label="this model")
        pca = run.pca()
        if pca is not None and pca.model.latent.dim > 1:
            known = self.choose_counts(pca.model.latent.dim)
            beside = measure_prefixes(pca, "test", known)
            if beside is not None:
                axes.plot(known, beside.mean(1), "s--", color=canvas.ORANGE, markersize=4, label=run.describe_pca())
        if not run.segments:
            level = float(np.mean(run.mean().errors("test")))
            axes.axhline(level, color=canvas.GREY, linestyle=":", label="the mean of the training rows")
        for number, count in enumerate(trained):
            label = "prefixes that were trained" if number == 0 else None
            axes.axvline(count, color="0.85", zorder=0, label=label)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.tick_params(axis="x", labelsize=8)
        axes.set(xlabel="first units of the code that are kept", ylabel="squared error per example", ylim=(0, None))
        axes.legend(fontsize=8, framealpha=1, edgecolor="none")  # no line of a prefix runs through its words
        canvas.hide_frame(axes)
        return {"prefix": figure}

    def choose_counts(self, dim: int) -> list[int]:
        """From 1 to all, in even steps of the logarithm."""
        return np.unique(np.geomspace(1, dim, self.points).round().astype(int)).tolist()


def find_trained(run: Run) -> list[float]:
    """Shares of the units that were to reconstruct alone in training."""
    penalties = (part for part in run.learner.objective.modules() if isinstance(part, Matryoshka))
    return [share for penalty in penalties for share in penalty.prefixes]

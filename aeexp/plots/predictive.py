"""Drawn rows beside real ones, feature by feature."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aeexp.drawing import canvas, naming
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.predictive import check_predictive
from aeexp.evaluation.run import Run
from aeexp.ranges import Seed, Several

PANELS = {"mean": "mean", "variance": "variance", "zeros": "share of zeros"}


@final
class Predictive(Plot):
    """Posterior predictive check (metric=predictive): mean, variance and share of zeros of each feature in test rows,
    and in rows that the model draws in their place. On the line they are the same.

    A dot is a feature; its bar the middle 90 % of the draws.
    """

    of_pictures: ClassVar = True

    def __init__(self, rows: Several = 1000, draws: Several = 50, seed: Seed = 0):
        self.rows = rows
        self.draws = draws
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        key = ("predictive", "test", self.rows, self.draws, self.seed)
        found = run.compute_once(key, lambda: check_predictive(run, "test", self.rows, self.draws, self.seed))
        if found is None:
            return {}
        title = naming.heading(run, f"{self.draws} rows drawn in the place of each of {len(found.covered)} test rows")
        share = canvas.format_number(float(found.covered.mean()))
        figure = canvas.figure(f"{title}\nvalues within the middle 90 % of their draws: {share}", 12, 4.6)
        for axes, (name, label) in zip(figure.subplots(1, 3), PANELS.items(), strict=True):
            draw_statistic(axes, found.real[name], found.drawn[name], label, logarithmic=name != "zeros")
        return {"predictive": figure}


def draw_statistic(axes: Axes, real: np.ndarray, drawn: np.ndarray, label: str, *, logarithmic: bool) -> None:
    """Features (F,) across, their draws (S, F) up."""
    low, middle, high = np.percentile(drawn, [5, 50, 95], axis=0)
    shown = (real > 0) & (low > 0) if logarithmic else np.ones(len(real), bool)
    if logarithmic and shown.any():
        axes.set(xscale="log", yscale="log")
    real, low, middle, high = (values[shown] for values in (real, low, middle, high))
    if len(real):
        ends = min(real.min(), low.min()), max(real.max(), high.max())
        axes.plot(ends, ends, color="0.6", linewidth=1, zorder=1)
    axes.vlines(real, low, high, color="C0", alpha=0.35, linewidth=1, zorder=2)
    axes.plot(real, middle, "o", markersize=3, color="C0", markeredgewidth=0, zorder=3)
    left_out = int((~shown).sum())
    note = f"\n{left_out} features with 0 left out" if left_out else ""
    axes.set(xlabel=f"{label} in test rows{note}", ylabel="in drawn rows", title=label)
    canvas.hide_frame(axes)

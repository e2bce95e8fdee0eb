"""How far noise at the input moves a code."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Annotated, ClassVar, final

import numpy as np
from annotated_types import Interval
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from aeexp.contracts import Noise
from aeexp.drawing import canvas, cloud, dots, naming
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.robustness import corrupt, pick_noise, set_level
from aeexp.evaluation.run import Run
from aeexp.ranges import NonNegative, Seed


@final
class Displacement(Plot):
    """Test codes in the plane, and lines to the codes of the same rows under noise; the comparable PCA beside.

    The number is the mean distance that noise moves a code, as a share of the mean distance of two codes: a code that
    resists noise (contractive, Rifai et al. 2011) or that restores what it hid (denoising) moves less than PCA's. Codes
    of more than two units are shown by the components of the clean ones. The noise is an option of the group noise, as
    in noise@plot.displacement.noise=masking, at `level` in place of its own.
    """

    unfilmed: ClassVar = "its plane is that of the codes at each step"

    def __init__(
        self,
        *,
        noise: Mapping[str, Noise],
        level: NonNegative = 0.3,
        rows: Annotated[int, Interval(ge=2, le=2000)] = 150,
        seed: Seed = 0,
    ):
        self.name, self.noise = pick_noise(noise, [level])
        self.level = level
        self.rows = rows
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        if len(run.rows("test")) < 2:
            return {}
        models = {"model": run} | ({} if (pca := run.pca()) is None else {run.describe_pca(): pca})
        hue = cloud.choose_points(run).hue
        chosen = cloud.choose_points(run).chosen[: self.rows]
        hue = hue._replace(values=hue.values[: self.rows])
        title = naming.heading(run, f"codes of test rows, and where {self.name} noise of {self.level:g} moves them")
        figure = canvas.figure(title, 5.4 * len(models) + 1.2, 5.4)
        panels, explained = canvas.panels(figure, 1, len(models), len(models)), None
        for axes, (name, model) in zip(panels, models.items(), strict=True):
            clean, moved = model.codes("test"), self.encode_corrupted(model)
            share = measure_displacement(clean, moved)
            explained = draw_moves(axes, clean[chosen], moved[chosen], clean, hue)
            axes.set_title(f"{textwrap.fill(name, 40)}\nmoved by {share:.2f} of the mean distance", fontsize=10)
        dots.draw_key(figure, panels, explained, hue)
        return {"displacement": figure}

    def encode_corrupted(self, run: Run) -> np.ndarray:
        """(N, D) mean codes of the test rows under noise, the same draws for every model."""
        key = ("corrupted", "test", self.name, float(self.level), self.seed)
        return run.compute_once(
            key, lambda: corrupt(run, "test", set_level(run, self.noise, self.level), self.seed)
        )[1]  # fmt: skip


def measure_displacement(clean: np.ndarray, moved: np.ndarray) -> float:
    """Mean distance of codes (N, D) from themselves under noise over the mean distance of two clean ones, by root mean
    squares; NaN where all clean codes are one."""
    between = 2 * clean.var(0, ddof=1).sum()  # of two drawn rows
    return float(np.sqrt(np.square(moved - clean).sum(1).mean() / between)) if between > 0 else float("nan")


def draw_moves(axes: Axes, clean: np.ndarray, moved: np.ndarray, all_codes: np.ndarray, hue: dots.Hue):
    """Points for clean codes (N, D), a line to each moved one. Returns what a colour bar explains."""
    start, end = project_codes(clean, moved, all_codes)
    axes.add_collection(LineCollection(list(np.stack([start, end], 1)), colors="0.45", linewidths=0.8))
    explained = dots.draw_dots(axes, start, hue)
    axes.set_aspect("equal", "datalim")
    axes.autoscale_view()
    own = all_codes.shape[1] <= 2
    axes.set_xlabel("unit 1" if own else "component 1 of the codes", fontsize=9)
    if all_codes.shape[1] == 1:
        axes.set_yticks([])  # there is no second one
    else:
        axes.set_ylabel("unit 2" if own else "component 2 of the codes", fontsize=9)
    canvas.hide_frame(axes)
    return explained


def project_codes(clean: np.ndarray, moved: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N, D) and where they went, (N, 2) each by the same axes: the code itself, with 0 beside a code of one
    unit, or the first two components of `of` (M, D)."""
    if of.shape[1] == 1:
        return np.concatenate([clean, 0 * clean], 1), np.concatenate([moved, 0 * moved], 1)
    if of.shape[1] == 2:
        return clean, moved
    mean = of.mean(0)
    _, axes = np.linalg.eigh(np.cov((of - mean).T.astype(np.float64)))  # the largest last
    axes = axes[:, :-3:-1] * np.sign(axes[:, :-3:-1].sum(0))
    return (clean - mean) @ axes, (moved - mean) @ axes

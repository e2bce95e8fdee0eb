"""Where a denoiser moves each point of the plane."""

from __future__ import annotations

from typing import Annotated, ClassVar, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.figure import Figure

from aeexp.drawing import canvas, naming
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.run import Run
from aeexp.noises import Gaussian
from aeexp.ranges import Count, Seed
from aeexp.types import Batch

MARGIN = 0.25  # of the data's range, beyond it on every side


@final
class ScoreField(Plot):
    """Of data with two features: arrows from x to its reconstruction r(x) over a grid, and training rows.

    Of an autoencoder that restores points from a little Gaussian noise of variance s², r(x) - x is s² times the
    gradient of log p(x), the score (Alain and Bengio 2014, theorem 1; Vincent 2011): arrows lead to where data is, and
    vanish on it. Where noise.gaussian is on, the title says its level. Left out of data with more features or fewer,
    and under a condition.
    """

    of_pictures: ClassVar = True

    def __init__(self, *, side: Annotated[int, Interval(ge=4, le=60)] = 22, rows: Count = 1000, seed: Seed = 0):
        self.side = side
        self.rows = rows
        self.seed = seed

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        if tuple(run.data.shape) != (2,) or run.model.condition.size:
            return {}
        few = run.rows("train").sample(self.rows, self.seed)
        points = torch.cat([batch.x for batch in few.batches(1024)]).cpu().numpy()
        grid = self.lay_grid(points)
        x = torch.from_numpy(grid.astype(np.float32)).to(run.device)
        out = run.forward(Batch(x, ids=torch.arange(len(x), device=run.device)))
        moves = run.model.likelihood.mean(out.output).cpu().numpy() - grid
        noise = [part for part in run.learner.objective.noise.modules() if isinstance(part, Gaussian)]
        level = f", trained under noise of {canvas.format_number(float(noise[0].std))}" if noise else ""
        title = naming.heading(run, f"where reconstruction moves each point{level}")
        figure = canvas.figure(title, 7.2, 7.0)
        axes = figure.add_subplot()
        axes.plot(*points.T, ".", markersize=3, color="0.6", zorder=1, label="training rows")
        size = np.linalg.norm(moves, axis=1)
        arrows = axes.quiver(*grid.T, *moves.T, size, angles="xy", scale_units="xy", scale=1, cmap="viridis",
                             width=0.0028, zorder=2)  # fmt: skip
        bar = figure.colorbar(arrows, ax=axes, shrink=0.8)
        bar.set_label("length of r(x) - x")
        low, high = grid.min(0), grid.max(0)
        names = [variable.name for variable in run.data.variables] or ["feature 1", "feature 2"]
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel=names[0], ylabel=names[1])
        axes.set_aspect("equal", adjustable="datalim")
        axes.legend(loc="upper right", fontsize=9)
        canvas.hide_frame(axes)
        return {"score_field": figure}

    def lay_grid(self, points: np.ndarray) -> np.ndarray:
        """(side², 2) even steps over the range of points (N, 2), and beyond it."""
        low, high = points.min(0), points.max(0)
        room = MARGIN * np.where(high > low, high - low, 1.0)
        lines = [np.linspace(a, b, self.side) for a, b in zip(low - room, high + room, strict=True)]
        return np.stack(np.meshgrid(*lines), -1).reshape(-1, 2)

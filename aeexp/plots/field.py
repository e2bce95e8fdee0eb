"""Where an autoencoder moves the points of the plane: what denoising learns."""

from __future__ import annotations

from typing import Annotated, ClassVar, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aeexp.drawing import canvas, cloud, naming
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.run import Run
from aeexp.models.autoencoder import Autoencoder
from aeexp.noises import Gaussian

BEYOND = 0.25  # of the data's extent, that the field reaches on each side


@final
class Field(Plot):
    """Arrows r(x) − x from a grid of `side` x `side` points x in the plane to their reconstructions r(x), and how long
    they are; the comparable PCA beside.

    A denoising autoencoder's arrows point to where the data are dense: for small noise of variance σ² the best
    r(x) − x is σ² ∇ log p(x), the score of the noisy density (Alain and Bengio 2014, theorem 1; Vincent 2011). Arrows
    keep their proportions and are drawn in the data's units; where noise.gaussian is on, the title says its level. Only
    for rows of two numbers and a model without side information.
    """

    unfilmed: ClassVar = ""

    def __init__(self, *, side: Annotated[int, Interval(ge=4, le=60)] = 21):
        self.side = side

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        if not cloud.is_cloud(run.data) or run.data.shape[0] != 2 or run.model.condition.size:
            return {}
        models = {"model": run.model} | ({} if (pca := run.pca()) is None else {run.describe_pca(): pca.model})
        noise = [part for part in run.learner.objective.noise.modules() if isinstance(part, Gaussian)]
        level = f", trained under noise of {canvas.format_number(float(noise[0].std))}" if noise else ""
        title = naming.heading(run, f"where reconstruction moves a point, r(x) − x{level}")
        figure = canvas.figure(title, 5.6 * len(models), 5.4)
        grid = self.lay_grid(run)
        for place, (name, model) in enumerate(models.items(), 1):
            axes = cloud.open_space(figure, 1, len(models), place, run.data)
            cloud.draw_behind(axes, run)
            self.draw_arrows(figure, axes, run, grid, move(model, grid))
            axes.set_title(name, fontsize=10)
        return {"field": figure}

    def lay_grid(self, run: Run) -> torch.Tensor:
        """(side * side, 2) points over the training rows and a little beyond, as the model sees them."""
        x = run.rows("train").batch(slice(0, cloud.BEHIND)).x
        low, high = x.amin(0), x.amax(0)
        low, high = low - BEYOND * (high - low), high + BEYOND * (high - low)
        lines = [torch.linspace(float(low[axis]), float(high[axis]), self.side) for axis in range(2)]
        return torch.stack(torch.meshgrid(*lines, indexing="xy"), -1).reshape(-1, 2).to(run.device)

    def draw_arrows(
        self, figure: Figure, axes: Axes, run: Run, grid: torch.Tensor, moves: torch.Tensor
    ) -> None:  # fmt: skip
        """Arrows in the data's units, coloured by how far they go."""
        start, end = cloud.locate(run.data, grid), cloud.locate(run.data, grid + moves)
        length = np.linalg.norm(end - start, axis=1)
        arrows = axes.quiver(
            *start.T, *(end - start).T, length, angles="xy", scale_units="xy", scale=1.0, width=0.0035, cmap="viridis"
        )  # fmt: skip
        figure.colorbar(arrows, ax=axes, label="length of r(x) − x", shrink=0.8)


def move(model: Autoencoder, x: torch.Tensor) -> torch.Tensor:
    """(N, F) r(x) − x, from mean codes."""
    return model.reconstruct(x) - x

"""Lines of equal code over the plane of the rows: what each unit says of a point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, NamedTuple, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aeexp.drawing import canvas, cloud, dots, naming
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.kernel_pca import fit_kernel_pca
from aeexp.evaluation.run import Run
from aeexp.ranges import Positive, Seed

BEYOND = 0.15  # of the rows' extent, that the plane reaches on each side
SIDE = 81  # points on each side of the plane
LEVELS = 13


class View(NamedTuple):
    """What one panel shows."""

    title: str
    values: np.ndarray  # (N,) at the points of the plane


@final
class Contours(Plot):
    """Lines along which a unit's code is the same, over the plane, by PCA, kernel PCA and the model, test rows on them.

    PCA's lines are straight; those of kernel PCA bend as the rows lie, and of its units there may be more than a row
    has numbers (Schoelkopf et al. 1998, figure 2). Red is a high code and blue a low one, white the middle of what is
    drawn. Of a code of more than `units` units the first principal components stand in their place. Only for rows of
    two numbers and a model without side information.
    """

    def __init__(
        self,
        *,
        units: Annotated[int, Interval(ge=1, le=6)] = 3,
        gammas: Sequence[Positive] = (0.03, 0.1, 0.3),
        alphas: Sequence[Positive] = (1e-4, 1e-3, 1e-2),
        rows: Annotated[int, Interval(ge=2, le=10000)] = 2000,
        seed: Seed = 0,
    ):
        self.units = units
        self.gammas = tuple(gammas)
        self.alphas = tuple(alphas)
        self.rows = rows
        self.seed = seed

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        if not cloud.is_cloud(run.data) or math.prod(run.data.shape) != 2 or run.model.condition.size:
            return {}
        models, grid, points = self.list_models(run), lay_plane(run), cloud.choose_points(run)
        seen = {name: look_along(each.codes("test"), encode(each, grid), self.units) for name, each in models.items()}
        lines, columns = len(seen), max(len(views) for views in seen.values())
        if columns == 1:
            lines, columns = 1, lines  # models beside each other
        figure = canvas.figure(naming.heading(run, "lines of equal code"), 3.3 * columns + 1.6, 3.1 * lines + 0.5)
        explained, panels = None, []
        rows = cloud.locate(run.data, cloud.take_inputs(run, "test", points.chosen))
        plane = cloud.locate(run.data, grid)
        for number, (name, views) in enumerate(seen.items()):
            for column, view in enumerate(views):
                place = number * columns + column if lines > 1 else number + column
                axes = cloud.open_space(figure, lines, columns, place + 1, run.data)
                draw_lines(axes, plane, view.values)
                explained = cloud.draw_points(axes, rows, points.hue)
                axes.set_title(f"{name}: {view.title}", fontsize=10)
                panels.append(axes)
        dots.draw_key(figure, panels, explained, points.hue)
        return {"contours": figure}

    def list_models(self, run: Run) -> dict[str, Run]:
        """PCA and kernel PCA where there are such, and the model."""
        pca = run.pca()
        kernel = fit_kernel_pca(
            run, kernel="rbf", gammas=self.gammas, alphas=self.alphas, rows=self.rows, seed=self.seed
        )
        found = {run.describe_pca(): pca, "kernel PCA": kernel, "model": run}
        return {name: model for name, model in found.items() if model is not None}


def lay_plane(run: Run) -> torch.Tensor:
    """(SIDE * SIDE, 2) points over the training rows and a little beyond, as the model sees them, line by line."""
    x = run.rows("train").batch(slice(0, cloud.BEHIND)).x
    low, high = x.amin(0), x.amax(0)
    edge = BEYOND * (high - low)
    lines = [torch.linspace(float(start), float(end), SIDE) for start, end in zip(low - edge, high + edge, strict=True)]
    return torch.stack(torch.meshgrid(*lines, indexing="xy"), -1).reshape(-1, 2).to(run.device)


def encode(run: Run, x: torch.Tensor) -> np.ndarray:
    """(N, D) mean codes of points (N, 2)."""
    return run.model.encode(x).mean.cpu().double().numpy()


def look_along(codes: np.ndarray, plane: np.ndarray, most: int) -> list[View]:
    """Each unit of codes (M, D) over the plane (N, D), those that vary most first; of more than `most` units as many
    principal components."""
    spread = codes.var(0)
    if codes.shape[1] <= most:
        return [View(f"unit {unit + 1}", plane[:, unit]) for unit in np.argsort(-spread, kind="stable")]
    mean = codes.mean(0)
    _, sizes, axes = np.linalg.svd((codes - mean).astype(np.float64), full_matrices=False)
    shares = sizes**2 / max(float((sizes**2).sum()), 1e-12)
    return [
        View(f"component {place + 1}\n({shares[place]:.1%} of the variance)", (plane - mean) @ axes[place])
        for place in range(min(most, len(axes)))
    ]


def draw_lines(axes: Axes, places: np.ndarray, code: np.ndarray) -> None:
    """Values (N,) at places (N, 2) of `lay_plane`, as colour and lines."""
    across, up, height = (values.reshape(SIDE, SIDE) for values in (*places.T, code))
    middle, reach = (code.max() + code.min()) / 2, max(float(np.ptp(code)) / 2, 1e-12)
    levels = np.linspace(middle - reach, middle + reach, LEVELS)
    axes.contourf(across, up, height, levels=levels, cmap=canvas.SIGNED, alpha=0.45, zorder=0)
    axes.contour(across, up, height, levels=levels, colors="0.35", linewidths=0.6, linestyles="solid", zorder=0)

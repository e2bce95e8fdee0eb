"""A decoder's image of its codes, among the rows: the curve or the sheet that an autoencoder has learnt."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from aeexp.drawing import canvas, cloud, dots, naming
from aeexp.drawing.plane import lay_grid
from aeexp.evaluation.run import Run

LINES = 33  # each way over a sheet
STEPS = 240  # along a curve
PAPER = (0.95, 0.75, 0.6, 0.35)  # between the lines of a sheet


@torch.no_grad()
def draw_sheet(run: Run) -> Figure:
    """The points that a code of one or two units can name, over the 1st to 99th percentile of the training codes."""
    points = cloud.choose_points(run)
    title = naming.heading(run, "what codes decode to, among test rows")
    figure = canvas.figure(title, 7.2, 5.8)
    axes = cloud.open_space(figure, 1, 1, 1, run.data)
    rows = cloud.locate(run.data, cloud.take_inputs(run, "test", points.chosen))
    if run.model.latent.dim == 1:
        cloud.draw_lines(axes, [decode_curve(run)], canvas.VERMILION, 1.6)
    else:
        draw_cells(axes, decode_cells(run))
    explained = cloud.draw_points(axes, rows, points.hue, 12.0)
    cloud.frame(axes, rows)
    dots.draw_key(figure, [axes], explained, points.hue)
    return figure


@torch.no_grad()
def decode_curve(run: Run) -> np.ndarray:
    """(S, F) what a code of one unit decodes to, in the data's units."""
    low, high = np.percentile(run.codes("train"), (1, 99), axis=0)
    return _decode(run, np.linspace(low, high, STEPS))


@torch.no_grad()
def decode_cells(run: Run) -> np.ndarray:
    """(C, 4, F) the corners of what squares of a code of two units decode to, in the data's units.

    Squares of which a corner lies where no code of the training split is are left out.
    """
    grid = lay_grid(run.codes("train"), run.codes("test"), LINES)
    side = len(grid.across)
    decoded = _decode(run, grid.codes).reshape(side, side, -1)
    corners = np.stack([decoded[:-1, :-1], decoded[:-1, 1:], decoded[1:, 1:], decoded[1:, :-1]], 2)
    outside = grid.outside
    whole = ~(outside[:-1, :-1] | outside[:-1, 1:] | outside[1:, 1:] | outside[1:, :-1])
    return corners[whole]


def draw_cells(axes: Axes, cells: np.ndarray) -> None:
    """A sheet of cells (C, 4, 1 to 3): in space it hides little of what lies behind."""
    lifted = list(cloud.lift(cells))
    if cells.shape[-1] < cloud.MOST:
        axes.add_collection(PolyCollection(lifted, facecolors=[PAPER], edgecolors=canvas.VERMILION, linewidths=0.4))
        return
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    axes.add_collection(Poly3DCollection(lifted, facecolors=[PAPER], edgecolors=canvas.VERMILION, linewidths=0.4))


def _decode(run: Run, codes: np.ndarray) -> np.ndarray:
    z = torch.from_numpy(codes.astype(np.float32)).to(run.device)
    return cloud.locate(run.data, run.model.decode(run.model.latent.project(z)))

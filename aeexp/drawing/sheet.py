"""A decoder's image of its codes, among the rows: the curve or the sheet that an autoencoder has learnt."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from aeexp.drawing import canvas, cloud, dots, naming
from aeexp.drawing.plane import lay_grid
from aeexp.evaluation.run import Run

LINES = 17  # each way over a sheet
STEPS = 60  # along a line


@torch.no_grad()
def draw_sheet(run: Run) -> Figure:
    """The points that a code of one or two units can name, over the 1st to 99th percentile of the training codes."""
    points = cloud.choose_points(run)
    title = naming.heading(run, "what codes decode to, among test rows")
    figure = canvas.figure(title, 7.2, 5.8)
    axes = cloud.open_space(figure, 1, 1, 1, run.data)
    rows = cloud.locate(run.data, cloud.take_inputs(run, "test", points.chosen))
    explained = cloud.draw_points(axes, rows, points.hue, 8.0)
    cloud.draw_lines(axes, decode_lines(run), canvas.VERMILION, 1.6 if run.model.latent.dim == 1 else 0.7)
    dots.draw_key(figure, [axes], explained, points.hue)
    return figure


@torch.no_grad()
def decode_lines(run: Run) -> list[np.ndarray]:
    """Lines (S, F) in the data's units: one of a code of one unit; of two, those that hold one unit fixed.

    Of a sheet they stop where no code of the training split is.
    """
    codes = run.codes("train")
    low, high = np.percentile(codes, (1, 99), axis=0)
    if run.model.latent.dim == 1:
        return [_decode(run, np.linspace(low, high, 4 * STEPS))]
    grid = lay_grid(codes, run.codes("test"), LINES)
    inside = ~grid.outside[::-1]  # unit 2 grows with the row
    lines = []
    for unit in range(2):
        for place, value in enumerate(np.linspace(low[unit], high[unit], LINES)):
            line = np.empty((STEPS, 2))
            line[:, unit] = value
            line[:, 1 - unit] = np.linspace(low[1 - unit], high[1 - unit], STEPS)
            there = inside[:, place] if unit == 0 else inside[place]
            kept = there[np.rint(np.linspace(0, LINES - 1, STEPS)).astype(int)]
            decoded = _decode(run, line)
            breaks = np.flatnonzero(np.diff(kept.astype(int))) + 1
            pieces = np.split(np.arange(STEPS), breaks)
            lines += [decoded[piece] for piece in pieces if kept[piece[0]] and len(piece) > 1]
    return lines


def _decode(run: Run, codes: np.ndarray) -> np.ndarray:
    z = torch.from_numpy(codes.astype(np.float32)).to(run.device)
    return cloud.locate(run.data, run.model.decode(run.model.latent.project(z)))

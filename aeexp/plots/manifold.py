"""The plane of a code with two units, decoded."""

from __future__ import annotations

from typing import Annotated, ClassVar, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.figure import Figure

from aeexp.drawing import canvas, naming, tables
from aeexp.drawing.cloud import is_cloud
from aeexp.drawing.contracts import Plot
from aeexp.drawing.plane import OUTSIDE, lay_grid, mark_outside, name_ticks
from aeexp.drawing.sheet import draw_sheet
from aeexp.evaluation.run import Run


@final
class Manifold(Plot):
    """A grid of `side` x `side` decoded codes over the 1st to 99th percentile of the training codes.

    Pale tiles beyond the line lie where no code is: none of the training split falls into their square, and the
    nearest one is farther away than the nearest one of 99 % of the test codes. What a decoder gives there is its own
    invention. Of a table each column is a map of its own, in the data's units. Only for a code of two units that fill
    the plane and a decoder without side information. Rows of one to three numbers are points: drawn is the sheet that
    the plane becomes among them, or the curve of a code of one unit.
    """

    unfilmed: ClassVar = ""
    chooses_columns: ClassVar = True
    of_pictures: ClassVar = True

    def __init__(self, *, side: Annotated[int, Interval(ge=2, le=40)] = 15):
        self.side = side

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        first = run.forward(run.rows("train").batch(slice(0, 1)))
        points = is_cloud(run.data)
        if run.model.latent.dim not in ((1, 2) if points else (2,)):
            return {}
        if run.model.latent.constrained or first.context is not None:
            return {}
        if points:
            return {"manifold": draw_sheet(run)}
        whose = self.like or run
        grid = lay_grid(whose.codes("train"), whose.codes("test"), self.side)
        z = torch.from_numpy(grid.codes).to(first.code.mean)
        decoded = torch.cat([run.model.decode(part) for part in z.split(256)]).cpu()
        when = " at the end" if self.like else ""
        title = naming.heading(run, f"decoded codes, 1st to 99th percentile of the training codes{when}")
        note = OUTSIDE if grid.outside.any() else ""
        if run.data.variables:
            return {"manifold": tables.draw_maps(title, note, run, decoded, grid.across, grid.up, grid.outside)}
        tiles = decoded.numpy().reshape(self.side, self.side, *run.data.shape)
        figure, axes = canvas.board(title, self.side, self.side, run.data.shape, cell=7 / self.side, beside=0.9)
        canvas.draw_tiles(axes, tiles, run.data.limits)
        ticks = np.arange(0, self.side, max(1, round(self.side / 5)))
        axes.set_xticks(ticks, name_ticks(grid.across[ticks]))
        axes.set_yticks(self.side - 1 - ticks, name_ticks(grid.up[ticks]))
        axes.set(xlabel="unit 1", ylabel="unit 2")
        if grid.outside.any():
            mark_outside(axes, grid.outside, (-0.5, self.side - 0.5, self.side - 0.5, -0.5))
            axes.set_xlabel(f"unit 1\n{note}", fontsize=9)
        return {"manifold": figure}

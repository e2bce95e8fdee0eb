"""The plane of a code with two units, decoded."""

from __future__ import annotations

from typing import Annotated, ClassVar, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.figure import Figure

from aeexp.drawing import canvas, naming
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.run import Run


@final
class Manifold(Plot):
    """A grid of `side` x `side` decoded codes over the 1st to 99th percentile of the training codes.

    Only for a code of two units that fill the plane and a decoder without side information.
    """

    of_pictures: ClassVar = True

    def __init__(self, *, side: Annotated[int, Interval(ge=2, le=40)] = 15):
        self.side = side

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        first = run.forward(run.rows("train").batch(slice(0, 1)))
        if run.model.latent.dim != 2 or run.model.latent.constrained or first.context is not None:
            return {}
        low, high = np.percentile(run.codes("train"), (1, 99), axis=0)
        across, up = (np.linspace(low[unit], high[unit], self.side) for unit in range(2))
        codes = np.stack(np.meshgrid(across, up[::-1]), -1).reshape(-1, 2)  # large values of unit 2 on top
        z = torch.from_numpy(codes).to(first.code.mean)
        decoded = torch.cat([run.model.decode(part) for part in z.split(256)]).cpu().numpy()
        title = naming.heading(run, "decoded codes, 1st to 99th percentile of the training codes")
        figure, axes = canvas.board(title, self.side, self.side, run.data.shape, cell=7 / self.side, beside=0.9)
        canvas.draw_tiles(axes, decoded.reshape(self.side, self.side, *run.data.shape), run.data.limits)
        ticks = np.arange(0, self.side, max(1, round(self.side / 5)))
        axes.set_xticks(ticks, [canvas.format_number(across[i]) for i in ticks])
        axes.set_yticks(self.side - 1 - ticks, [canvas.format_number(up[i]) for i in ticks])
        axes.set(xlabel="unit 1", ylabel="unit 2")
        return {"manifold": figure}

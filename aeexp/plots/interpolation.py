"""What lies between the codes of two pictures."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from aeexp.errors import require
from aeexp.evaluate import Run
from aeexp.plots import canvas


class Interpolation:
    """Straight lines of `steps` codes between `pairs` pairs of test examples, of different classes if labelled.

    The first and last column are the examples themselves. Where a latent has other codes than all vectors, the line is
    brought to the nearest ones: on the sphere it becomes an arc. Bits change sides one after the other
    (`latent.between`).
    """

    of_pictures = True

    def __init__(self, *, pairs: int = 6, steps: int = 9):
        require(1 <= pairs <= 20, f"pairs={pairs}: take 1 to 20 pairs, so that they stay readable")
        require(2 <= steps <= 20, f"steps={steps}: take 2 to 20 steps, so that they stay readable")
        self.pairs = pairs
        self.steps = steps

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        split = run.rows("test")
        chosen = canvas.spread(run.labels("test"), 2 * self.pairs, len(split))
        pairs = len(chosen) // 2
        if pairs == 0:
            return {}
        out = run.forward(split.batch(torch.from_numpy(chosen[: 2 * pairs])))
        if out.context is not None:
            return {}  # between two side informations there is no line
        start, end = out.code.mean[0::2], out.code.mean[1::2]
        weights = torch.linspace(0, 1, self.steps, device=start.device)
        step = getattr(run.model.latent, "between", torch.lerp)
        codes = torch.stack([step(start, end, weight) for weight in weights], 1)  # (P, S, D)
        codes = run.model.valid_codes(codes)
        decoded = run.model.decode(codes.flatten(0, 1)).unflatten(0, (pairs, self.steps)).cpu().numpy()
        ends = out.batch.x.unflatten(0, (pairs, 2)).cpu().numpy()
        if out.batch.mask is not None:  # what is decoded has as many steps as the longer of the two
            mask = out.batch.mask.unflatten(0, (pairs, 2)).cpu().numpy()
            ends, decoded = canvas.ended(ends, mask), canvas.ended(decoded, mask.any(1, keepdims=True))
        return {"interpolation": self.draw(run, ends, decoded)}

    def draw(self, run: Run, ends: np.ndarray, decoded: np.ndarray) -> Figure:
        """`ends` (P, 2, *shape) stand a little apart from `decoded` (P, S, *shape)."""
        apart, limits = 1.25, run.data.limits
        columns = self.steps + 2 * apart
        title = canvas.heading(run, "from one test example to another, along the line between their codes")
        made, axes = canvas.board(title, columns, len(ends), run.data.shape, cell=max(0.45, 8.5 / columns), beside=0.6)
        last = 2 * apart + self.steps - 1
        canvas.tiles(axes, ends[:, :1], limits)
        canvas.tiles(axes, decoded, limits, left=apart)
        canvas.tiles(axes, ends[:, 1:], limits, left=last)
        names = [f"{weight:.3g}" for weight in np.linspace(0, 1, self.steps)]
        places = [0, *(apart + np.arange(self.steps)), last]
        axes.set_xticks(places, ["input A", *names, "input B"], fontsize=9)
        nearest = "the code nearest to " if hasattr(run.model.latent, "project") else ""
        line = f"{nearest}(1 − t) code(A) + t code(B), for t as given"
        bits = "code(A) with the share t of the bits that differ taken from code(B)"
        axes.set_xlabel(f"decoded from {bits if hasattr(run.model.latent, 'between') else line}")
        return made

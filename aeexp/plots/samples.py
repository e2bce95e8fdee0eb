"""New examples, decoded from drawn codes."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch
from matplotlib.figure import Figure

from aeexp.conditions import Label
from aeexp.drawing import canvas
from aeexp.drawing.contracts import Plot
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.evaluation.samplers import SAMPLERS


@final
class Samples(Plot):
    """`count` decoded codes for each way of drawing them: the prior where there is one, and densities of the codes.

    Densities are fitted to the mean training codes: one Gaussian, a mixture of them, a kernel density. Under
    condition=label one row a class is drawn instead, from the prior or the Gaussian.
    """

    of_pictures: ClassVar = True

    def __init__(self, *, count: int = 16, seed: int = 0):
        if not 1 <= count <= 40:
            raise UsageError(f"count={count}: take 1 to 40, so that they stay readable")
        self.count = count
        self.seed = seed

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        conditional = run.model.condition.size > 0
        if conditional and not isinstance(run.model.condition, Label):
            return {}  # an attribute has no list of values to draw for
        names = ["prior", "gaussian"] if conditional else list(SAMPLERS)
        drawn = {name: SAMPLERS[name](run, self.count, self.seed) for name in names}
        drawn = {name: codes for name, codes in drawn.items() if codes is not None}
        if conditional:
            return {"samples": self.draw_by_class(run, *next(iter(drawn.items())))}
        shown = np.stack([self.decode(run, codes) for codes in drawn.values()])
        title = canvas.heading(run, "decoded codes that were drawn, none is a reconstruction")
        made = self.draw(run, title, shown, [WORDS[name] for name in drawn])
        return {"samples": made}

    def draw_by_class(self, run: Run, name: str, codes: np.ndarray) -> Figure:
        """The same codes under every label: a column is one handwriting."""
        eye = torch.eye(run.model.condition.size, device=run.device)
        shown = np.stack([self.decode(run, codes, row.expand(len(codes), -1)) for row in eye])
        title = canvas.heading(run, f"codes drawn from {WORDS[name]}, a column is one code under every label")
        return self.draw(run, title, shown, [canvas.class_name(run, label) for label in range(len(eye))])

    def decode(self, run: Run, codes: np.ndarray, context=None) -> np.ndarray:
        return run.model.decode(torch.from_numpy(codes).to(run.device), context).cpu().numpy()

    def draw(self, run: Run, title: str, shown: np.ndarray, names: list[str]) -> Figure:
        made, axes = canvas.board(title, self.count, len(shown), run.data.shape, cell=max(0.45, 9 / self.count))
        canvas.draw_tiles(axes, shown, run.data.limits)
        axes.set_yticks(range(len(names)), names, fontsize=9)
        return made


WORDS = {
    "prior": "the prior",
    "gaussian": "one Gaussian",
    "mixture": "a mixture\nof Gaussians",
    "kernel": "a kernel\ndensity",
}

"""Ways of drawing codes side by side, with how far their rows are from real ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.figure import Figure

from aeexp.drawing import canvas, naming
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.frechet import count_rows, measure
from aeexp.evaluation.run import Run
from aeexp.evaluation.samplers import SAMPLERS, Sampler
from aeexp.ranges import Seed, Several

ALL: Sequence[Sampler] = ("prior", "gaussian", "mixture", "kernel", "flow", "two_stage", "diffusion")


@final
class Densities(Plot):
    """Decoded codes of each density of codes, from the simplest to the most flexible, beside the Frechet distance of
    `rows` of each from as many test rows (metric=frechet).

    The prior where there is one; fitted to the training codes a Gaussian, a mixture (Ghosh et al. 2020), a kernel
    density; trained on them a flow (Dinh et al. 2017), a second VAE (Dai and Wipf 2019), a diffusion (Rombach et al.
    2022). The last two rows are what no sampler betters: reconstructions of test rows, and training rows, whose
    distance is chance. Left out under a condition, which has a code's label or attribute to choose.
    """

    of_pictures: ClassVar = True

    def __init__(
        self, *, count: Annotated[int, Interval(ge=1, le=40)] = 12, rows: Several = 1000, seed: Seed = 0,
        samplers: Sequence[Sampler] = ALL,
    ):  # fmt: skip
        self.count = count
        self.rows = rows
        self.seed = seed
        self.samplers = tuple(samplers)

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        n = count_rows(run, "test", self.rows)
        if run.model.condition.size or run.data.variables or n < 2:
            return {}
        far, _ = measure(run, "test", n, self.seed, self.samplers)
        examples, names = [], []
        for name in self.samplers:
            codes = SAMPLERS[name](run, self.count, self.seed)
            if codes is not None:
                examples.append(run.model.decode(torch.from_numpy(codes).to(run.device)).cpu().numpy())
                names.append(self.caption(naming.SOURCES[name].replace("\n", " "), far[name]))
        few = run.rows("test").sample(self.count, self.seed)
        real = next(iter(few.batches(self.count)))
        examples.append(run.model.likelihood.mean(run.forward(real).output).cpu().numpy())
        names.append(self.caption("reconstructions", far["reconstruction"]))
        train = next(iter(run.rows("train").sample(self.count, self.seed).batches(self.count)))
        examples.append(train.x.cpu().numpy())
        names.append(self.caption("training rows", far["floor"]))
        width = min(each.shape[0] for each in examples)
        title = naming.heading(run, f"codes by each density, decoded; Frechet distance of {n} from test rows")
        figure, axes = canvas.board(title, width, len(names), run.data.shape, cell=max(0.45, 9 / width), beside=3.0)
        canvas.draw_tiles(axes, np.stack([each[:width] for each in examples]), run.data.limits)
        axes.set_yticks(range(len(names)), names, fontsize=9)
        return {"densities": figure}

    def caption(self, name: str, far: float) -> str:
        """A row's name and number."""
        return f"{name}\n{canvas.format_number(far)}"

"""New examples, decoded from drawn codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.figure import Figure
from torch import Tensor

from aeexp.conditions import Label
from aeexp.drawing import canvas, cells, naming, tables
from aeexp.drawing.cloud import SHOWN, is_cloud
from aeexp.drawing.contracts import Plot
from aeexp.drawing.moves import draw_samples
from aeexp.drawing.sketching import draw_examples, draw_table
from aeexp.evaluation.run import Run
from aeexp.evaluation.samplers import QUICK, SAMPLERS, Sampler
from aeexp.ranges import Seed

TABLE, SKETCHED = 12, 4  # rows of a table that are shown, at the end and over training


@final
class Samples(Plot):
    """`count` decoded codes for each way of drawing them: the prior where there is one, and densities of the codes.

    Densities are fitted to the mean training codes: one Gaussian, a mixture of them, a kernel density; where they are
    named a flow, a second VAE, a diffusion, or a law of the tokens of a quantised code (`autoregressive`,
    metric=code_prior measures it). Under condition=label one row a class is drawn instead, from the prior or the
    Gaussian. Rows of one to three numbers are points, of which as many are drawn as show where they lie.
    """

    unfilmed: ClassVar = ""
    of_pictures: ClassVar = True

    def __init__(
        self, *, count: Annotated[int, Interval(ge=1, le=40)] = 16, seed: Seed = 0, samplers: Sequence[Sampler] = QUICK
    ):
        self.count = count
        self.seed = seed
        self.samplers = tuple(samplers)

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        conditional = run.model.condition.size > 0
        if conditional and not isinstance(run.model.condition, Label):
            return {}  # an attribute has no list of values to draw for
        names = ["prior", "gaussian"] if conditional else self.samplers
        points = is_cloud(run.data) and not conditional
        count = SHOWN if points else self.count
        draws = {name: SAMPLERS[name](run, count, self.seed) for name in names}
        codes = {name: values for name, values in draws.items() if values is not None}
        if conditional:
            return {"samples": self.draw_by_class(run, *next(iter(codes.items())))}
        if not codes:
            return {}  # of the named ways this code has none
        examples = np.stack([self.decode(run, values) for values in codes.values()])
        if points:
            return {"samples": draw_samples(run, list(examples), [naming.SOURCES[name] for name in codes])}
        title = naming.heading(run, "decoded codes that were drawn, none is a reconstruction")
        return {"samples": self.draw(run, title, examples, [naming.SOURCES[name] for name in codes])}

    @torch.no_grad()
    def sketch(self, run: Run) -> dict[str, np.ndarray]:
        """The same codes of the prior at each look, where there is one and nothing else is needed to decode them."""
        codes = None if run.model.condition.size else SAMPLERS["prior"](run, self.count, self.seed)
        if codes is None:
            return {}
        examples = self.decode(run, codes)
        if run.data.variables:
            rows = tables.in_units(run.data, torch.from_numpy(examples[:SKETCHED]))
            return {"samples": draw_table(tables.find_columns(run), [f"drawn {i + 1}" for i in range(len(rows))], rows)}
        return {"samples": draw_examples([examples], run.data.shape, run.data.limits)}

    def draw_by_class(self, run: Run, name: str, codes: np.ndarray) -> Figure:
        """The same codes under every label: a column is one handwriting."""
        eye = torch.eye(run.model.condition.size, device=run.device)
        examples = np.stack([self.decode(run, codes, row.expand(len(codes), -1)) for row in eye])
        title = naming.heading(run, f"codes drawn from {naming.SOURCES[name]}, a column is one code under every label")
        return self.draw(run, title, examples, [naming.class_name(run, label) for label in range(len(eye))])

    def decode(self, run: Run, codes: np.ndarray, context: Tensor | None = None) -> np.ndarray:
        """(N, *shape) of codes (N, D)."""
        return run.model.decode(torch.from_numpy(codes).to(run.device), context).cpu().numpy()

    def draw(self, run: Run, title: str, examples: np.ndarray, names: list[str]) -> Figure:
        """A board of examples (R, count, *shape), a name for each row."""
        if run.data.variables:
            return self.draw_cells(run, title, examples, names)
        cell = max(0.45, 9 / self.count)
        figure, axes = canvas.board(title, self.count, len(examples), run.data.shape, cell=cell)
        canvas.draw_tiles(axes, examples, run.data.limits)
        axes.set_yticks(range(len(names)), names, fontsize=9)
        return figure

    def draw_cells(self, run: Run, title: str, examples: np.ndarray, names: list[str]) -> Figure:
        """Rows of a table in words: the first few of each way of drawing them."""
        each = max(1, TABLE // len(names))
        values = tables.in_units(run.data, torch.from_numpy(examples[:TABLE, :each]))
        numbers = [str(number + 1) for number in range(values.shape[1])]
        titles = [name.replace("\n", " ") for name in names]
        groups = [cells.Group(name, numbers, rows) for name, rows in zip(titles, values, strict=False)]
        return cells.draw_cells(title, "each column is a drawn row, in the data's units", run, groups)

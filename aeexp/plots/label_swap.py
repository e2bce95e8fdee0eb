"""The same code under other side information."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from aeexp.conditions import Attribute, Label
from aeexp.drawing import canvas, naming, tables
from aeexp.drawing.arrays import attribute_tensor, mask_array
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.run import Run

TABLE = 6  # rows of a table that are shown
LETTER = 0.08  # inches of a label: names that do not stand side by side are turned


@final
class LabelSwap(Plot):
    """Test examples, one a class, encoded under their own label and decoded under every label: a row is one style.

    An encoder that is told no label encodes without. Under condition=attribute the same by the values of an attribute
    that is a number; quantities have no list of values, and an unconditional model nothing to swap. At most `examples`
    rows and `labels` columns.
    """

    unfilmed: ClassVar = ""
    chooses_columns: ClassVar = True
    of_pictures: ClassVar = True

    def __init__(
        self,
        *,
        examples: Annotated[int, Interval(ge=1, le=24)] = 10,
        labels: Annotated[int, Interval(ge=2, le=40)] = 20,
    ):
        self.examples = examples
        self.labels = labels

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        split = run.rows("test")
        own = own_values(run)
        if own is None:
            return {}
        size = min(run.model.condition.size, self.labels)
        own = np.where(own < size, own, -1)
        chosen = canvas.choose_rows(own, self.examples, len(split))
        chosen = chosen[own[chosen] >= 0]
        if len(chosen) == 0:
            return {}
        out = run.forward(split.batch(torch.from_numpy(chosen)))
        swapped = np.stack([self.decode_under(run, out.code.mean, value) for value in range(size)], 1)
        if run.data.variables:
            return {"label_swap": self.draw_table(run, swapped, own[chosen])}
        inputs = out.batch.x.cpu().numpy()[:, None]
        if (mask := mask_array(out.batch)) is not None:
            inputs, swapped = canvas.cut_at_end(inputs, mask[:, None]), canvas.cut_at_end(swapped, mask[:, None])
        return {"label_swap": self.draw(run, inputs, swapped, own[chosen])}

    def decode_under(self, run: Run, codes: Tensor, value: int) -> np.ndarray:
        """(N, *shape) decoded from codes (N, D) as if all rows had this label."""
        context = torch.zeros(len(codes), run.model.condition.size, device=codes.device)
        context[:, value] = 1
        return run.model.decode(codes, context).cpu().numpy()

    def draw_table(self, run: Run, swapped: np.ndarray, own: np.ndarray) -> Figure:
        """Rows of a table (N, labels, D): a heat map for each, changes counted from its own label."""
        kind, names = side_information_name(run), side_information_names(run)
        values = tables.in_units(run.data, torch.from_numpy(swapped))
        ticks = [(place, naming.value_name(names, place)) for place in range(values.shape[1])]
        sheets = [
            tables.Sheet(f"test row {i + 1}, own {kind}: {ticks[label][1]}", rows, rows[label], ticks, (label, "^"))
            for i, (rows, label) in enumerate(zip(values[:TABLE], own, strict=False))
        ]
        title = naming.heading(run, describe(run, kind))
        return tables.draw_sheets(title, f"decoded under this {kind}; white and mark: its own", run, sheets)

    def draw(self, run: Run, inputs: np.ndarray, swapped: np.ndarray, own: np.ndarray) -> Figure:
        """Inputs (N, 1, *shape) beside what is decoded (N, labels, *shape); `own` (N,) are their own labels."""
        apart, columns = 1.3, swapped.shape[1]
        kind = side_information_name(run)
        title = naming.heading(run, describe(run, kind))
        width = columns + apart
        cell = max(0.5, min(1.5, 7 / width))
        figure, axes = canvas.board(title, width, len(own), run.data.shape, cell=cell, beside=1.2)
        canvas.draw_tiles(axes, inputs, run.data.limits)
        canvas.draw_tiles(axes, swapped, run.data.limits, left=apart)
        for row, label in enumerate(own):
            corner = (apart + label - 0.5, row - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=canvas.VERMILION, linewidth=2, clip_on=False))
        names = [naming.value_name(side_information_names(run), value) for value in range(columns)]
        turn, align = (40, "right") if LETTER * max(map(len, names)) > cell else (0, "center")
        places = [0, *(apart + np.arange(columns))]
        axes.set_xticks(places, ["input", *names], fontsize=9, rotation=turn, ha=align)
        axes.set_yticks(range(len(own)), [names[label] for label in own], fontsize=9)
        axes.set(xlabel=f"decoded under this {kind}; framed: its own, the reconstruction", ylabel=f"own {kind}")
        return figure


def describe(run: Run, kind: str) -> str:
    """An encoder may be told the side information, or not."""
    own = f" under its own {kind}" if run.model.condition.told else ""
    return f"test examples, each encoded{own}\nand decoded under every {kind}"


def own_values(run: Run) -> np.ndarray | None:
    """(N,) the label of each test row, or its attribute, whichever is side information; None where neither is."""
    condition = run.model.condition
    if isinstance(condition, Label):
        return run.labels("test")
    attributes = attribute_tensor(run)
    if isinstance(condition, Attribute) and condition.coded and attributes is not None:
        return attributes.long().cpu().numpy()
    return None


def side_information_name(run: Run) -> str:
    """What a figure calls the side information that is swapped."""
    return "label" if isinstance(run.model.condition, Label) else naming.attribute_name(run)


def side_information_names(run: Run) -> Sequence[str]:
    """What its values are called; () where nobody said."""
    return run.data.classes if isinstance(run.model.condition, Label) else naming.group_names(run)

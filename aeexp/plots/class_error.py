"""Which rows are hard: the reconstruction error of each class, and the best and worst examples of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from aeexp.drawing import canvas, naming
from aeexp.drawing.arrays import attribute_tensor, mask_array
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.run import Run

MOST = 50  # classes with a box
COLUMNS = 10  # classes with examples
FEW = 5  # rows, below which a box would say more than they do
ENDS = (5, 95)  # percentiles where whiskers end
PAIR, APART = 2.4, 0.45  # tiles of an example with its number, and the gap between the best and the worst


class Group(NamedTuple):
    """The test rows of one class."""

    name: str
    rows: np.ndarray  # numbers of its test rows, the smallest error first


@final
class ClassError(Plot):
    """Squared error of the test rows by class, the comparable PCA beside it; of masks, wrong pixels.

    `order` sorts the classes by median error, the hardest on top, or leaves them as they are numbered. Without labels
    the first attribute with a few values makes the groups, and without that all rows are one. Of pictures and sequences
    a second figure shows `examples` with the smallest and the largest error of each class.
    """

    unfilmed: ClassVar = "its rows are sorted by error, anew at each step"

    def __init__(
        self, *, examples: Annotated[int, Interval(ge=1, le=8)] = 2, order: Literal["error", "class"] = "error"
    ):
        self.examples = examples
        self.order = order

    def __call__(self, run: Run) -> dict[str, Figure]:
        errors = run.errors("test")
        kind, groups = group_rows(run, errors)
        if self.order == "error":
            groups = sorted(groups, key=lambda group: -np.median(errors[group.rows]))
        figures = {"class_error": self.draw_boxes(run, errors, kind, groups)}
        if canvas.are_pictures(run.data.shape) and not run.segments:
            figures["class_examples"] = self.draw_examples(run, errors, groups)
        return figures

    def draw_boxes(self, run: Run, errors: np.ndarray, kind: str, groups: list[Group]) -> Figure:
        """A box for each group, PCA's below it."""
        selection, several = groups[:MOST], len(groups) > 1
        counted = "pixels" if run.segments else "tokens" if run.spelling else ""  # that are wrong
        content = f"wrong {counted}" if counted else "squared error"
        title = naming.heading(run, f"{content} of {len(errors)} test rows" + (f" by {kind}" if several else ""))
        figure = canvas.figure(
            title + self._part(len(selection), len(groups)),
            7.5,
            1.7 + (0.42 if len(selection) <= 25 else 0.25) * len(selection),
        )
        axes = figure.add_subplot()
        series = [("this model", errors, canvas.BLUE)]
        pca = None if counted else run.pca()  # PCA's output is no mask, and no text
        if pca is not None:
            series.append((run.describe_pca(), pca.errors("test"), canvas.ORANGE))
        height = 0.8 / len(series)
        for place, (_, values, colour) in enumerate(series):
            middles = [at - 0.4 + height * (place + 0.5) for at in range(len(selection))]
            _boxes(axes, [values[group.rows] for group in selection], middles, 0.8 * height, colour)
        axes.set_yticks(range(len(selection)), [f"{group.name} (n = {len(group.rows)})" for group in selection])
        axes.set(ylim=(len(selection) - 0.5, -0.5), ylabel=kind if several else "")
        _scale(axes, np.concatenate([values[group.rows] for _, values, _ in series for group in selection]))
        measure = f"{counted} of a row" if counted else "squared error of a row, summed over its values"
        label = f"{measure}\nbox: quartiles and median; whiskers: {ENDS[0]} to {ENDS[1]} %; dots beyond"
        label += f"\nPCA: {run.describe_pca()}" if pca is None and not counted else ""
        axes.set_xlabel(label)
        axes.grid(axis="x", color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        canvas.hide_frame(axes)
        keys = [Patch(facecolor=colour, label=name) for name, _, colour in series]
        if len(keys) > 1:
            figure.legend(handles=keys, loc="outside lower center", ncols=2, fontsize=9, frameon=False)
        return figure

    def _part(self, shown: int, count: int) -> str:
        if shown == count:
            return ""
        which = f"the {shown} with the largest median" if self.order == "error" else f"the first {shown}"
        return f"\n{which} of {count} are shown"

    @torch.no_grad()
    def draw_examples(self, run: Run, errors: np.ndarray, groups: list[Group]) -> Figure:
        """A column a class: its best examples above, its worst below, each as input, output, error."""
        selection = groups[:COLUMNS]
        wide = self.examples if len(selection) == 1 else 1  # a single group lies on its side
        most = max(len(group.rows) for group in selection)
        each = min(self.examples, max(1, most // 2))
        lines = 1 if wide > 1 else each
        columns = each if wide > 1 else len(selection)
        title = naming.heading(run, "the test rows with the smallest and the largest error")
        title += self._part(len(selection), len(groups))
        height = 2 * lines * PAIR + APART
        cell = max(0.62, min(1.3, 8.5 / columns))
        figure, axes = canvas.board(title, columns, height, run.data.shape, cell=cell, beside=1.6)
        ticks = []
        for end, name in enumerate(("smallest error", "largest error")):
            start = end * (lines * PAIR + APART)
            for line in range(lines):
                top = start + line * PAIR
                ticks += [top, top + 1]
                lying, standing = [(selection[0], c) for c in range(columns)], [(group, line) for group in selection]
                rows = [
                    (c, int(group.rows[rank if end == 0 else -1 - rank]))
                    for c, (group, rank) in enumerate(lying if wide > 1 else standing)
                    if rank < max(1, len(group.rows) // 2)  # none is among the best and the worst
                ]
                _examples(axes, run, errors, rows, top)
            middle = start + (lines * PAIR - 1) / 2
            axes.text(1.01, middle, name, transform=axes.get_yaxis_transform(), rotation=270, va="center", fontsize=9)
        axes.set_yticks(ticks, ["input", "output"] * (2 * lines), fontsize=9)
        if wide == 1 and len(selection) > 1:
            axes.set_xticks(range(columns), [group.name for group in selection], fontsize=9)
            axes.xaxis.tick_top()
        if any(len(group.name) > 8 for group in selection):
            axes.tick_params(axis="x", rotation=30)
        axes.set_xlabel("number below an output: squared error, summed over its values", fontsize=9)
        return figure


def group_rows(run: Run, errors: np.ndarray) -> tuple[str, list[Group]]:
    """What the groups are, and the test rows of each; unlabelled rows belong to none where others have labels."""
    labels, coded = run.labels("test"), find_groups(run)
    names: Sequence[str] = ("all rows",)
    if labels is not None and (labels >= 0).any():
        kind, names, values = "class", run.data.classes, labels
    elif coded is not None:
        kind, names, values = coded
    else:
        kind, values = "all", np.zeros(len(errors), int)
    groups = []
    for value in np.unique(values[values >= 0]):
        rows = np.flatnonzero(values == value)
        groups.append(Group(naming.value_name(names, int(value)), rows[np.argsort(errors[rows], kind="stable")]))
    return kind, groups


def find_groups(run: Run) -> tuple[str, Sequence[str], np.ndarray] | None:
    """The first attribute that makes groups: its name, those of its values, and the value (N,) of each test row.

    One that is a number from 0 on, alone, or a column with names for its values. None where there is none.
    """
    attributes = attribute_tensor(run)
    if attributes is None:
        return None
    if attributes.dim() == 1 and not attributes.is_floating_point():
        return naming.attribute_name(run), naming.group_names(run), attributes.cpu().numpy()
    columns = attributes[:, None] if attributes.dim() == 1 else attributes
    for column in range(columns.shape[1]):
        if names := naming.group_names(run, column):
            return naming.attribute_name(run, column), names, columns[:, column].long().cpu().numpy()
    return None


def _scale(axes: Axes, values: np.ndarray) -> None:
    """Logarithmic where a few errors are much larger than most, else from 0."""
    if values.min() > 0 and values.max() > 30 * np.median(values):
        axes.set_xscale("log")
    elif values.max() > 0:
        axes.set_xlim(left=0)


def _boxes(axes: Axes, rows: list[np.ndarray], middles: list[float], height: float, colour: str) -> None:
    """A box for each array of errors, all in a few artists: Axes.boxplot takes a tenth of a second for six."""
    few = [(values, middle) for values, middle in zip(rows, middles, strict=True) if len(values) < FEW]
    dots = [(values, middle, 4.0) for values, middle in few]
    many = [(values, middle) for values, middle in zip(rows, middles, strict=True) if len(values) >= FEW]
    if many:
        at = np.array([middle for _, middle in many])
        low, left, centre, right, high = np.array([np.percentile(v, (ENDS[0], 25, 50, 75, ENDS[1])) for v, _ in many]).T
        half, black, thin = height / 2, canvas.BLACK, 0.8
        starts, ends = np.concatenate([low, right]), np.concatenate([left, high])
        axes.hlines(np.concatenate([at, at]), starts, ends, color=black, linewidth=thin)
        for whisker in (low, high):
            axes.vlines(whisker, at - half / 2, at + half / 2, color=black, linewidth=thin)
        axes.barh(at, right - left, height, left, facecolor=colour, edgecolor=black, linewidth=thin)
        axes.vlines(centre, at - half, at + half, color=black, linewidth=1.6, zorder=3)
        dots += [(v[(v < a) | (v > b)], middle, 2.5) for (v, middle), a, b in zip(many, low, high, strict=True)]
    for size in {size for *_, size in dots}:
        values = [v for v, _, s in dots if s == size]
        heights = np.concatenate([np.full(len(v), middle) for v, middle, s in dots if s == size])
        x = np.concatenate(values)
        axes.plot(x, heights, color=colour, linestyle="none", marker="o", markersize=size, markeredgewidth=0)


def _examples(axes: Axes, run: Run, errors: np.ndarray, places: list[tuple[int, int]], top: float) -> None:
    """Test rows, each in its column, over what the model makes of their mean codes."""
    columns, rows = (list(part) for part in zip(*places, strict=True))
    out = run.forward(run.rows("test").batch(torch.tensor(rows)))
    for place, pictures in enumerate((out.batch.targets, run.model.likelihood.restore(out.output, out.batch.targets))):
        examples = canvas.cut_at_end(pictures.cpu().numpy(), mask_array(out.batch))
        sheet = np.full((1, 1 + columns[-1], *examples.shape[1:]), np.nan, np.float32)
        sheet[0, columns] = examples
        canvas.draw_tiles(axes, sheet, run.data.limits, top=top + place)
    for column, row in places:
        number = canvas.format_number(float(errors[row]))
        axes.text(column, top + 1.68, number, ha="center", va="center", fontsize=8)

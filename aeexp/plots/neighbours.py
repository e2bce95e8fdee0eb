"""Queries beside the training rows whose codes lie nearest."""

from __future__ import annotations

from typing import Annotated, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aeexp.drawing import canvas, cells, naming, tables
from aeexp.drawing.arrays import mask_array
from aeexp.drawing.contracts import Plot
from aeexp.evaluation import hashing
from aeexp.evaluation.run import Run

LINE = 0.2  # of a second line of text
APART, PITCH = 1.25, 1.36  # of the first neighbour from its query; of the rows, with room for the words below each

TABLE, NEAR = 3, 3  # queries and neighbours of a table


@final
class Neighbours(Plot):
    """Test examples, one of each class first, and the training rows nearest to them by their codes.

    Hamming distance where codes are bits, else Euclidean distance of the mean codes; the first row of the source is the
    first of equally near ones. A neighbour of another class than its query has a cross and a frame.
    """

    def __init__(
        self,
        *,
        queries: Annotated[int, Interval(ge=1, le=20)] = 10,
        neighbours: Annotated[int, Interval(ge=1, le=12)] = 8,
    ):
        self.queries = queries
        self.neighbours = neighbours

    def __call__(self, run: Run) -> dict[str, Figure]:
        chosen = canvas.choose_rows(run.labels("test"), self.queries, len(run.rows("test")))
        rows, far, name = find_nearest(run.codes("test")[chosen], run.codes("train"), self.neighbours)
        if run.data.variables:
            return {"neighbours": draw_table(run, chosen, rows, far, name)}
        queries = _pictures(run, "test", chosen)
        neighbours = _pictures(run, "train", rows.ravel()).reshape(*rows.shape, *run.data.shape)
        ours, theirs = naming.row_names(run, "test"), naming.row_names(run, "train")
        # Names that are longer than a digit stand below the distance.
        long = bool(theirs) and (max(map(len, run.data.classes), default=1) > 2 or run.data.has_response)
        pitch = PITCH + LINE * long
        figure, axes = canvas.board(
            naming.heading(run, f"test examples and their nearest training rows, by {name} distance of codes"),
            APART + rows.shape[1], pitch * len(rows), run.data.shape, cell=0.85, beside=0.6,
        )  # fmt: skip
        wrong = _of_other_class(run.labels("test"), run.labels("train"), chosen, rows)
        between = "\n" if long else ": "
        for i, place in enumerate(pitch * np.arange(len(rows))):
            canvas.draw_tiles(axes, queries[i][None, None], run.data.limits, top=place)
            canvas.draw_tiles(axes, neighbours[i][None], run.data.limits, left=APART, top=place)
            _write(axes, 0, place, ours[chosen[i]] if ours else "")
            for j, row in enumerate(rows[i]):
                label = theirs[row] if theirs else ""
                distance = str(far[i, j]) if name == "Hamming" else canvas.format_number(float(far[i, j]), 2)
                _write(axes, APART + j, place, f"{distance}{between if label else ''}{label}", wrong[i, j])
        axes.set_xticks([0, APART + (rows.shape[1] - 1) / 2], ["query", "nearest training rows, the nearest first"])
        cross = "\n× and frame: of another class than the query" if wrong.any() else ""
        kind = run.data.response or "class"
        classes = f" and {kind}" if theirs else ""
        own = f"below a query its {kind}; " if theirs else ""
        axes.set_xlabel(f"{own}below a neighbour {name} distance of the codes{classes}{cross}", fontsize=9)
        return {"neighbours": figure}


def draw_table(run: Run, chosen: np.ndarray, rows: np.ndarray, far: np.ndarray, name: str) -> Figure:
    """Of a table the first queries, each beside its nearest rows, in words."""
    groups, ours, theirs = [], naming.row_names(run, "test"), naming.row_names(run, "train")
    for query, near, distances in list(zip(chosen, rows, far, strict=True))[:TABLE]:
        shown = [
            run.rows("test").batch(torch.tensor([query])).x,
            run.rows("train").batch(torch.from_numpy(near[:NEAR])).x,
        ]
        values = tables.in_units(run.data, torch.cat([part.cpu() for part in shown]))
        labels = [ours[query] if ours else "", *(theirs[row] if theirs else "" for row in near[:NEAR])]
        told = ["query", *(canvas.format_number(float(distance), 2) for distance in distances[:NEAR])]
        names = ["\n".join(pair).rstrip() for pair in zip(told, labels, strict=True)]
        groups.append(cells.Group("a test row and its nearest training rows", names, values, values[0]))
    kind = run.data.response or "class"
    note = f"below: {name} distance of the codes, and {kind}; red above the query, blue below"
    return cells.draw_cells(naming.heading(run, "test rows and their nearest training rows"), note, run, groups)


def find_nearest(query: np.ndarray, database: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Row numbers (Q, K) of codes (N, D), their distances (Q, K) and the distance's name."""
    count = min(count, len(database))
    if hashing.are_bits(database) and hashing.are_bits(query):
        far, name = hashing.distances(hashing.pack(query), hashing.pack(database)), "Hamming"
    else:
        far = np.stack([np.linalg.norm(database - row, axis=1) for row in query])
        name = "Euclidean"
    rows = far.argsort(1, kind="stable")[:, :count]
    return rows, np.take_along_axis(far, rows, 1), name


def _pictures(run: Run, split: str, rows: np.ndarray) -> np.ndarray:
    """(N, *shape) of some rows of `run.rows`."""
    batch = run.rows(split).batch(torch.from_numpy(rows))
    return canvas.cut_at_end(batch.x.cpu().numpy(), mask_array(batch))


def _of_other_class(
    ours: np.ndarray | None, theirs: np.ndarray | None, chosen: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """(Q, K) whether a neighbour is known to be of another class than its query."""
    if ours is None or theirs is None:
        return np.zeros(rows.shape, bool)
    return (theirs[rows] != ours[chosen, None]) & (theirs[rows] >= 0) & (ours[chosen, None] >= 0)


def _write(axes: Axes, column: float, place: float, text: str, wrong: bool = False) -> None:
    """Below a tile; `wrong` marks it by sign, weight, colour and frame."""
    x, y = column - 0.04, place + 0.54
    if not wrong:
        axes.text(x, y, text, ha="center", va="top", fontsize=8)
        return
    axes.text(x, y, f"{text} ×", ha="center", va="top", fontsize=8, color=canvas.VERMILION, fontweight="bold")
    across, down = np.array([-0.5, 0.5, 0.5, -0.5, -0.5]) + column, np.array([-0.5, -0.5, 0.5, 0.5, -0.5]) + place
    axes.plot(across - 0.04, down, color=canvas.VERMILION, linewidth=1.5, clip_on=False)

"""Rows of a table as a table: a cell for each column, in words and in the data's units, coloured by what is off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

from aeexp.drawing import canvas, naming
from aeexp.drawing.tables import Columns, find_columns, write_number, write_share
from aeexp.evaluation.run import Run

MOST = 24  # columns that are shown
STRONG = 2.0  # standard deviations of an error whose cell has its full colour
LIGHT = 0.45  # of the full colour, so that black text stays readable
TEXT = 13  # characters of a category
SURE = 0.995  # a share that is written without its number
WRONG = "#F5C9B0"  # a category that is not the row's own


class Group(NamedTuple):
    """Neighbouring columns of the page: a row of the data and what is made of it, or rows that belong together."""

    title: str
    names: Sequence[str]  # of each
    values: np.ndarray  # (N, D) in the data's units
    truth: np.ndarray | None = None  # (D,) what they should be: colours say how far they are off; None: no colours


def draw_cells(title: str, note: str, run: Run, groups: Sequence[Group]) -> Figure:
    """The groups side by side, the columns of the table one below the other; `note` stands at the bottom."""
    columns = find_columns(run)
    chosen = choose_columns(columns, groups)
    if len(chosen) < len(columns.variables):
        title += f"\nthe {len(chosen)} of {len(columns.variables)} columns with the largest differences"
    judged = any(group.truth is not None for group in groups)
    if judged and any(columns.variables[number].categories for number in chosen):
        note += "; orange: another category"
    across = sum(len(group.names) for group in groups)
    figure = canvas.figure(title, 1.9 + 0.92 * across, 0.23 * len(chosen) + 1.9)
    panels = figure.subplots(1, len(groups), squeeze=False, width_ratios=[len(group.names) for group in groups])[0]
    for axes, group in zip(panels, groups, strict=True):
        _draw_group(axes, columns, chosen, group)
    names = [naming.shorten(columns.variables[number].name, 24) for number in chosen]
    panels[0].set_yticks(range(len(chosen)), names, fontsize=8)
    figure.supxlabel(note, fontsize=9)
    return figure


def choose_columns(columns: Columns, groups: Sequence[Group]) -> np.ndarray:
    """Numbers of the columns that are shown, in their order: those that differ most from the truth, else at all."""
    far = np.zeros(len(columns.variables))
    for group in groups:
        change = columns.change(group.values, group.values.mean(0) if group.truth is None else group.truth)
        far = np.maximum(far, [np.abs(change[:, place]).max() for place in columns.places])
    return np.sort(np.argsort(-far, kind="stable")[:MOST])


def _draw_group(axes: Axes, columns: Columns, chosen: np.ndarray, group: Group) -> None:
    paper = np.ones((len(chosen), len(group.names), 4))
    for line, number in enumerate(chosen):
        for across, row in enumerate(group.values):
            text, colour = _write_cell(columns, number, row, group.truth)
            paper[line, across] = to_rgba(colour)
            axes.text(across, line, text, ha="center", va="center", fontsize=7)
    axes.imshow(paper, aspect="auto", interpolation="nearest")
    axes.set_title(group.title, fontsize=9)
    axes.set_xticks(range(len(group.names)), group.names, fontsize=8)
    axes.set_yticks([])
    axes.tick_params(length=0)
    for line in range(1, len(chosen)):
        axes.axhline(line - 0.5, color="0.88", linewidth=0.6)
    axes.spines[:].set_color("0.7")


def _write_cell(columns: Columns, number: int, row: np.ndarray, truth: np.ndarray | None) -> tuple[str, str]:
    """What stands in the cell of a column, and its colour."""
    place, categories = columns.places[number], columns.variables[number].categories
    if not categories:
        value = float(row[place.start])
        if truth is None:
            return write_number(value), "white"
        off = float(columns.change(row, truth)[place.start])
        return write_number(value), shade(off / STRONG)
    best = int(row[place].argmax())
    share = float(row[place][best])
    name = categories[best]
    text = naming.cut(name, TEXT) if share >= SURE else f"{naming.cut(name, TEXT - 4)} {write_share(share)}"
    return text, WRONG if truth is not None and best != int(truth[place].argmax()) else "white"


def shade(off: float) -> str:
    """A colour from blue (-1 and below) by white to red (1 and above), pale enough for black text."""
    return to_hex(colormaps[canvas.SIGNED](0.5 + 0.5 * LIGHT * float(np.clip(off, -1, 1))))

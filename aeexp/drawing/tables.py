"""Rows of a table in its own units and by the names of its columns: what an even step of a code does to each."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Variable
from aeexp.drawing import canvas, naming
from aeexp.drawing.plane import mark_outside
from aeexp.evaluation.run import Run

STRIPS = 8  # columns of a sheet, those that change most
MAPS = 12  # columns that have a map of their own
ROWS = 10_000  # training rows that say how far a column spreads
RARE = 0.1  # least standard deviation of a share: else a category of one row in a thousand would lead
STRONG = 3.0  # standard deviations at the end of the colours, at most
ROUNDING = 1e-5  # of a number that was stored in float32, scaled and restored
WHOLE = 0.005  # of a share: what is rounded to 0 or 100 %
NAME = 34  # characters beside a strip


class Columns(NamedTuple):
    """The columns of a table, and what is usual in each feature, in the data's units."""

    variables: tuple[Variable, ...]
    places: list[slice]  # the features of each
    mean: np.ndarray  # (D,) of training rows
    spread: np.ndarray  # (D,) their standard deviation, above 0

    def change(self, values: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Distances (..., D) from a row in standard deviations."""
        return (values - reference) / self.spread


def find_columns(run: Run) -> Columns:
    """The columns of the run's table; only for data that has them."""

    def compute() -> Columns:
        ends = np.cumsum([max(1, len(variable.categories)) for variable in run.data.variables]).tolist()
        places = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        x = in_units(run.data, run.rows("train").batch(slice(0, ROWS)).x)
        least = np.zeros(x.shape[1])
        for variable, place in zip(run.data.variables, places, strict=True):
            least[place] = RARE if variable.categories else 0.0
        spread = np.maximum(x.std(0), least)
        return Columns(run.data.variables, places, x.mean(0), np.where(spread > 0, spread, 1.0))

    return run.compute_once("columns", compute)


def name_features(data: Data) -> list[str]:
    """Of all D features, a category by its column and itself; [] where the data is no table."""
    names = []
    for variable in data.variables:
        column = naming.cut(variable.name, NAME // 2 - 1)
        parts = [f"{column}: {naming.cut(text, NAME // 2 - 1)}" for text in variable.categories]
        names += parts or [naming.shorten(variable.name, NAME)]
    return names


def in_units(data: Data, x: Tensor) -> np.ndarray:
    """Values (..., D) as the file has them, categories as shares."""
    preprocessing = data["train"].preprocessing.to(torch.device("cpu"))
    return preprocessing.restore(x.cpu()).double().numpy()


class Strip(NamedTuple):
    """One column over even steps."""

    name: str
    change: np.ndarray  # (S,) from the reference, in standard deviations
    low: str  # its value at the first step, in the data's units
    high: str


def sort_strips(columns: Columns, values: np.ndarray, reference: np.ndarray, most: int = STRIPS) -> list[Strip]:
    """The `most` columns that move most over values (S, D), the first most; of categories the one that moves most."""
    change = columns.change(values, reference)
    strips = []
    for variable, place in zip(columns.variables, columns.places, strict=True):
        feature = place.start + int(np.ptp(values[:, place], axis=0).argmax())
        low, high = values[0, feature], values[-1, feature]
        if variable.categories:
            category = variable.categories[feature - place.start]
            name = f"{naming.cut(variable.name, NAME // 2 - 1)}: {naming.cut(category, NAME // 2 - 1)}"
            strips.append(Strip(name, change[:, feature], write_share(low), write_share(high)))
        else:
            texts = (write_number(float(end)) for end in (low, high))
            strips.append(Strip(naming.shorten(variable.name, NAME), change[:, feature], *texts))
    return sorted(strips, key=lambda strip: -np.ptp(strip.change))[:most]


def write_number(value: float) -> str:
    """In the data's units; what is whole but for the rounding of float32 is written without a point."""
    near = round(value)
    whole = abs(value - near) <= ROUNDING * max(1.0, abs(value)) and abs(value) < 1e6
    return str(near).replace("-", "−") if whole else canvas.format_number(value)


def write_share(share: float) -> str:
    """Of rows of a category, in per cent; what lies outside 0 to 1 stays there, as a decoder may say so."""
    return f"{round(100 * share)} %".replace("-", "−")


def explain_shares(columns: Columns, values: np.ndarray) -> str:
    """A line for a figure on which shares of these values (..., D) lie outside 0 to 100 %; else nothing."""
    shares = [values[..., place] for variable, place in zip(columns.variables, columns.places, strict=True)
              if variable.categories]  # fmt: skip
    beyond = any(part.min() < -WHOLE or part.max() > 1 + WHOLE for part in shares)
    return "shares below 0 or above 100 %: this likelihood's mean is no probability" if beyond else ""


class Sheet(NamedTuple):
    """What one move of a code does to the columns."""

    title: str
    values: np.ndarray  # (S, D) in the data's units
    reference: np.ndarray  # (D,) the row that changes are counted from
    ticks: Sequence[tuple[float, str]]  # below: steps and what stands there
    mark: tuple[float, str] | None = None  # a step and a marker: where the row itself stands


def draw_sheets(title: str, caption: str, run: Run, sheets: Sequence[Sheet]) -> Figure:
    """A heat map for each: its strips from the column that changes most, their ends in the data's units."""
    columns = find_columns(run)
    strips = [sort_strips(columns, sheet.values, sheet.reference) for sheet in sheets]
    limit = min(STRONG, max((float(np.abs(strip.change).max()) for part in strips for strip in part), default=1.0))
    across = 1 if len(sheets) == 1 else 2
    lines, height = math.ceil(len(sheets) / across), max(map(len, strips))
    if len(columns.variables) > height:
        title += f"\nin each map the {height} of {len(columns.variables)} columns that change most"
    figure = canvas.figure(title, 6.2 * across + 0.9, lines * (0.2 * height + 0.75) + 1.3)
    panels, image = canvas.panels(figure, lines, across, len(sheets)), None
    for axes, sheet, part in zip(panels, sheets, strips, strict=True):
        image = draw_strips(axes, part, limit or 1.0)
        axes.set_title(sheet.title, fontsize=9)
        axes.set_xticks([at for at, _ in sheet.ticks], [text for _, text in sheet.ticks], fontsize=8)
        if sheet.mark is not None:
            at, marker = sheet.mark
            axes.plot(at, len(part) - 0.32, marker, color=canvas.VERMILION, markersize=5, clip_on=False)
    if image is not None:
        bar = figure.colorbar(image, ax=panels, aspect=40, pad=0.01)
        bar.set_label("change, in the column's\nstandard deviations", fontsize=8)
        bar.ax.tick_params(labelsize=8)
    beyond = explain_shares(columns, np.concatenate([sheet.values for sheet in sheets]))
    lines_below = [textwrap.fill(caption, 75 * across), *([beyond] if beyond else [])]
    figure.supxlabel("\n".join(lines_below), fontsize=9)
    return figure


def draw_strips(axes: Axes, strips: Sequence[Strip], limit: float) -> AxesImage:
    """Names at the left, then the first value, the steps, and the last value."""
    steps = len(strips[0].change)
    image = axes.imshow(
        np.stack([strip.change for strip in strips]), cmap=canvas.SIGNED, vmin=-limit, vmax=limit, aspect="auto",
        interpolation="nearest",
    )  # fmt: skip
    for line, strip in enumerate(strips):
        axes.text(-0.6, line, strip.low, ha="right", va="center", fontsize=8, color="0.25")
        axes.text(steps - 0.4, line, strip.high, ha="left", va="center", fontsize=8, color="0.25")
    room = 0.13 * steps  # for the values
    axes.set(xlim=(-0.5 - room, steps - 0.5 + room), ylim=(len(strips) - 0.2, -0.5))
    axes.set_yticks(range(len(strips)), [strip.name for strip in strips], fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def draw_maps(
    title: str, note: str, run: Run, decoded: Tensor, across: np.ndarray, up: np.ndarray, outside: np.ndarray
) -> Figure:
    """Of codes (S * S) over the plane, large values of unit 2 first: each column a map in the data's units.

    `outside` (S, S) is marked where it is true, and `note` says what that means.
    """
    columns, side = find_columns(run), len(across)
    values = in_units(run.data, decoded)
    features = [place.start + int(np.ptp(values[:, place], axis=0).argmax()) for place in columns.places]
    order = np.argsort(-np.ptp(values[:, features] / columns.spread[features], axis=0), kind="stable")[:MAPS]
    if len(order) < len(features):
        title += f"\nthe {len(order)} of {len(features)} columns that change most"
    wide = min(4, len(order))
    lines = math.ceil(len(order) / wide)
    figure = canvas.figure(title, max(6.5, 3.1 * wide), 2.6 * lines + 1.2)
    panels = canvas.panels(figure, lines, wide, len(order), sharex=True, sharey=True)
    half = ((across[-1] - across[0]) or 1.0) / max(1, side - 1) / 2, ((up[-1] - up[0]) or 1.0) / max(1, side - 1) / 2
    extent = (across[0] - half[0], across[-1] + half[0], up[0] - half[1], up[-1] + half[1])
    for axes, number in zip(panels, order, strict=True):
        variable, feature = columns.variables[number], features[number]
        name, shares = naming.shorten(variable.name, 24), bool(variable.categories)
        if shares:
            name += f"\nshare of {naming.shorten(variable.categories[feature - columns.places[number].start], 24)}"
        image = axes.imshow(
            values[:, feature].reshape(side, side), extent=extent, aspect="auto", interpolation="nearest"
        )
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        figure.colorbar(image, ax=axes).ax.tick_params(labelsize=7)
        if outside.any():
            mark_outside(axes, outside, extent)
    below = ["unit 1", note, explain_shares(columns, values)]
    figure.supxlabel("\n".join(filter(None, below)), fontsize=9)
    figure.supylabel("unit 2", fontsize=9)
    return figure

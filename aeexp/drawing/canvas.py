"""How one example is drawn, and what all figures share: size, titles, colours, which rows are shown.

Figures are made without pyplot: no global state, no window, nothing to close.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine

from aeexp import files  # nothing that knows torch: a report is drawn without it
from aeexp.drawing import channels
from aeexp.drawing.page import Page, encode_png
from aeexp.drawing.press import Press

DPI = 120
# Okabe and Ito (2008): eight colours that colour-blind readers tell apart, by name.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY = "#999999"
NAMED = {"orange": ORANGE, "sky": SKY, "green": GREEN, "yellow": YELLOW, "blue": BLUE, "vermilion": VERMILION,
         "purple": PURPLE}  # fmt: skip
# Ten classes: shape and colour both tell them apart, so that a figure survives a grey print.
COLOURS = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, BLACK, "#B8A800", "#882255", "#8C8C8C")
MARKERS = "os^DvPX<>*"
LINES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION)  # of a chart with few of them; report.js has the same
SIGNED = "RdBu_r"  # red above 0, blue below, white at 0
STEPS = 160  # of a sequence that are drawn
ROUNDING = 1e-9  # a squared error of float32 below this is none
MARGIN = 0.12  # gap between two tiles, as a share of a tile's shorter side


class Stroke(TypedDict, total=False):
    """A line and its marks: keywords of `Axes.plot` and `Axes.errorbar`."""

    color: str
    linestyle: str
    linewidth: float
    drawstyle: str
    marker: str
    markersize: float
    markerfacecolor: str
    markeredgewidth: float


def name_entry(text: str) -> str:
    """A user's text as a `label`: matplotlib leaves out of a legend what begins with an underscore."""
    return f"\u200b{text}" if text.startswith("_") else text  # a space without a width


def figure(title: str, width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    empty = Page(figsize=(width, height), dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
    Press(empty)
    # A long title breaks where a narrow figure ends, not within a bracket: a character is about 0.09 inches wide.
    title = re.sub(r"\([^()\n]{,30}\)", lambda bracket: bracket[0].replace(" ", "\0"), title)
    lines = (textwrap.fill(line, int(width / 0.09)) for line in title.split("\n"))
    empty.suptitle("\n".join(lines).replace("\0", " "), fontsize=11)
    return empty


def save(picture: Figure, path: Path, dpi: int) -> None:
    """Write a PNG, whole or not at all."""
    content = encode_png(picture, dpi)
    files.write(path, lambda file: file.write(content))


def panels(
    parent: Figure, rows: int, columns: int, count: int, *, sharex: bool = False, sharey: bool = False
) -> list[Axes]:
    """The first `count` of rows x columns axes; the rest are not shown."""
    grid = parent.subplots(rows, columns, sharex=sharex, sharey=sharey, squeeze=False)
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    return list(grid.flat[:count])


def legend_below(parent: Figure, axes: Axes, columns: int, title: str | None = None) -> None:
    """What the lines of one panel mean, for all panels."""
    handles, labels = axes.get_legend_handles_labels()
    parent.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False, title=title,
        title_fontsize=8,
    )  # fmt: skip


def hide_frame(axes: Axes) -> None:
    """Leave the two axes alone: no line above, none at the right."""
    axes.spines[["top", "right"]].set_visible(False)


def board(
    title: str, columns: float, rows: float, shape: Sequence[int], *, cell: float, beside: float = 1.5
) -> tuple[Figure, Axes]:
    """Figure and axes for tiles whose centres lie at (0, 0) ... (columns - 1, rows - 1), row 0 on top.

    `cell` is a tile's width in inches, `beside` what labels and colour bars take.
    """
    parent = figure(f"{title}{_reading(shape)}", columns * cell + beside, rows * cell * proportion(shape) + 1.1)
    axes = parent.add_subplot()
    lay_out(axes, columns, rows, shape)
    return parent, axes


def _reading(shape: Sequence[int]) -> str:
    """What a tile is, for the title, where it is not one picture."""
    if len(shape) == 3:
        return channels.describe(shape)
    if len(shape) == 2:
        time = "\ntime runs from left to right" + (f", the first {STEPS} steps" if shape[0] > STEPS else "")
        return time + (", features upwards" if shape[1] > 1 else "")
    return "\na line: the values of a row, its features from left to right"


def lay_out(axes: Axes, columns: float, rows: float, shape: Sequence[int]) -> None:
    """Make axes a board for so many tiles."""
    axes.set_aspect(proportion(shape))
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), xticks=[], yticks=[], autoscale_on=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def proportion(shape: Sequence[int]) -> float:
    """Height over width of a tile with its gap."""
    height, width = sides(shape)
    gap = gap_between(height, width)
    return (height + gap) / (width + gap)


def draw_tiles(
    axes: Axes, examples: np.ndarray, limits: tuple[float, float], *, left: float = 0.0, top: float = 0.0,
    cmap: str = "gray",
) -> AxesImage | None:  # fmt: skip
    """Draw examples (R, C, *shape) on a board, the first tile's centre at (left, top); one image holds all pictures.

    Returns it; None for flat examples, which are lines over their features. Sequences of several features are pictures
    with time from left to right.
    """
    if are_pictures(examples.shape[2:]) and examples.ndim == 4:
        examples = examples[:, :, :STEPS].swapaxes(2, 3)[:, :, None, ::-1]  # feature 0 at the bottom
    if not are_pictures(examples.shape[2:]):
        _lines(axes, examples.reshape(*examples.shape[:2], -1), limits, left, top)
        return None
    pixels = _pixels(examples, limits)
    rows, columns, height, width = pixels.shape[:4]
    gap = gap_between(height, width)
    paper = np.nan if pixels.ndim == 4 else 1.0  # gaps are white: NaN has no colour, and RGB pictures cannot hold one
    sheet = np.full((rows, height + gap, columns, width + gap, *pixels.shape[4:]), paper)
    sheet[:, :height, :, :width] = pixels.swapaxes(1, 2)
    sheet = sheet.reshape(rows * (height + gap), columns * (width + gap), *pixels.shape[4:])[:-gap, :-gap]
    right, low = (n - 1 + side / 2 / (side + gap) for n, side in ((columns, width), (rows, height)))
    extent = (left - width / 2 / (width + gap), left + right, top + low, top - height / 2 / (height + gap))
    image = AxesImage(axes, cmap=cmap, extent=extent, interpolation="nearest", origin="upper")
    image.set_data(sheet)
    image.set_clim(*limits)
    image.set_in_layout(False)  # within its axes
    axes.add_image(image)
    return image


def are_pictures(shape: Sequence[int]) -> bool:
    """Whether rows of this shape are drawn as pictures; others are lines."""
    return len(shape) == 3 or (len(shape) == 2 and shape[1] > 1)


def cut_at_end(examples: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Sequences (..., T, F) that stop where their mask (..., T) does: what follows has no colour."""
    return examples if mask is None else np.where(mask[..., None], examples, np.nan)


def sides(shape: Sequence[int]) -> tuple[int, int]:
    """Height and width of a tile, in pixels; of a line chart, in proportion."""
    if not are_pictures(shape):
        return 3, 4
    return (shape[1], min(shape[0], STEPS)) if len(shape) == 2 else channels.measure(shape)


def choose_rows(labels: np.ndarray | None, count: int, rows: int) -> np.ndarray:
    """Numbers of `count` rows: the first of each class, then the second of each, ...; unlabelled rows come last."""
    if labels is None or (labels < 0).all():
        return np.arange(min(count, rows))
    order = np.argsort(labels, kind="stable")
    rank = np.empty(rows, int)
    rank[order] = np.arange(rows) - np.searchsorted(labels[order], labels[order])
    return np.lexsort((labels, rank, labels < 0))[:count]


def format_number(value: float, digits: int = 3) -> str:
    """A number of that many digits, with a minus as long as matplotlib's; what is left by rounding is 0."""
    if abs(value) < ROUNDING:
        return "0"
    whole = 10**digits <= abs(value) < 1e6  # 1234, not 1.23e+03
    return (f"{value:.0f}" if whole else f"{value:#.{digits}g}".rstrip(".")).replace("-", "−")


def write_numbers(axes: Axes, values: Sequence[float] | np.ndarray, height: float) -> None:
    """A number for each column of a board, at one height."""
    for column, value in enumerate(values):
        text = axes.text(column - 0.04, height, format_number(value), ha="center", va="center", fontsize=8)
        text.set_in_layout(False)


def gap_between(height: int, width: int) -> int:
    """Pixels between two tiles."""
    return max(1, round(MARGIN * min(height, width)))


def scale(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """From the data's units so that `limits` are 0 and 1; values beyond them stay beyond."""
    low, high = limits
    return (values - low) / ((high - low) or 1.0)


def _pixels(examples: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """(R, C, H, W) grey in the data's units, or (R, C, H, W, 3) in [0, 1]; others as `channels.spread` has them."""
    if examples.shape[2] == 3:
        return np.moveaxis(scale(examples, limits), 2, -1).clip(0, 1)
    return channels.spread(examples)[:, :, 0]


def _lines(axes: Axes, examples: np.ndarray, limits: tuple[float, float], left: float, top: float) -> None:
    rows, columns, features = examples.shape
    across = np.linspace(-0.42, 0.42, features) if features > 1 else np.array([-0.42, 0.42])
    height = 0.42 - 0.84 * scale(examples, limits).clip(-0.05, 1.05)
    x, y = left + np.arange(columns)[:, None] + across, top + np.arange(rows)[:, None, None] + height
    lines = [np.column_stack(np.broadcast_arrays(x[c], y[r, c])) for r in range(rows) for c in range(columns)]
    frame = 0.45 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)])
    frames = [frame + (left + c, top + r) for r in range(rows) for c in range(columns)]
    axes.add_collection(LineCollection(frames, colors="0.85", linewidths=0.6), autolim=False)
    axes.add_collection(LineCollection(lines, colors=BLUE, linewidths=1.0), autolim=False)


def symmetric_limits(values: np.ndarray) -> tuple[float, float]:
    """Colour limits around 0."""
    largest = float(np.abs(values).max(initial=0.0))
    return (-largest, largest) if largest > 0 and math.isfinite(largest) else (-1.0, 1.0)

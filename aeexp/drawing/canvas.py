"""How one example is drawn, and what all figures share: size, titles, colours, which rows are shown.

Figures are made without pyplot: no global state, no window, nothing to close.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from aeexp import files

if TYPE_CHECKING:  # a report is drawn without torch
    from aeexp.evaluation.run import Run

DPI = 120
# Okabe and Ito (2008): eight colours that colour-blind readers tell apart, by name.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY = "#999999"
# Ten classes: shape and colour both tell them apart, so that a figure survives a grey print.
COLOURS = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, BLACK, "#B8A800", "#882255", "#8C8C8C")
MARKERS = "os^DvPX<>*"
LINES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION)  # of a chart with few of them; report.js has the same
SIGNED = "RdBu_r"  # red above 0, blue below, white at 0
STEPS = 160  # of a sequence that are drawn
ROUNDING = 1e-9  # a squared error of float32 below this is none
MARGIN = 0.12  # gap between two tiles, as a share of a tile's shorter side


def figure(title: str, width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    made = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(made)  # a canvas that TensorBoard can read pixels from
    made.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    # A long title breaks where a narrow figure ends, not within a bracket: a character is about 0.09 inches wide.
    title = re.sub(r"\([^()\n]{,30}\)", lambda found: found[0].replace(" ", "\0"), title)
    lines = (textwrap.fill(line, int(width / 0.09)) for line in title.split("\n"))
    made.suptitle("\n".join(lines).replace("\0", " "), fontsize=11)
    return made


def save(made: Figure, path: Path, dpi: int) -> None:
    made.savefig(buffer := io.BytesIO(), format="png", dpi=dpi)
    files.write(path, lambda file: file.write(buffer.getvalue()))


def board(title: str, columns: float, rows: float, shape: Sequence[int], *, cell: float, beside: float = 1.5):
    """Figure and axes for tiles whose centres lie at (0, 0) ... (columns - 1, rows - 1), row 0 on top.

    `cell` is a tile's width in inches, `beside` what labels and colour bars take.
    """
    made = figure(f"{title}{_reading(shape)}", columns * cell + beside, rows * cell * proportion(shape) + 1.1)
    axes = made.add_subplot()
    lay_out(axes, columns, rows, shape)
    return made, axes


def _reading(shape: Sequence[int]) -> str:
    """What runs from left to right in a tile that is no picture, for the title."""
    if len(shape) == 3:
        return ""
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
    gap = _gap(height, width)
    return (height + gap) / (width + gap)


def draw_tiles(axes: Axes, examples: np.ndarray, limits: tuple[float, float], *, left=0.0, top=0.0, cmap="gray"):
    """Draw examples (R, C, *shape) on a board, the first tile's centre at (left, top).

    One image holds all pictures: hundreds of axes would take seconds. Returns it; None for flat examples, which
    are lines over their features. Sequences of several features are pictures with time from left to right.
    """
    if are_pictures(examples.shape[2:]) and examples.ndim == 4:
        examples = examples[:, :, :STEPS].swapaxes(2, 3)[:, :, None, ::-1]  # feature 0 at the bottom
    if not are_pictures(examples.shape[2:]):
        _lines(axes, examples.reshape(*examples.shape[:2], -1), limits, left, top)
        return None
    shown = _pixels(examples, limits)
    rows, columns, height, width = shown.shape[:4]
    gap = _gap(height, width)
    # Gaps are white: NaN has no colour, and RGB pictures cannot hold a NaN.
    sheet = np.full((rows, height + gap, columns, width + gap, *shown.shape[4:]), np.nan if shown.ndim == 4 else 1.0)
    sheet[:, :height, :, :width] = shown.swapaxes(1, 2)
    sheet = sheet.reshape(rows * (height + gap), columns * (width + gap), *shown.shape[4:])[:-gap, :-gap]
    right, low = (n - 1 + side / 2 / (side + gap) for n, side in ((columns, width), (rows, height)))
    extent = (left - width / 2 / (width + gap), left + right, top + low, top - height / 2 / (height + gap))
    image = AxesImage(axes, cmap=cmap, extent=extent, interpolation="nearest", origin="upper")
    image.set_data(sheet)
    image.set_clim(*limits)
    axes.add_image(image)
    return image


def are_pictures(shape: Sequence[int]) -> bool:
    return len(shape) == 3 or (len(shape) == 2 and shape[1] > 1)


def cut_at_end(examples: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Sequences (..., T, F) that stop where their mask (..., T) does: what follows has no colour."""
    return examples if mask is None else np.where(mask[..., None], examples, np.nan)


def sides(shape: Sequence[int]) -> tuple[int, int]:
    """Height and width of a tile, in pixels; of a line chart, in proportion."""
    if not are_pictures(shape):
        return 3, 4
    return (shape[1], min(shape[0], STEPS)) if len(shape) == 2 else tuple(shape[1:])


def choose_rows(labels: np.ndarray | None, count: int, rows: int) -> np.ndarray:
    """Numbers of `count` rows: the first of each class, then the second of each, ...; unlabelled rows come last."""
    if labels is None or (labels < 0).all():
        return np.arange(min(count, rows))
    order = np.argsort(labels, kind="stable")
    rank = np.empty(rows, int)
    rank[order] = np.arange(rows) - np.searchsorted(labels[order], labels[order])
    return np.lexsort((labels, rank, labels < 0))[:count]


def heading(run: Run, what: str) -> str:
    units = run.model.latent.dim
    return f"{run.data.name}: {what} (code of {units} unit{'s' if units > 1 else ''})"


def format_number(value: float, digits: int = 3) -> str:
    """A number of that many digits, with a minus as long as matplotlib's; what is left by rounding is 0."""
    if abs(value) < ROUNDING:
        return "0"
    whole = 10**digits <= abs(value) < 1e6  # 1234, not 1.23e+03
    return (f"{value:.0f}" if whole else f"{value:#.{digits}g}".rstrip(".")).replace("-", "−")


def class_name(run: Run, label: int) -> str:
    """The name of a class, short enough for a legend."""
    name = run.data.classes[label] if 0 <= label < len(run.data.classes) else str(label)
    return name if len(name) <= 20 else f"{name[:12]}…{name[-7:]}"


def _gap(height: int, width: int) -> int:
    return max(1, round(MARGIN * min(height, width)))


def _pixels(examples: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """(R, C, H, W) grey in the data's units, or (R, C, H, W, 3) in [0, 1]."""
    if examples.shape[2] == 3:
        low, high = limits
        return np.moveaxis((examples - low) / ((high - low) or 1.0), 2, -1).clip(0, 1)
    return examples.mean(2)


def _lines(axes: Axes, examples: np.ndarray, limits: tuple[float, float], left: float, top: float) -> None:
    low, high = limits
    rows, columns, features = examples.shape
    across = np.linspace(-0.42, 0.42, features) if features > 1 else np.array([-0.42, 0.42])
    height = 0.42 - 0.84 * ((examples - low) / ((high - low) or 1.0)).clip(-0.05, 1.05)
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

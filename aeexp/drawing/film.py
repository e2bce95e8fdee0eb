"""Figures of one model at several steps as the frames of a film: equal axes, colours and places, the step below."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from matplotlib import font_manager
from matplotlib.artist import getp
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from aeexp.drawing import canvas
from aeexp.drawing.animation import Animation
from aeexp.drawing.page import encode_png

STRIP, BAR = 34, 5  # pixels below a frame: the words, and the line that grows
DPI = 80  # of a frame, where a figure has 120: a film of twenty frames is to be sent by mail
FIRST, EACH, LAST = 900, 350, 2500  # milliseconds


def choose_like(figures: Sequence[Figure]) -> list[int]:
    """The places of those that are built as the last one is: of as many panels, on a sheet of the same size."""
    shapes = [(len(each.axes), tuple(np.round(each.get_size_inches(), 6))) for each in figures]
    return [place for place, shape in enumerate(shapes) if shape == shapes[-1]]


def align(figures: Sequence[Figure]) -> None:
    """Give each panel of all figures the same place, limits that hold what any of them shows, and one scale of colours.

    Figures are built alike (`choose_like`). Panels lie where they lie in the last one.
    """
    last = figures[-1]
    last.draw_without_rendering()
    places = [axes.get_position(original=True) for axes in last.axes]
    for panel in zip(*(figure.axes for figure in figures), strict=True):
        for axes in panel:
            if isinstance(axes.get_aspect(), float):
                axes.set_adjustable("box")  # else limits would give way to equal units
        share_limits(panel)
        share_colours(panel)
    for figure in figures:
        figure.draw_without_rendering()  # titles and legends find their places
        figure.set_layout_engine("none")
        for axes, place in zip(figure.axes, places, strict=True):
            axes.set_position(place, which="both")


def share_limits(panel: Sequence[Axes]) -> None:
    """The least and the largest limit of each axis; one that runs backwards, as of a picture's rows, still does."""
    for name in ("x", "y", "z") if panel[-1].name == "3d" else ("x", "y"):
        ends = np.array([getp(axes, f"{name}lim") for axes in panel], float)
        for axes, (start, stop) in zip(panel, ends, strict=True):
            low, high = ends.min(), ends.max()
            axes.set(**{f"{name}lim": (high, low) if start > stop else (low, high)})


def share_colours(panel: Sequence[Axes]) -> None:
    """Of pictures, dots and arrows whose colour is a number: one scale from the least to the largest end."""
    for parts in zip(*map(_list_coloured, panel), strict=False):
        ends = [part.get_clim() for part in parts]
        known = [value for value in chain(*ends) if value is not None]
        if len(known) == 2 * len(parts):
            for part in parts:
                part.set_clim(min(known), max(known))


def _list_coloured(axes: Axes) -> Iterator[ScalarMappable]:
    for part in (*axes.images, *axes.collections):
        values = part.get_array()
        if values is not None and np.ndim(values) < 3:
            yield part


def make_film(figures: Sequence[Figure], labels: Sequence[str], shares: Sequence[float]) -> Animation:
    """Frames of figures that are aligned: below each its label, and a line as long as its share of the way."""
    frames = [_stamp(render(each), label, share) for each, label, share in zip(figures, labels, shares, strict=True)]
    milliseconds = [FIRST, *[EACH] * (len(frames) - 2), LAST][-len(frames) :]
    return Animation(frames, milliseconds)


def render(figure: Figure) -> np.ndarray:
    """(H, W, 3) uint8."""
    with Image.open(io.BytesIO(encode_png(figure, DPI))) as picture:
        return np.asarray(picture.convert("RGB"))


def _stamp(frame: np.ndarray, label: str, share: float) -> np.ndarray:
    height, width, _ = frame.shape
    sheet = Image.new("RGB", (width, height + STRIP), "white")
    sheet.paste(Image.fromarray(frame))
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((0, height, width, height + BAR), "#dddddd")
    draw.rectangle((0, height, max(2, round(share * width)), height + BAR), canvas.BLUE)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 15)
    draw.text((8, height + BAR + 5), label, "black", font)
    return np.asarray(sheet)

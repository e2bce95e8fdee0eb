"""A figure that shows texts as they stand, in letters that this machine has."""

from __future__ import annotations

import io
import re
import warnings
from functools import cache
from typing import final

import numpy as np
from matplotlib import font_manager
from matplotlib.axis import Axis
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatterMathtext, LogFormatterSciNotation
from PIL import Image

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
COMPRESSION = 3  # of a PNG, where 6 is usual: half the time, and a tenth more bytes


@final
class Page(Figure):
    """A figure whose texts stand as they were given: a class may be called `$_$`, which would be read as a formula."""

    def draw(self, renderer: RendererBase) -> None:
        """As ever, but no text is a formula."""
        for axes in self.axes:
            if not any(axes.get_title(loc) for loc in ("left", "center", "right")):
                axes.set_title("", y=1.0)  # else all that stands above is measured for a place that nothing takes
            write_powers(axes.xaxis)
            write_powers(axes.yaxis)
        for text in self.findobj(Text):
            if isinstance(text, Text):
                text.set_parse_math(False)
                if not text.get_text().isascii():
                    text.set_fontfamily([*text.get_fontfamily(), *list_fonts()])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands there
            super().draw(renderer)


def write_powers(ruler: Axis) -> None:
    """Let an axis write its powers as plain text: the first formula of a process takes a quarter of a second."""
    for get, put in (
        (ruler.get_major_formatter, ruler.set_major_formatter),
        (ruler.get_minor_formatter, ruler.set_minor_formatter),
    ):
        known = get()
        if isinstance(known, LogFormatterMathtext) and not isinstance(known, Powers):
            put(Powers(ruler.get_transform().base))  # pyright: ignore[reportAttributeAccessIssue] -- of a logarithm


@final
class Powers(LogFormatterSciNotation):
    """10⁻² and 2×10³ in letters."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        text = super().__call__(x, pos).removeprefix(r"$\mathdefault{").removesuffix("}$").replace(r"\times", "×")
        return re.sub(r"\^\{(-?\d+)\}", lambda power: power[1].translate(RAISED), text.replace("−", "-"))


def encode_png(figure: Figure, dpi: float | None = None) -> bytes:
    """The figure as a PNG file, drawn once: savefig draws it a first time for the layout alone."""
    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    own = figure.dpi
    try:
        figure.dpi = own if dpi is None else dpi
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())
        picture = Image.fromarray(pixels)
        if pixels[..., 3].min() == 255:
            picture = picture.convert("RGB")
        resolution = (figure.dpi, figure.dpi)
    finally:
        figure.dpi = own
    picture.save(buffer := io.BytesIO(), "png", compress_level=COMPRESSION, dpi=resolution)
    return buffer.getvalue()


@cache
def list_fonts() -> list[str]:
    """Of this machine, for letters that matplotlib's own font lacks."""
    names = set(font_manager.get_font_names())
    wanted = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Micro Hei", "Microsoft YaHei", "PingFang SC",
              "Hiragino Sans", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Arial Unicode MS",
              "Noto Emoji", "Symbola")  # fmt: skip
    return [name for name in wanted if name in names]

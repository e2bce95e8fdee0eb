"""What figures are drawn with: matplotlib's Agg, which keeps each text that it has measured and drawn.

Texts are half of the time of a figure with few dots, and most of them stand in several figures, in both passes of its
layout, and in each figure of the next run: numbers, names of classes, titles.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple, final

import numpy as np
from matplotlib import rcParams
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg, get_hinting_flag
from matplotlib.font_manager import FontProperties, fontManager, get_font
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

KEPT = 4096  # texts; a picture of one has some 2 kB
LONGEST = 200  # letters of a text that is kept
# Of matplotlib's settings, those that letters hang on beside their font.
SETTINGS = ("text.hinting", "text.hinting_factor", "text.kerning_factor", "font.enable_last_resort")


class Letters(NamedTuple):
    """A text in one line, upright."""

    cover: np.ndarray  # (H, W) uint8: how much of a pixel is ink
    left: float  # from where it stands to the picture
    below: float
    size: tuple[float, float, float]  # width, height and descent in pixels


@final
class Press(FigureCanvasAgg):
    """Draws a figure with `Printer`."""

    printer: Printer | None = None

    def draw(self) -> None:
        """What fonts are is asked anew for each drawing."""
        if self.printer is not None:
            self.printer.fonts.clear()
        super().draw()

    def get_renderer(self) -> Printer:
        """One for each size."""
        width, height = self.get_width_height(physical=True)
        key = (width, height, self.figure.dpi)
        if self.printer is None or (self.printer.width, self.printer.height, self.printer.dpi) != key:
            self.printer = Printer(*key)
        return self.printer


@final
class Printer(RendererAgg):
    """Agg, whose texts are kept; slanted ones and formulas are drawn as ever."""

    def __init__(self, width: float, height: float, dpi: float):
        super().__init__(width, height, dpi)
        self.fonts: dict[FontProperties, Font] = {}  # a figure of a hundred texts has some five

    def describe_font(self, font: FontProperties) -> Font:
        """As the function does, once for equal fonts of a drawing."""
        known = self.fonts.get(font)
        if known is None:
            known = self.fonts[font.copy()] = describe_font(font)
        return known

    def draw_text(
        self, gc: GraphicsContextBase, x: float, y: float, s: str, prop: FontProperties, angle: float,
        ismath: Any = False, mtext: Text | None = None,
    ) -> None:  # fmt: skip
        """At whole pixels, as letters are sharpest; `y` is counted from the top."""
        own = ismath or angle not in (0, 90) or not gc.get_antialiased() or len(s) > LONGEST
        if own or gc.get_clip_path()[0] is not None:
            return super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
        letters = draw_letters(s, *self.describe_font(prop), self.dpi)
        left, bottom, cover = letters.left, letters.below, letters.cover
        if angle:  # to the left of where it stands, upwards
            height, cover = cover.shape[0], np.rot90(cover)
            left, bottom = bottom + letters.size[2] - height, -left
        else:
            bottom += letters.size[2]
        red, green, blue, alpha = (*gc.get_rgb(), 1.0)[:4]
        if gc.get_forced_alpha():
            alpha = gc.get_alpha()
        ink = np.empty((*cover.shape, 4), np.uint8)
        ink[..., :3] = np.multiply((red, green, blue), 255).round()
        ink[..., 3] = cover if alpha == 1 else (cover * alpha).round()
        self.draw_image(gc, round(x + left), self.height - round(y + bottom) - 1, ink[::-1])

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> tuple[float, float, float]:
        """In pixels."""
        if ismath or len(s) > LONGEST:
            return super().get_text_width_height_descent(s, prop, ismath)
        return draw_letters(s, *self.describe_font(prop), self.dpi).size

    def _get_font_height_metrics(self, prop: FontProperties) -> tuple[float, float, float]:
        """Ascent, descent and gap of lines, which matplotlib 3.11 asks a renderer for; others ask the font."""
        return measure_lines(*self.describe_font(prop), self.dpi)


Font = tuple[tuple[Any, ...], float, tuple[Any, ...]]  # files, size, settings


def describe_font(font: FontProperties) -> Font:
    """All that decides what letters look like, as it is now: the files of its families, the size, and matplotlib's own
    settings. A user may change these between two figures."""
    settings = tuple(rcParams.get(key) for key in SETTINGS)
    return find_files(font), font.get_size_in_points(), (get_hinting_flag(), *settings)


def find_files(font: FontProperties) -> tuple[Any, ...]:
    """Those of its families that are on this machine, for letters that the first ones lack; else matplotlib's own."""
    found = []
    for family in font.get_family():
        single = font.copy()
        single.set_family(family)
        with suppress(ValueError):  # not on this machine
            found.append(fontManager.findfont(single, fallback_to_default=False))
    return tuple(found or [fontManager.findfont(font)])


@lru_cache(KEPT)
def draw_letters(
    text: str, files: tuple[Any, ...], size: float, settings: tuple[Any, ...], dpi: float
) -> Letters:  # fmt: skip
    """The text as its font has it, in white on black."""
    face = _prepare(files, size, dpi)
    face.set_text(text, 0.0, flags=get_hinting_flag())
    width, height = face.get_width_height()
    descent = face.get_descent()
    face.draw_glyphs_to_bitmap(antialiased=True)
    left, below = face.get_bitmap_offset()
    cover = np.array(face.get_image())  # the face's own is the next text's too
    return Letters(cover, left / 64, below / 64, (width / 64, height / 64, descent / 64))


def _prepare(files: tuple[Any, ...], size: float, dpi: float) -> FT2Font:
    face = get_font(list(files))
    face.clear()
    face.set_size(size, dpi)
    return face


@lru_cache(KEPT)
def measure_lines(
    files: tuple[Any, ...], size: float, settings: tuple[Any, ...], dpi: float
) -> tuple[float, float, float]:  # fmt: skip
    """Ascent and descent of a line and the gap between two, in pixels, as the font has them."""
    face = _prepare(files, size, dpi)
    head, windows, apple = face.get_sfnt_table("head"), face.get_sfnt_table("OS/2"), face.get_sfnt_table("hhea")
    if head is not None and windows is not None:
        found = (windows["sTypoAscender"], -windows["sTypoDescender"], windows["sTypoLineGap"])
    elif head is not None and apple is not None:
        found = (apple["ascent"], -apple["descent"], apple["lineGap"])
    else:
        _, height, descent = draw_letters("lp", files, size, settings, dpi).size
        return height - descent, descent, 0.0
    ascent, descent, gap = (float(each) / head["unitsPerEm"] * size * dpi / 72 for each in found)
    return ascent, descent, gap

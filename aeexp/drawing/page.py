"""A figure that shows texts as they stand, in letters that this machine has."""

from __future__ import annotations

import warnings
from functools import cache
from typing import final

from matplotlib import font_manager
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter


@final
class Page(Figure):
    """A figure whose texts stand as they were given: a class may be called `$_$`, which would be read as a formula."""

    def draw(self, renderer: RendererBase) -> None:
        """As ever, but for the powers that a logarithmic axis writes no text is a formula."""
        rulers = [ruler for axes in self.axes for ruler in (axes.xaxis, axes.yaxis)]
        ticks = [
            tick for ruler in rulers if isinstance(ruler.get_major_formatter(), LogFormatter)
            for tick in (*ruler.get_major_ticks(), *ruler.get_minor_ticks())
        ]  # fmt: skip
        powers = {text for tick in ticks for text in (tick.label1, tick.label2)}
        for text in self.findobj(Text):
            if isinstance(text, Text) and text not in powers:
                text.set_parse_math(False)
                if not text.get_text().isascii():
                    text.set_fontfamily([*text.get_fontfamily(), *list_fonts()])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands there
            super().draw(renderer)


@cache
def list_fonts() -> list[str]:
    """Of this machine, for letters that matplotlib's own font lacks."""
    names = set(font_manager.get_font_names())
    wanted = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Micro Hei", "Microsoft YaHei", "PingFang SC",
              "Hiragino Sans", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Arial Unicode MS",
              "Noto Emoji", "Symbola")  # fmt: skip
    return [name for name in wanted if name in names]

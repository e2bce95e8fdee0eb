"""Figures as files: what is drawn once is what savefig draws, texts are no formulas, and powers are plain letters."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from aeexp.drawing import canvas
from aeexp.drawing.page import encode_png


def draw(scale: str = "log"):
    figure = canvas.figure("a title of $_$", 5, 3)
    axes = figure.add_subplot()
    axes.plot([1, 2, 3], [0.02, 3, 400], label="$_$")
    axes.set(yscale=scale, xlabel="$x$")
    axes.legend()
    return figure


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("dpi", [None, 192])
def test_a_figure_that_is_drawn_once_has_the_pixels_of_savefig(scale, dpi):
    content, figure = encode_png(draw(scale), dpi), draw(scale)
    figure.savefig(buffer := io.BytesIO(), format="png", dpi=dpi or "figure")
    assert np.array_equal(pixels(content), pixels(buffer.getvalue()))
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.mode == "RGB" and picture.info["dpi"] == pytest.approx(
            (dpi or canvas.DPI,) * 2, abs=0.02
        )  # whole dots a metre


def test_what_shines_through_stays_so():
    figure = canvas.figure("", 2, 1)
    figure.patch.set_alpha(0.5)
    with Image.open(io.BytesIO(encode_png(figure))) as picture:
        assert picture.mode == "RGBA" and picture.getpixel((0, 0))[3] < 255


@pytest.mark.parametrize(
    ("low", "high", "written"),
    [(0.02, 400, {"10⁻¹", "10⁰", "10²"}), (2.0, 7.0, {"2×10⁰", "3×10⁰"})],
)
def test_powers_of_a_logarithmic_axis_are_no_formulas(low, high, written):
    figure = canvas.figure("", 4, 3)
    axes = figure.add_subplot()
    axes.plot([1, 2], [low, high])
    axes.set_yscale("log")
    encode_png(figure)
    texts = {text.get_text() for text in axes.yaxis.get_ticklabels(which="both")}
    assert written <= texts and not any("$" in text for text in texts)
    assert not any(text.get_parse_math() for text in figure.findobj(Text))

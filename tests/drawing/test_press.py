"""Texts that are kept: measured and drawn as matplotlib's own renderer does, but for parts of a pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from aeexp.drawing.press import Press, Printer, draw_letters

WORDS = st.text("abcgjpqxyzAQW0123456789.,-−µ→()", min_size=1, max_size=12)


def ink(canvas, text: str, dpi: float = 100, **words) -> np.ndarray:
    """(H, W) how dark a figure of 4 x 4 inches is with that text in its middle; 0 is white."""
    figure = Figure(figsize=(4, 4), dpi=dpi)
    drawn = canvas(figure)
    figure.text(0.5, 0.5, text, parse_math=False, **words)
    drawn.draw()
    return 255 - np.asarray(drawn.buffer_rgba())[..., 1].astype(int)


def box(dark: np.ndarray) -> np.ndarray:
    """Ends of what is not white."""
    return np.array([np.flatnonzero(dark.sum(axis))[[0, -1]] for axis in (0, 1)])


@settings(max_examples=30, deadline=None)
@given(WORDS, st.sampled_from([7, 8.5, 11]), st.sampled_from([96, 120]), st.sampled_from([None, 0.4]), st.booleans())
def test_a_text_is_where_matplotlib_draws_it(text, size, dpi, alpha, upwards):
    words = {"fontsize": size, "alpha": alpha, "rotation": 90 if upwards else 0, "color": (0.1, 0.2, 0.3)}
    own, known = (ink(canvas, text, dpi, **words) for canvas in (Press, FigureCanvasAgg))
    # each letter at whole pixels: up to one to each side, and another by rounding where the text stands
    assert np.abs(box(own) - box(known)).max() <= 2
    assert own.max() <= 255 * (alpha or 1) * 0.8 + 1  # never darker than its colour
    assert own.sum() == pytest.approx(known.sum(), rel=0.15)  # a thin stroke on two pixels may be cut at an end


@settings(max_examples=20, deadline=None)
@given(WORDS, st.sampled_from([7, 11]))
def test_what_is_measured_is_what_matplotlib_measures(text, size):
    font = FontProperties(size=size)
    given_by = [kind(100, 100, 120).get_text_width_height_descent(text, font, False) for kind in (Printer, RendererAgg)]
    assert given_by[0] == given_by[1]


def test_a_text_upwards_is_the_text_turned():
    level, upwards = ink(Press, "gjW 12"), ink(Press, "gjW 12", rotation=90)
    (left, right), (top, bottom) = box(level)
    (west, east), (north, south) = box(upwards)
    assert np.array_equal(
        np.rot90(level[top : bottom + 1, left : right + 1]), upwards[north : south + 1, west : east + 1]
    )


def test_texts_between_change_nothing():
    first = ink(Press, "3.14", color="red")
    for text, size in (("8", 7), ("3.14", 20), ("µ→", 10)):
        ink(Press, text, fontsize=size, fontfamily=["DejaVu Sans", "DejaVu Serif"])
    draw_letters.cache_clear()
    assert np.array_equal(first, ink(Press, "3.14", color="red"))


@pytest.mark.parametrize("setting", [{"font.sans-serif": ["DejaVu Serif"]}, {"text.hinting": "none"}])
def test_a_setting_that_letters_hang_on_is_seen_at_the_next_text(setting):
    before = ink(Press, "gjW 12")
    with rc_context({"font.family": "sans-serif", **setting}):
        own, known = (ink(canvas, "gjW 12") for canvas in (Press, FigureCanvasAgg))
    assert not np.array_equal(before, own) and own.sum() == pytest.approx(known.sum(), rel=0.15)


def test_slanted_texts_and_formulas_are_matplotlibs_own():
    own, known = (ink(canvas, "ab", rotation=30) for canvas in (Press, FigureCanvasAgg))
    assert np.array_equal(own, known)


def test_lines_of_a_text_stand_as_far_apart_as_matplotlibs():
    own, known = (box(ink(canvas, "x\nx\nx"))[1] for canvas in (Press, FigureCanvasAgg))
    assert np.abs(own - known).max() <= 1


def test_a_figure_that_grows_has_another_renderer():
    figure = Figure(figsize=(1, 1), dpi=100)
    canvas = Press(figure)
    first = canvas.get_renderer()
    assert canvas.get_renderer() is first
    figure.dpi = 200
    assert canvas.get_renderer().width == 200

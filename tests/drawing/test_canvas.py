"""What all figures share: which rows are shown, how numbers are written, and that none of it needs torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from aeexp.drawing import canvas


def test_rows_are_spread_over_the_classes():
    labels = np.array([0, 0, 0, -1, 2, 2, 1])
    assert canvas.choose_rows(labels, 5, 7).tolist() == [0, 6, 4, 1, 5]
    assert canvas.choose_rows(labels, 99, 7).tolist() == [0, 6, 4, 1, 5, 2, 3]
    assert canvas.choose_rows(None, 3, 7).tolist() == canvas.choose_rows(np.full(7, -1), 3, 7).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.0, 3, "0"), (1e-12, 3, "0"), (1.0, 3, "1.00"), (-0.25, 2, "−0.25"), (1234.4, 3, "1234"), (12.0, 2, "12")],
)
def test_numbers_are_short_and_have_a_long_minus(value, digits, text):
    assert canvas.format_number(value, digits) == text


def test_panels_that_are_not_needed_are_not_shown():
    figure = canvas.figure("six places, four panels", 4, 3)
    panels = canvas.panels(figure, 2, 3, 4)
    assert len(panels) == 4 and [axes.get_visible() for axes in figure.axes] == [True] * 4 + [False] * 2


def test_reports_draw_without_torch():
    code = "import sys, aeexp.drawing.canvas; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

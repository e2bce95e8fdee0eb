"""plot=curves: the lines are the rows of the history."""

from __future__ import annotations

import pytest
from drawn import HISTORY, run_of

from aeexp.plots.curves import Curves


def test_curves_mark_the_lowest_validation_loss(digit_data):
    figure = Curves()(run_of(digit_data, history=HISTORY))["curves"]
    assert [axes.get_title() for axes in figure.axes] == ["loss", "reconstruction", "l1"]
    for axes, best in zip(figure.axes, (2.0, 1.9, 0.1), strict=True):
        training, validation, mark, dot = axes.lines
        assert list(validation.get_xdata()) == list(training.get_xdata()) == [10, 20, 30, 40]
        assert list(mark.get_xdata()) == [30, 30] and dot.get_xydata().tolist() == [[30, pytest.approx(best)]]
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "log", "linear"]
    assert list(figure.axes[0].lines[1].get_ydata()) == [90, 5, 2, 3]
    assert "2 at step 30 (epoch 1.5)" in figure.legends[0].get_texts()[2].get_text()


def test_a_logarithmic_axis_has_numbers_that_one_reads(digit_data):
    figure = Curves()(run_of(digit_data, history=HISTORY))["curves"]
    figure.draw_without_rendering()
    for axes in figure.axes[:2]:
        low, high = axes.get_ylim()
        shown = [float(label.get_text()) for label in axes.get_yticklabels() if low <= label.get_position()[1] <= high]
        assert len(shown) >= 3 and not any(label.get_text() for label in axes.get_yticklabels(minor=True))


def test_curves_show_the_training_rows_of_the_state_that_is_kept(digit_data):
    run = run_of(digit_data, history=HISTORY)
    run.trained, run.best_step = {"loss": 7.5}, HISTORY[-1]["step"]
    axes = Curves()(run)["curves"].axes[0]
    [mark] = [line for line in axes.lines if line.get_label().startswith("training rows")]
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([HISTORY[-1]["step"]], [7.5])


def test_curves_of_one_term_have_one_panel_and_of_a_closed_form_none(digit_data):
    short = [{key: value for key, value in row.items() if key != "l1"} for row in HISTORY]
    assert len(Curves()(run_of(digit_data, history=short))["curves"].axes) == 1
    assert Curves()(run_of(digit_data, history=HISTORY[:2])) == {}
    assert Curves()(run_of(digit_data)) == {}

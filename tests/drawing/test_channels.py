"""Pictures of two, four, five channels: every value of every channel is in the tile, and no mean of them."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import perceptron, rows_of, run_of, save
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from aeexp.drawing import canvas, channels
from aeexp.drawing.marking import mark_hole
from aeexp.evaluation.run import Run
from aeexp.plots.reconstructions import Reconstructions
from aeexp.plots.walk import Walk
from aeexp.runs.figures import project

SIDES = st.integers(1, 6)


@given(st.integers(1, 12), SIDES, SIDES, st.integers(1, 3))
def test_a_tile_holds_every_value_of_the_channels_that_it_names(count, height, width, rows):
    pictures = np.arange(rows * count * height * width, dtype=np.float32).reshape(rows, count, height, width)
    tiles = channels.spread(pictures)
    if count in (1, 3):
        assert tiles is pictures and not channels.describe(pictures.shape[1:])
        return
    assert tiles.shape == (rows, 1, *channels.measure(pictures.shape[1:]))
    shown = min(count, channels.SHOWN)
    for tile, picture in zip(tiles, pictures, strict=True):
        assert np.sort(tile[~np.isnan(tile)]).tolist() == picture[:shown].ravel().tolist()
    assert f"channels 1 to {shown}" in channels.describe(pictures.shape[1:])
    assert (f"of {count}" in channels.describe(pictures.shape[1:])) == (count > shown)


@pytest.mark.parametrize("count", [2, 4, 5])
def test_tiles_are_drawn_as_they_are(count):
    examples = np.random.default_rng(0).uniform(size=(2, 3, count, 4, 6)).astype(np.float32)
    axes = Figure().add_subplot()
    canvas.lay_out(axes, 3, 2, examples.shape[2:])
    sheet = np.ma.filled(canvas.draw_tiles(axes, examples, (0.0, 1.0)).get_array(), np.nan)
    assert np.sort(sheet[~np.isnan(sheet)]) == pytest.approx(np.sort(examples.ravel()))


@pytest.fixture(scope="module", params=[2, 4, 5])
def run(request) -> Run:
    data = rows_of((request.param, 6, 9), np.arange(60) % 3)
    return run_of(data, perceptron(data, 2))


def test_figures_name_the_channels_and_errors_have_a_sign_in_each(run):
    figure = Reconstructions(examples=3)(run)["reconstructions"]
    save(figure)
    assert f"channels 1 to {run.data.shape[0]} of each picture" in figure.get_suptitle()
    assert any(axes.get_ylabel() == "error: output − input" for axes in figure.axes)
    assert Walk()(run)


def test_sprites_of_the_projector_are_the_same_tiles(run):
    pictures = project(run, 5)[2]
    assert pictures is not None and pictures.shape[1] == 1
    height, width = channels.measure(run.data.shape)
    assert pictures.shape[2] >= max(height, width) and bool(pictures.isfinite().all())


def test_a_hole_in_several_channels_is_paper():
    whole, hole = np.zeros((1, 4, 3, 3), np.float32), np.zeros((1, 1, 3, 3), bool)
    hole[0, 0, 1] = True
    shown = mark_hole(whole, hole, (0.0, 1.0))
    assert shown.shape == whole.shape and np.isnan(shown[:, :, 1]).all() and np.isfinite(shown[:, :, 0]).all()

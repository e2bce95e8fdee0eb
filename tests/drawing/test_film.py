"""Frames of a film do not jump: what one figure shows has the same place, limits and colours in all."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.artist import getp
from PIL import Image

from aeexp.drawing import canvas
from aeexp.drawing.animation import encode_gif
from aeexp.drawing.film import STRIP, align, choose_like, make_film, render


def draw(scale: float):
    """A panel of dots with units of equal length, one of a picture with its colours, and labels of other widths."""
    figure = canvas.figure("a title", 6, 3)
    left, right = figure.subplots(1, 2)
    left.scatter(scale * np.arange(4), scale * np.array([3, -1, 2, 0]))
    left.set_aspect("equal", "datalim")
    left.set_ylabel(f"{10**6 * scale:.0f}")
    image = right.imshow(scale * np.arange(6).reshape(2, 3))
    figure.colorbar(image, ax=right)
    return figure


def describe(figure) -> list[tuple]:
    figure.draw_without_rendering()
    return [(*axes.get_position().bounds, *getp(axes, "xlim"), *getp(axes, "ylim")) for axes in figure.axes]


def test_panels_of_all_frames_have_one_place_and_one_scale():
    figures = [draw(scale) for scale in (0.1, 1.0, 30.0, 3.0)]
    assert len({tuple(describe(figure)[0]) for figure in figures}) == 4  # else nothing is shown below
    figures = [draw(scale) for scale in (0.1, 1.0, 30.0, 3.0)]
    align(figures)
    described = [np.array(describe(figure)) for figure in figures]
    for each in described[1:]:
        assert np.allclose(each, described[0], atol=1e-9)
    low, high = sorted(getp(figures[0].axes[0], "ylim"))
    assert low <= -30 and high >= 90  # what the widest of them shows
    assert {figure.axes[1].images[0].get_clim() for figure in figures} == {(0.0, 150.0)}
    assert figures[0].axes[1].get_ylim()[0] > figures[0].axes[1].get_ylim()[1]  # rows of a picture run down


def test_a_film_says_the_step_of_each_frame_and_ends_longer():
    figures = [draw(scale) for scale in (1.0, 2.0, 3.0)]
    align(figures)
    height, width, _ = render(figures[0]).shape
    film = make_film(figures, ["step 0", "step 1", "step 2"], [0.0, 0.5, 1.0])
    assert {frame.shape for frame in film.frames} == {(height + STRIP, width, 3)}
    below = [frame[height:] for frame in film.frames]
    lengths = [int((strip[1] == np.array([int(canvas.BLUE[i : i + 2], 16) for i in (1, 3, 5)])).all(1).sum())
               for strip in below]  # fmt: skip
    assert lengths[0] <= 3 and abs(lengths[1] - width / 2) <= 2 and lengths[2] == width
    assert film.milliseconds[-1] == max(film.milliseconds) > film.milliseconds[1]
    with Image.open(io.BytesIO(encode_gif(film))) as gif:
        assert gif.n_frames == 3


def test_figures_of_other_panels_are_no_frames():
    other = canvas.figure("a title", 6, 3)
    other.subplots(1, 2)
    assert choose_like([other, draw(1.0), draw(2.0)]) == [1, 2]

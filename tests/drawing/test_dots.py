"""Classes are told apart by colour and shape, however many."""

from __future__ import annotations

import numpy as np
import pytest

from aeexp.drawing import canvas, dots, naming


def test_no_two_looks_are_alike():
    assert len({dots.look(place) for place in range(dots.LOOKS)}) == dots.LOOKS == 100
    assert [dots.look(place)[0] for place in range(10)] == list(canvas.COLOURS)


@pytest.mark.parametrize("classes", [2, 10, 11, 40, 100])
def test_every_class_is_in_the_legend_with_its_own_look(classes):
    labels = np.arange(3 * classes) % classes
    points = np.random.default_rng(0).normal(size=(len(labels), 2))
    figure = canvas.figure("", 6, 5)
    axes = figure.add_subplot()
    hue = dots.Hue(labels, "class", True, [f"c{i}" for i in range(classes)])
    assert dots.draw_dots(axes, points, hue) is None
    dots.draw_key(figure, [axes], None, hue)
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"c{i}" for i in range(classes)]
    looks = {(tuple(group.get_facecolor()[0]), group.get_paths()[0].vertices.tobytes()) for group in axes.collections}
    assert len(looks) == classes
    # above ten a name stands on the dots as well
    assert {text.get_text() for text in axes.texts} == ({f"c{i}" for i in range(classes)} if classes > 10 else set())


def test_more_classes_than_looks_have_a_colour_bar():
    labels = np.arange(303) % 101
    axes = canvas.figure("", 6, 5).add_subplot()
    assert dots.draw_dots(axes, np.zeros((303, 2)), dots.Hue(labels, "class", True)) is not None


@pytest.mark.parametrize("longest", [5, 12, 20])
def test_a_name_is_cut_to_its_room(longest):
    name = "Married-civ-spouse-and-more"
    assert len(naming.shorten(name, longest)) == len(naming.cut(name, longest)) == longest
    assert naming.cut(name, longest).startswith("Marr") and naming.shorten(name, 20) == "Married-civ-…nd-more"
    assert naming.shorten("abc", longest) == naming.cut("abc", longest) == "abc"

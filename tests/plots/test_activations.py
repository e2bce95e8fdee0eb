"""plot=activations: histograms and class means are those of the test codes."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import perceptron, rows_of, run_of, save

from aeexp.latents.binary import Binary
from aeexp.latents.sparse import TopK
from aeexp.plots.activations import Activations


@pytest.mark.parametrize("latent", [None, TopK(24, 5), Binary(dim=24)], ids=["dense", "sparse", "bits"])
def test_activations_are_counted_unit_by_unit_and_averaged_class_by_class(digit_data, latent):
    run = run_of(digit_data, latent=latent)
    figures = Activations(units=12)(run)
    codes, labels = run.codes("test").astype(float), run.labels("test")
    order = np.argsort(-codes.std(0), kind="stable")[:12]
    axes = figures["activations"].axes[0]
    names = [text.get_text() for text in axes.texts]
    assert [int(name.removeprefix("unit ").split(":")[0]) - 1 for name in names] == order[: len(names)].tolist()
    shapes = [path.vertices for path in axes.collections[0].get_paths()]
    heights = np.array([shape[:, 1].max() - shape[:, 1] for shape in shapes]).max(1)
    assert heights.max() == pytest.approx(0.66), "the highest bar of all is as high as its cell"
    if isinstance(latent, TopK):
        assert [name.split("active ")[1] for name in names] == [f"{(codes[:, u] != 0).mean():.0%}" for u in order]
    boards = figures["activations_by_class"].axes
    means = np.array([codes[labels == label][:, order].mean(0) for label in range(10)])
    pixels = next(axes for axes in boards if axes.get_ylabel() == "mean of class").images[0].get_array()
    np.testing.assert_allclose(pixels, means, atol=1e-6)
    rows = np.asarray(boards[0].images[0].get_array())
    np.testing.assert_allclose(rows, codes[np.argsort(labels, kind="stable")][:, order], atol=1e-6)
    for figure in figures.values():
        save(figure)


def test_dead_units_are_counted_and_told(digit_data):
    run = run_of(digit_data)
    run.model.encoder.layers[-1].weight.data[1:] = 0
    for figure in Activations()(run).values():
        said = " ".join(figure.get_suptitle().split())  # it breaks where the figure ends
        assert "the 3 of 4 units with the largest standard deviation; 3 never vary (2 shown)" in said
    unlabelled = rows_of((4,))
    for figure in Activations()(run_of(unlabelled, perceptron(unlabelled, 1))).values():
        assert "the one unit by standard deviation" in " ".join(figure.get_suptitle().split())
        save(figure)

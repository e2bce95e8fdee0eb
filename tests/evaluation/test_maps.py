"""Maps of codes into the plane: what they keep, that a seed fixes them, and that all panels show the same points."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from drawn import perceptron, rows_of, run_of, save, stochastic
from matplotlib.colors import to_hex
from matplotlib.patches import Circle

from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.sets.bundled import diabetes
from aeexp.datasets.sets.painted import colored_digits
from aeexp.errors import UsageError
from aeexp.evaluation import maps
from aeexp.plots.scatter import Scatter

INSTALLED = [
    pytest.param(name, marks=pytest.mark.slow)  # numba compiles for half a minute
    for name in maps.PACKAGES
    if importlib.util.find_spec(name)
]


def clusters(n: int = 90, dim: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Three far apart: distance 10 between centres, standard deviation 0.1."""
    label = np.arange(n) % 3
    centres = 10 * np.eye(dim)[:3]
    return centres[label] + np.random.default_rng(0).normal(0, 0.1, (n, dim)), label


def test_pca_of_a_plane_is_the_plane_turned():
    plane = np.random.default_rng(0).normal(size=(40, 2)) @ np.diag([3.0, 1.0])
    basis = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 2)))[0]
    points = maps.embed("pca", plane @ basis.T + 5, 0)

    def distances(x):
        return np.linalg.norm(x[:, None] - x, axis=-1)

    np.testing.assert_allclose(distances(points), distances(plane), atol=1e-10)  # an isometry, but for rounding
    assert maps.shares(plane @ basis.T)[:2].sum() == pytest.approx(1) and np.diff(maps.shares(plane))[0] <= 0
    assert maps.trustworthiness(plane @ basis.T, points) == pytest.approx(1)


def test_pca_does_not_depend_on_the_order_of_rows_nor_on_the_seed():
    codes = clusters()[0]
    order = np.random.default_rng(3).permutation(len(codes))
    # signs are fixed, so what differs is rounding alone
    np.testing.assert_allclose(maps.embed("pca", codes[order], 7), maps.embed("pca", codes, 0)[order], atol=1e-9)


@pytest.mark.parametrize("name", ["tsne", *INSTALLED])
def test_a_seed_fixes_a_map_and_clusters_stay_apart(name):
    codes, label = clusters()
    points = maps.embed(name, codes, 0)
    assert points.shape == (90, 2) and points.dtype == np.float64 and np.isfinite(points).all()
    np.testing.assert_array_equal(maps.embed(name, codes, 0), points)
    gap = np.linalg.norm(points[:, None] - points, axis=-1)
    np.fill_diagonal(gap, np.inf)
    assert (label[gap.argmin(1)] == label).all(), "the nearest point is of the same cluster"
    assert maps.trustworthiness(codes, points) > 0.8  # 30 rows a cluster: at worst all 5 ranks are off by 25 of 90
    np.testing.assert_allclose(maps.embed(name, 1000 * codes + 3, 0).shape, (90, 2))
    few = np.random.default_rng(0).normal(size=(maps.LEAST[name], 4))
    assert np.isfinite(maps.embed(name, few, 0)).all()


def test_trust_is_about_a_half_by_chance_and_unknown_for_few_rows():
    draw = np.random.default_rng(0)
    # ranks of random neighbours are uniform: mean excess about n / 2 of at most n; its error is below 1 / sqrt(5 n)
    assert maps.trustworthiness(draw.normal(size=(400, 8)), draw.normal(size=(400, 2))) == pytest.approx(0.5, abs=0.1)
    assert maps.trustworthiness(draw.normal(size=(10, 8)), draw.normal(size=(10, 2))) is None


def test_what_has_no_map_is_told():
    assert not maps.is_mappable("tsne", np.ones((50, 3))) and not maps.is_mappable("tsne", np.eye(4))
    assert maps.is_mappable("pca", np.ones((2, 3))) and not maps.embed("pca", np.ones((2, 3)), 0).any()
    with pytest.raises(UsageError, match=r"^name=tsne needs 5 codes that are not all the same"):
        maps.embed("tsne", np.eye(4), 0)


def test_a_missing_package_is_told_before_anything_is_trained(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in maps.PACKAGES else found(name))
    with pytest.raises(UsageError) as caught:
        Scatter(maps=["pca", "umap", "pacmap"])
    text = str(caught.value)
    assert text.startswith("maps=") and "umap-learn and pacmap" in text and text.count("\n") == 1
    assert "pip install 'aeexp[maps]'" in text
    Scatter(maps=["tsne"])


def test_all_maps_show_the_same_points_in_the_same_colours_and_say_how_far_to_trust_them(digit_data, monkeypatch):
    seen = {}

    def recorded(name, codes, seed, perplexity):
        seen[name] = codes
        return codes[:, :2] * {"pca": 1, "tsne": 2, "umap": 3, "pacmap": 4}[name]

    monkeypatch.setattr(maps, "embed", recorded)
    monkeypatch.setattr(maps, "require", lambda names: None)
    run = run_of(digit_data, perceptron(digit_data, 6))
    figure = Scatter(rows=60, maps=["tsne", "umap", "pacmap"])(run)["scatter"]
    save(figure)
    assert list(seen) == ["pca", "tsne", "umap", "pacmap"], "PCA always stands beside"
    assert all((codes == seen["pca"]).all() for codes in seen.values()) and len(seen["pca"]) == 60
    first = figure.axes[0]
    for axes, times in zip(figure.axes, (1, 2, 3, 4), strict=True):
        trust = maps.trustworthiness(seen["pca"], seen["pca"][:, :2] * times, 5)
        assert f"trustworthiness {trust:.3f}" in axes.get_title()
        for a, b in zip(first.collections, axes.collections, strict=True):
            np.testing.assert_allclose(np.asarray(b.get_offsets()), times * np.asarray(a.get_offsets()))
            assert to_hex(a.get_facecolor()[0]) == to_hex(b.get_facecolor()[0]) and a.get_label() == b.get_label()


def test_colours_are_quantities_where_there_are_no_classes_and_an_attribute_where_it_is_asked_for():
    data = diabetes(name="diabetes", split=Fractions([8, 1, 1]))
    for dim in (1, 2, 3):
        figure = Scatter()(run_of(data, perceptron(data, dim)))["scatter"]
        save(figure)
        if dim > 1:
            values = np.asarray(figure.axes[0].collections[0].get_array())
            np.testing.assert_allclose(np.sort(values), np.sort(data["test"].rows.response), rtol=1e-6)
        assert "progression" in [axes.get_ylabel() for axes in figure.axes]
    colors = colored_digits(size=8, name="colors", split=Fractions([8, 1, 1]))
    run = run_of(colors, perceptron(colors, 2))
    by_class, by_color = (Scatter(attribute=a)(run)["scatter"] for a in (None, "color"))
    assert by_class.legends[0].get_title().get_text() == "class"
    legend = by_color.legends[0]
    assert legend.get_title().get_text() == "color" and [t.get_text() for t in legend.get_texts()] == ["orange", "blue"]
    for wrong in ("colour", 1, -1):
        with pytest.raises(UsageError, match=rf"^attribute={wrong}: this data has color"):
            Scatter(attribute=wrong)(run)
    with pytest.raises(UsageError, match=r"^attribute=0: this data has no attributes"):
        Scatter(attribute=0)(run_of(rows_of((4,))))


def test_a_code_of_two_units_is_drawn_to_scale_and_a_vae_with_the_circle_of_its_prior(digit_data):
    plain = Scatter()(run_of(digit_data, perceptron(digit_data, 2)))["scatter"].axes
    assert len(plain) == 1 and plain[0].get_aspect() == 1 and not plain[0].patches
    assert (plain[0].get_xlabel(), plain[0].get_ylabel()) == ("unit 1 of the code", "unit 2 of the code")
    figure = Scatter()(stochastic(digit_data, 2))["scatter"]
    save(figure)
    (circle,) = (patch for patch in figure.axes[0].patches if isinstance(patch, Circle))
    torch.manual_seed(0)
    inside = (torch.randn(100_000, 2).norm(dim=1) < circle.get_radius()).float().mean()
    assert float(inside) == pytest.approx(0.95, abs=0.003)  # 4 standard errors: 4 sqrt(0.95 0.05 / 100,000)
    left, right = figure.axes[0].get_xlim()
    assert left < -circle.get_radius() and right > circle.get_radius()
    assert len(Scatter()(stochastic(digit_data, 3))["scatter"].axes[0].patches) == 0

"""Rows of one to three numbers are points: fields, sheets, moves and distances say what they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import perceptron, rows_of, run_of, save
from matplotlib.contour import QuadContourSet
from matplotlib.quiver import Quiver

from aeexp import noises
from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.sets.generated import moons
from aeexp.drawing import cloud
from aeexp.drawing.sheet import LINES, decode_cells, decode_curve
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.plots.contours import Contours, look_along
from aeexp.plots.displacement import Displacement, measure_displacement, project_codes
from aeexp.plots.distances import Distances, draw_triples, find_ratios
from aeexp.plots.field import Field, move
from aeexp.plots.interpolation import Interpolation
from aeexp.plots.manifold import Manifold
from aeexp.plots.reconstructions import Reconstructions
from aeexp.plots.samples import Samples


@pytest.mark.parametrize("features", [1, 2, 3])
@pytest.mark.parametrize("dim", [1, 2])
def test_every_figure_of_points_is_saved_whole(features, dim):
    data = rows_of((features,), np.arange(60) % 3, ("a", "_b", "$c$"))
    run = run_of(data, perceptron(data, dim), {"gaussian": noises.Gaussian(0.2)})
    assert cloud.is_cloud(data)
    plots = (Reconstructions(), Manifold(), Interpolation(), Interpolation(within_class=True), Samples())
    figures = {name: figure for plot in plots for name, figure in plot(run).items()}
    assert figures.keys() == {"reconstructions", "manifold", "interpolation", "samples"}
    for figure in figures.values():
        save(figure)


def test_pictures_and_rows_of_four_numbers_are_no_points(digit_data):
    assert not cloud.is_cloud(digit_data) and not cloud.is_cloud(rows_of((4,)))
    run = run_of(digit_data, perceptron(digit_data, 2))
    assert Field()(run) == {}
    assert Distances()(run_of(rows_of((2,), np.arange(60) % 2))) == {}


def test_a_curve_and_a_sheet_are_what_the_decoder_makes_of_codes():
    data = rows_of((3,), n=300)
    run = run_of(data, perceptron(data, 1))
    low, high = np.percentile(run.codes("train"), (1, 99))
    ends = torch.tensor([[low], [high]], dtype=torch.float32)
    with torch.no_grad():
        np.testing.assert_allclose(decode_curve(run)[[0, -1]], run.model.decode(ends), atol=1e-6)
    run = run_of(data, perceptron(data, 2))
    cells = decode_cells(run)
    assert cells.shape[1:] == (4, 3) and 0 < len(cells) <= (LINES - 1) ** 2
    # neighbours share a side: most of the corners are drawn more than once
    assert len(np.unique(cells.reshape(-1, 3).round(5), axis=0)) < 0.5 * cells.shape[0] * 4


def test_pcas_lines_of_equal_code_are_straight_and_at_right_angles_to_its_axis():
    data = rows_of((2,), n=300)
    run = run_of(data, perceptron(data, 1))
    figure = Contours()(run)["contours"]
    assert [axes.get_title() for axes in figure.axes] == ["PCA, width 1: unit 1", "kernel PCA: unit 1", "model: unit 1"]
    save(figure)
    weight = run.pca().model.encoder.linears()[0].weight.detach().double()[0].numpy()
    lines = next(each for each in figure.axes[0].collections if isinstance(each, QuadContourSet) and not each.filled)
    ways = [path[-1] - path[0] for level in lines.allsegs for path in level if len(path) > 1]
    # float32 codes of numbers below 3 on a plane that is 81 points wide
    assert ways and max(abs(way @ weight) for way in map(np.asarray, ways)) < 1e-3
    assert Contours()(run_of(rows_of((3,)))) == {}


def test_of_many_units_the_components_are_seen():
    codes = np.random.default_rng(0).standard_normal((500, 4)) * [1.0, 3.0, 0.1, 2.0]
    views = look_along(codes, codes, 4)
    assert [view.title for view in views] == [f"unit {unit}" for unit in (2, 4, 1, 3)]
    views = look_along(codes, codes, 2)
    assert [view.title.split("\n")[0] for view in views] == ["component 1", "component 2"]
    # with variances 9 and 4 of 500 rows the axes are those of the units to a few hundredths
    for view, unit in zip(views, (1, 3), strict=True):
        assert abs(np.corrcoef(view.values, codes[:, unit])[0, 1]) > 0.99


def test_pcas_field_is_at_right_angles_to_its_line_and_arrows_are_what_it_moves():
    data = rows_of((2,), n=300)
    run = run_of(data, perceptron(data, 1))
    grid = Field(side=7).lay_grid(run)
    moves = move(run.pca().model, grid)
    direction = torch.linalg.svd(run.pca().model.decoder.linears()[0].weight.double(), full_matrices=False)[0][:, 0]
    # float32 of numbers below 8
    torch.testing.assert_close(
        moves.detach().double() @ direction, torch.zeros(49, dtype=torch.float64), atol=1e-5, rtol=0
    )
    figure = Field(side=7)(run)["field"]
    arrows = next(each for each in figure.axes[0].collections if isinstance(each, Quiver))
    own = move(run.model, grid).detach()
    np.testing.assert_allclose(np.stack([arrows.U, arrows.V], 1), own, atol=1e-5)
    save(figure)


def test_what_moves_nothing_has_displacement_0_and_fresh_codes_have_1():
    codes = np.random.default_rng(0).standard_normal((4000, 5))
    assert measure_displacement(codes, codes) == 0
    # independent codes are as far as two of them; 4,000 rows of 5 units: standard error 0.4 %
    assert measure_displacement(codes, np.roll(codes, 1, 0)) == pytest.approx(1, abs=0.02)
    assert np.isnan(measure_displacement(codes * 0, codes))


def test_what_does_not_move_is_drawn_where_it_is():
    codes = np.random.default_rng(0).standard_normal((300, 6)) * [1.0, 5.0, 1.0, 1.0, 3.0, 1.0]
    start, end = project_codes(codes[:40], codes[:40], codes)
    np.testing.assert_array_equal(start, end)
    # 300 rows with variances 25 and 9 beside 1: the axes are units 2 and 5 to a few hundredths
    assert [abs(np.corrcoef(start[:, place], codes[:40, unit])[0, 1]) > 0.98 for place, unit in ((0, 1), (1, 4))] == [
        True, True,
    ]  # fmt: skip
    start, end = project_codes(codes[:40], codes[:40] + 1.0, codes)
    np.testing.assert_allclose(end - start, np.broadcast_to((end - start)[0], (40, 2)), atol=1e-12)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_displacement_is_drawn_of_any_code(digit_data, dim):
    run = run_of(digit_data, perceptron(digit_data, dim))
    figure = Displacement(noise={"gaussian": noises.Gaussian(0.1)}, level=0.0)(run)["displacement"]
    assert "moved by 0.00 of the mean distance" in figure.axes[0].get_title()
    save(figure)


def test_ratios_are_those_of_distances_and_triples_those_of_classes(digit_data):
    space = np.array([[0.0], [1.0], [4.0], [0.0]])
    np.testing.assert_allclose(
        find_ratios(space, np.array([[0, 1, 2], [0, 3, 2], [0, 2, 3], [0, 3, 3]])), [0.25, 0, np.inf, 1]
    )
    labels = digit_data["test"].y.numpy()
    a, b, c = draw_triples(labels, 0).T
    assert (labels[a] == labels[b]).all() and (labels[a] != labels[c]).all() and (a != b).all() and len(a) > 1000
    assert draw_triples(None, 0).shape == draw_triples(np.zeros(9, int), 0).shape == (0, 3)
    run = run_of(digit_data, perceptron(digit_data, 4))
    save(Distances()(run)["distances"])
    figure = Distances(triples=[[0, 1, 2]])(run)["distances"]
    assert len(figure.axes[1].lines[1].get_xdata()) == 1


@pytest.mark.parametrize(
    ("triples", "message"), [([[0, 1]], "each is three numbers"), ([[0, 1, 10**6]], "has rows 0 to")]
)
def test_triples_that_are_none_are_refused(digit_data, triples, message):
    with pytest.raises(UsageError, match=message):
        Distances(triples=triples)(run_of(digit_data, perceptron(digit_data, 2)))


def test_the_best_denoisers_arrows_are_the_score(as_data, build_learner):
    """Of N(0, I) under noise of variance s² it is x / (1 + s²): r(x) - x is s² times the score -x / (1 + s²)."""
    rows = np.random.default_rng(0).normal(0, 1, (300, 2)).astype(np.float32)
    learner = build_learner((2,), 2, noises={"gaussian": noises.Gaussian(0.5)})
    for layer, scale in ((learner.model.encoder.layers[0], 1.0), (learner.model.decoder.layers[0], 1 / 1.25)):
        layer.weight.data = scale * torch.eye(2)
        layer.bias.data.zero_()
    figure = Field(side=9)(Run(learner, as_data(rows)))["field"]
    arrows = next(each for each in figure.axes[0].collections if isinstance(each, Quiver))
    np.testing.assert_allclose(np.stack([arrows.U, arrows.V], 1), 0.25 * -arrows.XY / 1.25, atol=1e-5)
    assert "noise of 0.5" in figure.get_suptitle()


def test_two_moons_are_points_of_two_classes():
    data = moons(name="moons", split=Fractions([8, 1, 1]), n=90)
    assert data.classes == ("upper", "lower") and cloud.is_cloud(data)
    save(Field(side=4)(run_of(data))["field"])

"""Figures of a table: by the names of its columns, in the units of its file, whatever a latent moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import perceptron, rows_of, run_of, save, stochastic
from sklearn.metrics import r2_score

from aeexp.conditions import Label
from aeexp.datasets.core.assemble import assemble
from aeexp.datasets.core.records import Rows, Source, Variable
from aeexp.datasets.core.splits import Fractions
from aeexp.drawing import tables
from aeexp.drawing.plane import lay_grid
from aeexp.latents.binary import Binary
from aeexp.latents.quantised import VQ
from aeexp.plots.class_error import ClassError
from aeexp.plots.columns import Columns, score_columns
from aeexp.plots.filters import Filters
from aeexp.plots.interpolation import Interpolation
from aeexp.plots.label_swap import LabelSwap
from aeexp.plots.manifold import Manifold
from aeexp.plots.neighbours import Neighbours
from aeexp.plots.reconstructions import Reconstructions
from aeexp.plots.samples import Samples
from aeexp.plots.scatter import Scatter
from aeexp.plots.traversals import Traversals

VARIABLES = (Variable("age"), Variable("job $_$", ("clerk", "cook", "pilot")), Variable("hours"), Variable("constant"))
PLOTS = (
    Columns(), Reconstructions(), Samples(), Traversals(), Interpolation(), Manifold(side=6), Filters(), LabelSwap(),
    Neighbours(), ClassError(), Scatter(rows=50),
)  # fmt: skip


def table(standardise: bool = True, n: int = 120):
    """Rows of three numbers, one of them constant, and a job; two classes and a named attribute."""
    rng = np.random.default_rng(0)
    job = rng.integers(3, size=n)
    numbers = np.stack([rng.normal(40, 12, n), rng.normal(38, 8, n), np.full(n, 7.0)], 1)
    x = np.concatenate([numbers[:, :1], np.eye(3)[job], numbers[:, 1:]], 1).astype(np.float32)
    source = Source(
        Rows(x, job % 2, rng.integers(2, size=n)), classes=("no", "yes"), attributes=("sex",), variables=VARIABLES,
        groups=(("Female", "Male"),), continuous=np.array([True, False, False, False, True, True]),
    )  # fmt: skip
    return assemble(source, name="made", split=Fractions([4, 1, 1]), standardise=standardise), x


def texts(figure) -> set[str]:
    from matplotlib.text import Text

    return {text.get_text() for text in figure.findobj(Text)}


@pytest.mark.parametrize("standardise", [True, False])
def test_values_come_back_in_the_units_of_the_file(standardise):
    data, x = table(standardise)
    for split in data.splits.values():
        np.testing.assert_allclose(
            tables.in_units(data, split.batch(slice(None)).x), x[split.rows.ids], rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: type(plot).__name__)
def test_every_figure_of_a_table_is_whole_and_says_its_columns(plot):
    data, _ = table()
    run = stochastic(data, condition=Label()) if isinstance(plot, LabelSwap) else stochastic(data, 2)
    figures = plot(run)
    assert figures
    for name, figure in figures.items():
        save(figure)
        words = " ".join(texts(figure))
        assert "from left to right" not in words
        if name not in ("scatter", "class_error"):
            assert "age" in words and "job $_$" in words
        if name == "class_error":
            assert {"no", "yes"} <= {word.split(" (")[0] for word in texts(figure)}


@pytest.mark.parametrize("latent", [Binary(dim=4), VQ(dim=4, codes=3, width=2)], ids=["bits", "codebook"])
def test_a_code_that_takes_few_values_is_traversed_by_them(latent):
    data, _ = table()
    run = run_of(data, latent=latent)
    figure = Traversals()(run)["traversals"]
    save(figure)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] != []


def test_scores_of_columns_are_those_of_scikit_learn():
    data, x = table()
    run = stochastic(data, 3)
    numbers, categories = score_columns(run)
    with torch.no_grad():
        output = torch.cat([run.model.likelihood.mean(out.output) for out in run.passes("test")])
    given, truth = tables.in_units(data, output), x[data["test"].rows.ids]
    assert [score.name for score in numbers] == ["age", "hours", "constant"]
    for score, feature in zip(numbers, (0, 4, 5), strict=True):
        # float32 and a way there and back: the values have 5 digits, squares of their differences 4
        assert score.own == pytest.approx(r2_score(truth[:, feature], given[:, feature]), rel=1e-3, abs=1e-3)
    [job] = categories
    assert job.own == (given[:, 1:4].argmax(1) == truth[:, 1:4].argmax(1)).mean()
    most = x[data["train"].rows.ids][:, 1:4].mean(0).argmax()
    assert job.simplest == (truth[:, 1:4].argmax(1) == most).mean()


def test_pca_of_full_width_is_no_baseline_of_a_column():
    data, _ = table()
    numbers, categories = score_columns(stochastic(data, 6))
    assert [score.pca for score in (*numbers, *categories)] == [None] * 4
    save(Columns()(stochastic(data, 6))["columns"])


def test_a_strip_has_the_values_at_both_ends_and_the_column_that_moves_most_comes_first():
    data, _ = table()
    columns = tables.find_columns(run_of(data))
    values = np.zeros((3, 6))
    values[:, 0] = 30, 31, 32  # a twelfth of a deviation a step
    values[:, 2] = 0.1, 0.4, 0.9  # cooks: about 0.9 deviations a step
    strips = tables.sort_strips(columns, values, values[0])
    assert [(strip.name, strip.low, strip.high) for strip in strips[:2]] == [
        ("job $_$: cook", "10 %", "90 %"),
        ("age", "30", "32"),
    ]
    assert strips[1].change == pytest.approx([0, 1 / columns.spread[0], 2 / columns.spread[0]])


def test_data_without_names_has_no_bars_of_columns():
    data = rows_of((4,))
    assert Columns()(run_of(data, perceptron(data, 2))) == {}


def test_a_table_of_numbers_has_no_word_on_categories():
    numbers = Source(Rows(np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)), variables=VARIABLES[::2])
    assert [variable.name for variable in numbers.variables] == ["age", "hours"]
    for data, said in ((table()[0], True), (assemble(numbers, name="numbers", split=Fractions([4, 1, 1])), False)):
        (figure,) = Reconstructions()(run_of(data, perceptron(data, 1))).values()
        assert any("another category" in text for text in texts(figure)) == said


def test_groups_have_their_names():
    data, _ = table()
    run = stochastic(data, 2)
    figure = Scatter(rows=50, attribute="sex")(run)["scatter"]
    assert {"sex", "Female", "Male"} <= texts(figure)


# --- what lies outside the codes


def test_what_lies_outside_is_where_no_code_is():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 4000)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1) * rng.uniform(0.9, 1.0, (4000, 1))
    grid = lay_grid(ring[:3000], ring[3000:], 15)
    places = grid.codes.reshape(15, 15, 2)
    radius = np.linalg.norm(places, axis=-1)
    half = (grid.across[1] - grid.across[0]) / 2
    assert grid.outside[radius < 0.9 - 2 * half].all() and grid.outside[radius > 1 + 2 * half].all()
    assert not grid.outside[(radius > 0.9) & (radius < 1.0)].any()


def test_of_codes_that_fill_the_plane_nothing_is_outside():
    codes = np.random.default_rng(0).uniform(-1, 1, (4000, 2))
    assert not lay_grid(codes[:3000], codes[3000:], 10).outside.any()


def test_a_collapsed_unit_has_a_grid():
    codes = np.random.default_rng(0).normal(size=(100, 2)) * (1, 0)
    assert np.isfinite(lay_grid(codes[:80], codes[80:], 5).codes).all()


def test_shares_that_are_no_probabilities_are_explained():
    columns = tables.find_columns(run_of(table()[0]))
    row = np.array([30.0, 0.2, 0.7, 0.1, 40.0, 1.0])
    assert tables.explain_shares(columns, np.stack([row, row])) == ""
    row[1] = -0.2
    assert "no probability" in tables.explain_shares(columns, np.stack([row, row]))

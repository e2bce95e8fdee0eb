"""All figures of a run: whole, without a warning, under every option that is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn import HISTORY, convolutional, perceptron, rows_of, run_of, save, stochastic
from representatives import few

from aeexp.conditions import Label
from aeexp.noises import Masking
from aeexp.plots.activations import Activations
from aeexp.plots.columns import Columns
from aeexp.plots.curves import Curves
from aeexp.plots.filters import Filters
from aeexp.plots.interpolation import Interpolation
from aeexp.plots.label_swap import LabelSwap
from aeexp.plots.manifold import Manifold
from aeexp.plots.reconstructions import Reconstructions
from aeexp.plots.samples import Samples
from aeexp.plots.scatter import Scatter
from aeexp.plots.segmentation import Segmentation
from aeexp.plots.traversals import Traversals

ALL = (
    Reconstructions(examples=5), Samples(count=5), Scatter(rows=50), Interpolation(), Manifold(side=8), Filters(),
    Curves(), Traversals(units=3), LabelSwap(), Activations(), Columns(),
)  # fmt: skip


@pytest.mark.parametrize("case", few(["digits", "flat", "colour", "five channels", "formula"], "digits"))
def test_every_figure_is_saved_whole_and_without_a_warning(digit_data, case):
    data = {
        "digits": digit_data, "flat": rows_of((4,)), "colour": rows_of((3, 12, 10), np.arange(60) % 4),
        "five channels": rows_of((5, 12, 10), np.arange(60) % 4),
        "formula": rows_of((4,), np.arange(60) % 2, ("5 $_$ [/b] <i>", "$\\frac$")),
    }[case]  # fmt: skip
    if case == "formula":
        data.name = "$_$"
    parts = convolutional(data, "subpixel", 2) if data.shape[0] in (3, 5) else perceptron(data, 2)
    run = run_of(data, parts, {"masking": Masking(0.3)}, HISTORY)
    figures = {name: figure for plot in ALL for name, figure in plot(run).items()}
    assert set(figures) == {
        "reconstructions", "samples", "scatter", "interpolation", "manifold", "filters_encoder", "filters_decoder",
        "curves", "traversals", "activations", "activations_by_class",
    }  # fmt: skip
    for figure in figures.values():
        assert figure.get_suptitle().startswith(f"{data.name}: ")
        assert (save(figure) < 128).mean() > 1e-3
        assert figure.canvas.buffer_rgba() is not None  # what TensorBoard reads


def test_figures_of_a_conditional_model_are_whole(digit_data):
    named = rows_of((3, 6, 9), np.arange(60) % 3, ("a long class name", "b", "c"))
    for data in (digit_data, named, rows_of((5,), np.arange(60) % 2, ("a", "b"))):
        for plot in (Traversals(), LabelSwap(), Samples(count=5)):
            for figure in plot(stochastic(data, condition=Label())).values():
                save(figure)


@pytest.mark.parametrize("shape", [(4,), (1, 5, 5)])
def test_three_rows_are_enough(shape):
    data = rows_of(shape, n=3)
    run = run_of(data, perceptron(data, 2), {"masking": Masking(0.3)})
    for plot in (Reconstructions(), Scatter(), Traversals()):
        for figure in plot(run).values():
            save(figure)
    assert Interpolation()(run) == {}  # one test row makes no pair


def test_few_filters_and_long_series_fit(digit_data):
    save(Filters()(run_of(digit_data, perceptron(digit_data, 1, hidden_dims=[])))["filters_encoder"])
    series = run_of(rows_of((150,)))
    save(Reconstructions(examples=3)(series)["reconstructions"])
    save(Filters()(series)["filters_decoder"])


def test_every_yaml_builds_its_plot():
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    folder = Path(__file__).resolve().parents[2] / "conf"
    with initialize_config_dir(str(folder), version_base="1.3"):
        every = compose(overrides=["+plot=default"]).plot
        names = {path.stem for path in (folder / "plot").glob("*.yaml")} - {"default", "none"}
        assert set(every) < names and len(every) == 11  # figures of a task of their own are not among them
        built = {type(plot) for plot in instantiate(every).values()}
        assert built == {Segmentation, *(type(plot) for plot in ALL)} - {Activations}  # a second and more
        assert "plot" not in (none := compose(overrides=["+plot=none"])) or not none.plot
        for name in names:
            assert set(compose(overrides=[f"+plot=[{name}]"]).plot) == {name}

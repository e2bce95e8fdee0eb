"""The first units alone: of PCA they are its smaller siblings, and a figure marks the prefixes that were trained."""

from __future__ import annotations

import numpy as np
import pytest
from composing import composed
from measured import as_run

from aeexp.errors import UsageError
from aeexp.evaluation.prefixes import measure_prefixes
from aeexp.metrics.prefix import Prefix
from aeexp.metrics.reconstruction import Reconstruction
from aeexp.models.pca import pca
from aeexp.plots.prefix import Prefix as PrefixPlot
from aeexp.plots.prefix import find_trained
from aeexp.runs.build import build_seeded
from aeexp.tensors import count_share


def test_the_first_components_of_pca_are_the_pca_of_that_width(digit_data):
    wide = Prefix([0.25, 1.0])(as_run(pca(digit_data["train"], 16), digit_data), "test")
    for share, width in ((0.25, 4), (1.0, 16)):
        run = as_run(pca(digit_data["train"], width), digit_data)
        # both find the same components in float32
        own = Reconstruction()(run, "test")["reconstruction/mse"]
        assert wide[f"prefix/mse_{share:g}"] == pytest.approx(own, rel=1e-4)
    run = as_run(pca(digit_data["train"], 16), digit_data)
    errors = measure_prefixes(run, "test", [1, 2, 4, 8, 16])
    assert errors.shape == (5, len(digit_data["test"])) and (np.diff(errors.mean(1)) < 0).all()


def test_shares_are_units_and_those_that_are_none_are_refused():
    assert [count_share(share, 10) for share in (0.01, 0.25, 0.5, 1.0)] == [1, 2, 5, 10]
    assert all(count_share(part / 100, 100) == part for part in range(1, 101))  # also where 0.29 * 100 is below 29
    with pytest.raises(UsageError, match=r"^prefixes=\[0.5, 2.0\]: name shares"):
        Prefix([0.5, 2.0])


def test_the_figure_marks_what_was_trained_and_a_code_that_is_none_with_zeros_has_none(digit_data):
    cfg = composed("variant=matryoshka_sae", "dataset=digits", "latent.dim=32", "latent.k=4")
    run = as_run(build_seeded(cfg, digit_data).model.eval(), digit_data)
    assert find_trained(run) == [] and PrefixPlot(points=4)(run)["prefix"].axes[0].get_lines()
    run.learner.objective = build_seeded(cfg, digit_data).objective
    assert find_trained(run) == [0.0625, 0.125, 0.25, 0.5]
    axes = PrefixPlot(points=4)(run)["prefix"].axes[0]
    assert list(axes.get_lines()[0].get_xdata()) == [1, 2, 3, 4, 8, 10, 16, 32]  # measured where it was trained, too
    assert axes.get_legend().get_frame().get_alpha() == 1  # no line runs through its words
    bits = composed("variant=semantic_hashing", "dataset=digits", "latent.dim=8")
    other = as_run(build_seeded(bits, digit_data).model.eval(), digit_data)
    assert Prefix()(other, "test") == {} and PrefixPlot()(other) == {}

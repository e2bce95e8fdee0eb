"""Kernel PCA with a linear kernel is PCA; with a Gaussian one it bends round a circle."""

from __future__ import annotations

import numpy as np
import pytest

from aeexp.errors import UsageError
from aeexp.evaluation.protocol import baselines
from aeexp.evaluation.run import Run
from aeexp.metrics.kernel_pca import KernelPCA
from aeexp.metrics.probe import Probe
from aeexp.metrics.reconstruction import Reconstruction

GRID = dict(gammas=[0.1, 1.0], alphas=[1e-6, 1e-3])


def test_with_a_linear_kernel_it_is_pca(build_learner, digit_data):
    run = Run(build_learner((1, 8, 8), 6), digit_data)
    linear = KernelPCA(kernel="linear", gammas=[1.0], alphas=[1e-6], rows=5000)
    row, pca = baselines(run, {"kernel_pca": linear, "probe": Probe()})["kernel_pca"], run.pca()
    expected = Reconstruction()(pca, "test") | Probe()(pca, "test")
    # a ridge of 1e-6 beside eigenvalues of hundreds; float32 codes; the sign of a component moves no probe
    assert row == pytest.approx({key: expected[key] for key in row}, rel=1e-4)
    made = linear.models(run)["kernel_pca"]
    both = np.concatenate([made.codes("test"), pca.codes("test")], 1).astype(np.float64)
    correlations = np.corrcoef(both.T)[:6, 6:]
    np.testing.assert_allclose(np.abs(correlations), np.eye(6), atol=0.25)  # test rows: nearly uncorrelated units
    assert np.diag(np.abs(correlations)) == pytest.approx(1, abs=1e-4)


def test_the_way_back_bends_where_the_rows_do(build_learner, as_data):
    angle = np.random.default_rng(0).random(300) * np.pi  # half a circle: one number says where
    x = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    run = Run(build_learner((2,), 1), as_data(x))
    error = KernelPCA(**GRID).baselines(run, "test")["kernel_pca"]["reconstruction/mse"]
    assert error < 0.1 * Reconstruction()(run.pca(), "test")["reconstruction/mse"]


def test_it_is_one_row_of_the_baseline_the_same_at_every_call(build_learner, digit_data):
    run, metric = Run(build_learner((1, 8, 8), 6), digit_data), KernelPCA(gammas=[0.1], alphas=[1e-3], rows=200)
    assert metric(run, "test") == {}
    probe = Probe(rows=50)
    rows = baselines(run, {"kernel_pca": metric, "probe": probe})
    names = {"reconstruction/mse", "reconstruction/mse_per_feature", "reconstruction/psnr", "reconstruction/ssim",
             "probe/linear", "probe/knn"}  # fmt: skip
    assert set(rows["kernel_pca"]) == names
    again = Run(run.learner, digit_data)
    own = metric.baselines(again, "test")["kernel_pca"]
    read = probe(metric.models(again)["kernel_pca"], "test")
    assert rows["kernel_pca"] == own | read, "read by the probe of all other rows"
    assert baselines(again, {"kernel_pca": metric}, readers={"probe": probe})["kernel_pca"] == rows["kernel_pca"]
    assert baselines(again, {"kernel_pca": metric})["kernel_pca"] == own


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_few_rows_give_a_number_and_a_single_one_none(rows, build_learner, as_data):
    x = np.random.default_rng(0).random((rows, 4)).astype(np.float32)
    found = KernelPCA(**GRID).baselines(Run(build_learner((4,), 3), as_data(x)), "test")
    assert set(found) == ({"kernel_pca"} if rows > 1 else set())
    assert all(np.isfinite(row["reconstruction/mse"]) for row in found.values())


def test_more_units_than_rows_have_directions_are_left_out(build_learner, as_data):
    run = Run(build_learner((3,), 20), as_data(np.random.default_rng(0).random((8, 3), np.float32)))
    assert KernelPCA(**GRID).models(run)["kernel_pca"].codes("test").shape[1] <= 7


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (dict(gammas=[]), r"^gammas=\[\]: name one or more above 0"),
        (dict(alphas=[0.0]), r"^alphas=\[0\.0\]: name one or more above 0"),
    ],
)
def test_a_bad_number_is_refused(keys, message):
    with pytest.raises(UsageError, match=message):
        KernelPCA(**(GRID | keys))


@pytest.mark.parametrize("gamma", [1e-4, 20, 38.6, 60, 1e3])
def test_a_kernel_that_sees_no_neighbours_has_components_too(gamma, build_learner, digit_data):
    """Its eigenvalues are nearly equal, which the solver for a few of them may not tell apart."""
    run = Run(build_learner((1, 8, 8), 16), digit_data)
    error = KernelPCA(gammas=[gamma], alphas=[1e-3], rows=72).baselines(run, "test")["kernel_pca"]["reconstruction/mse"]
    assert np.isfinite(error)

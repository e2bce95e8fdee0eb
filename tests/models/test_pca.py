"""A linear autoencoder is PCA: in closed form, and when the loop trains it."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from composing import run_in
from hypothesis import given
from hypothesis import strategies as st

import aeexp.models.pca as pca_module
from aeexp import schedulers
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.errors import UsageError
from aeexp.models.learner import average
from aeexp.models.pca import identity, solve
from aeexp.models.pca import pca as pca_of
from aeexp.trainers.checkpoint import Store, load
from aeexp.trainers.closed_form import ClosedForm
from aeexp.trainers.joint import Joint


def spectral(rows: int, variances, seed=0, mean=0.5) -> torch.Tensor:
    """(rows, D) with exactly these variances (over rows, 1/N) along random orthogonal directions."""
    generator = torch.Generator().manual_seed(seed)
    dim = len(variances)
    scores = torch.randn(rows, dim, generator=generator, dtype=torch.float64)
    scores, _ = torch.linalg.qr(scores - scores.mean(0))  # centred, orthonormal columns
    axes, _ = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64))
    scale = torch.tensor(variances, dtype=torch.float64).mul(rows).sqrt()
    return ((scores * scale) @ axes.T + mean).float()


HALVING = [2.0**-i for i in range(20)]


def split_of(x) -> Split:
    return Split(Rows(x.numpy()))


def pca(x, dim):
    return pca_of(split_of(x), dim)


@torch.no_grad()
def error(model, x) -> float:
    return float((model.reconstruct(x) - x).double().square().sum(1).mean())


@given(st.integers(1, 20), st.integers(0, 100))
def test_the_error_is_the_sum_of_the_dropped_eigenvalues(dim, seed):
    x = spectral(100, HALVING, seed)
    # float32 pictures and weights of size 1: 20 squares of errors below 1e-6
    assert error(pca(x, dim), x) == pytest.approx(sum(HALVING[dim:]), rel=1e-3, abs=1e-9)


@given(st.integers(1, 6), st.integers(0, 100))
def test_no_other_projection_of_that_width_has_a_smaller_error(dim, seed):
    x = torch.randn(60, 6, generator=torch.Generator().manual_seed(seed))
    other, _ = torch.linalg.qr(torch.randn(6, dim, generator=torch.Generator().manual_seed(seed + 1)))
    centred = x - x.mean(0)
    rest = float((centred - centred @ other @ other.T).square().sum(1).mean())
    assert error(pca(x, dim), x) <= rest + 1e-6


def test_codes_are_centred_uncorrelated_and_have_the_eigenvalues_as_variances():
    x = spectral(300, HALVING)
    codes = pca(x, 5).encode(x).mean.detach().double().numpy()
    # float32 codes of size 1 err by 1e-6, and their covariance by about as much
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(codes.T @ codes / len(x), np.diag(HALVING[:5]), atol=1e-5)


def test_components_beyond_the_rank_have_code_zero():
    x = spectral(100, [4.0, 1.0, 0.0, 0.0, 0.0])
    codes = pca(x, 4).encode(x).mean
    assert (codes[:, :2].std(0) > 0.5).all()
    assert codes[:, 2:].abs().max() < 1e-5  # float32 rows of size 5


def test_a_code_wider_than_the_row_adds_units_that_stay_zero():
    x = spectral(50, [4.0, 1.0, 0.5])
    model = pca(x.unflatten(1, (1, 1, 3)), 7)
    codes = model.encode(x).mean
    assert codes.shape == (50, 7) and not codes[:, 3:].any()
    assert error(model, x.unflatten(1, (1, 1, 3))) < 1e-10


def test_fewer_rows_than_features_and_rows_that_are_all_the_same():
    x = torch.randn(4, 30)
    assert error(pca(x, 3), x) < 1e-9  # four points span three dimensions
    constant = torch.full((10, 5), 0.3)
    model = pca(constant, 2)
    assert model.encode(constant).mean.abs().max() < 1e-6
    torch.testing.assert_close(model.reconstruct(constant), constant)


def test_the_order_of_rows_does_not_change_the_codes():
    x = spectral(200, HALVING[:8])
    shuffled = x[torch.randperm(200)]
    # the sign is fixed by the largest entry; eigenvectors of gaps above 1/128 move by 1e-14 in double
    torch.testing.assert_close(pca(x, 4).encode(x).mean, pca(shuffled, 4).encode(x).mean, rtol=0, atol=1e-5)


@given(st.integers(0, 100))
def test_the_sign_of_a_component_makes_its_largest_entry_positive(seed):
    for row in pca(spectral(60, HALVING[:6], seed), 6).encoder.layers[0].weight:
        assert row[row.abs().argmax()] > 0


@pytest.mark.parametrize("shape", [(5,), (1, 3, 4), (2, 2, 2)])
def test_the_identity_gives_back_every_bit(shape):
    model = identity(torch.Size(shape))
    x = torch.randn(20, *shape)
    assert torch.equal(model.reconstruct(x), x)
    assert torch.equal(model.encode(x).mean, x.flatten(1))


def test_only_a_linear_model_with_a_plain_code_has_a_closed_form(build_learner):
    with pytest.raises(UsageError, match="trainer=closed_form .*model=linear"):
        solve(build_learner((6,), hidden_dims=[4]).model, split_of(torch.randn(10, 6)))


# ---------------------------------------------------------------- trained

LBFGS = functools.partial(torch.optim.LBFGS, lr=1.0, max_iter=20, line_search_fn="strong_wolfe")
ADAM = functools.partial(torch.optim.Adam, lr=0.01)


@pytest.mark.parametrize(
    ("optimizer", "schedule", "trainer"),
    [
        (LBFGS, schedulers.constant, Joint(steps=30, batch_size=500, validate_every_epochs=30)),
        (ADAM, schedulers.cosine, Joint(epochs=1000, batch_size=100, validate_every_epochs=500)),
    ],
    ids=["lbfgs", "adam"],
)
def test_a_linear_autoencoder_that_the_loop_trained_is_pca(
    optimizer, schedule, trainer, build_learner, as_data, quiet, tmp_path
):
    dim = 4
    data = as_data(spectral(500, HALVING).numpy())
    learner = build_learner((20,), dim)
    trainer.fit(learner, data, optimizer, schedule, Store(tmp_path, {}), quiet(), seed=0)
    x, best = data["train"].x, pca(data["train"].x, dim)
    assert error(best, x) == pytest.approx(sum(HALVING[dim:]), rel=1e-3)
    assert error(learner.model, x) / error(best, x) < 1.001
    ours, theirs = (torch.linalg.qr(m.decoder.layers[0].weight.double())[0] for m in (learner.model, best))
    assert torch.linalg.svdvals(ours.T @ theirs).min() > 0.999  # cosine of the largest principal angle


def test_the_closed_form_trainer_leaves_pca_and_the_files_of_a_trained_model(build_learner, as_data, quiet, tmp_path):
    train, val = spectral(200, HALVING, 0), spectral(50, HALVING, 1)
    data = as_data(train.numpy(), val.numpy())
    learner = build_learner((20,), 4)
    progress = ClosedForm().fit(learner, data, None, None, Store(tmp_path, {"run_id": "a"}), quiet(), seed=0)
    assert error(learner.model, train) == pytest.approx(sum(HALVING[4:]), rel=1e-3)
    values = average(learner, data["val"])
    assert [row["split"] for row in progress.history] == ["train", "val"]
    assert progress.best == values["loss"] == progress.history[1]["loss"]
    assert progress.history[0]["loss"] == pytest.approx(sum(HALVING[4:]), rel=1e-3)
    for name in ("best", "last"):
        saved = load(tmp_path / f"{name}.pt")
        again = build_learner((20,), 4, seed=5)
        again.load_state_dict(saved["learner"])
        assert torch.equal(again.model.reconstruct(val), learner.model.reconstruct(val))


@pytest.mark.parametrize(
    ("words", "way"),
    [
        (["condition=label"], "condition=none"),
        (["condition=label", "condition.encoder=false"], "condition=none"),
        (["likelihood=categorical", "likelihood.levels=17"], "likelihood=gaussian"),
    ],
)
def test_what_pca_knows_nothing_of_is_refused_in_words(words, way, tmp_path):
    with pytest.raises(UsageError, match=f"^trainer=closed_form .*{way}"):
        run_in(tmp_path / "run", "variant=pca", "dataset.limit=100", "metric=reconstruction", *words)


@pytest.mark.parametrize("rank", [0, 3, 1100])
def test_a_few_components_of_many_numbers_are_those_that_are_found_all_at_once(rank, monkeypatch):
    rng = np.random.default_rng(rank)
    rows = rng.normal(size=(rank, 1100)) * np.geomspace(10, 0.1, max(rank, 1))[:rank, None]
    matrix = rows.T @ rows
    found, vectors = pca_module.find_largest(matrix, 5)
    monkeypatch.setattr(pca_module, "MANY", 10**6)
    known, _ = pca_module.find_largest(matrix, 5)
    largest = max(known[-1], 1.0)
    # to the last digit of the largest, of sums of 1100 products
    np.testing.assert_allclose(found, known, rtol=0, atol=1100 * 2**-52 * largest)
    np.testing.assert_allclose(matrix @ vectors, vectors * found, rtol=0, atol=1e-10 * largest)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(5), rtol=0, atol=1e-10)


def test_directions_that_the_data_do_not_choose_are_the_same_at_each_call():
    """Of equal eigenvalues, and of none: a solver that draws must draw the same."""
    for matrix in (np.eye(1100), np.diag([5.0, 4.0, 3.0, *np.zeros(1097)])):
        first, second = (pca_module.find_largest(matrix, 8) for _ in range(2))
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))

"""Statistics of codes that are known, and Jacobians."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from measured import as_run, coded, drawn_about, values_of

from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.evaluation.run import Run
from aeexp.latents.deterministic import Sigmoid
from aeexp.latents.sparse import TopK
from aeexp.metrics.latent import Latent, count_relative, effective_rank, gini, sparsity, total_correlation
from aeexp.models.pca import identity
from aeexp.regularizers.total_correlation import gaussian_total_correlation


@given(st.integers(1, 6), st.integers(0, 3), st.floats(0.01, 100), st.integers(0, 100))
def test_the_effective_rank_of_equal_orthogonal_directions_is_their_number(k, idle, scale, seed):
    axes, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(k + idle, k + idle)))
    codes = np.concatenate([np.eye(k), -np.eye(k)]) @ axes[:k] * scale + 3
    # rounding leaves shares of 1e-16 on the idle directions, which add 1e-14 to the entropy
    assert effective_rank(codes) == pytest.approx(k, rel=1e-9)


def test_the_effective_rank_of_unequal_directions_is_the_exponential_of_their_entropy():
    codes = np.random.default_rng(0).normal(size=(500, 4)) * [3, 2, 1, 0.1]
    shares = np.linalg.svd(codes - codes.mean(0), compute_uv=False) ** 2
    shares /= shares.sum()
    assert effective_rank(codes) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-9)
    assert 1 < effective_rank(codes) < 4


def test_codes_that_never_vary_have_rank_zero_and_only_dead_units():
    values = Latent()(coded(np.full((50, 4), 0.1)), "test")
    assert values["latent/effective_rank"] == 0
    assert values["latent/dead_units"] == 4
    assert values["latent/mean_activation"] == pytest.approx(0.1)


def test_dead_units_active_units_and_activations_are_counted():
    codes = np.random.default_rng(0).normal(size=(200, 5)) + 5
    codes[:, 1] = 0
    codes[:, 3] = 2.5
    codes[:50, 4] = 0
    values = Latent()(coded(codes), "test")
    assert values["latent/dead_units"] == 2
    assert values["latent/l0"] == pytest.approx(4 - 50 / 200)  # one unit is always 0, one in a quarter of the rows
    assert values["latent/mean_activation"] == pytest.approx(codes.mean(), rel=1e-6)


def test_sparseness_tells_one_unit_from_all_and_does_not_see_the_scale():
    one, all_of_them = np.eye(8)[[0, 3, 3]], np.ones((3, 8))
    assert gini(one) == pytest.approx(1 - 1 / 8) and gini(all_of_them) == pytest.approx(0, abs=1e-12)
    assert gini(np.zeros((2, 8))) == 0 and count_relative(np.zeros((2, 8))) == 0
    codes = np.random.default_rng(0).normal(size=(50, 8))
    assert gini(-7 * codes) == pytest.approx(gini(codes)) and count_relative(3 * codes) == count_relative(codes)
    assert 0 < gini(codes) < gini(codes**3) < 1
    # pairs of units: half the mean distance over the mean
    row = np.abs(codes[:1])
    assert gini(row) == pytest.approx(np.abs(row.T - row).mean() / 2 / row.mean())
    assert count_relative(np.array([[1.0, 0.02, 0.005, 0.0]])) == 2


def test_topk_codes_have_k_units_a_row(build_learner, digit_data):
    run = Run(build_learner((1, 8, 8), latent=TopK(10, 3)), digit_data)
    assert Latent()(run, "test")["latent/l0"] == 3


def test_the_share_of_dead_units_is_of_the_last_steps_of_training_and_of_latents_that_count(build_learner, digit_data):
    latent = TopK(10, 3, dead_after=5)
    latent.silence.steps.copy_(torch.tensor([0, 4, 5, 6, 90, 0, 0, 0, 0, 0]))
    assert Latent()(Run(build_learner((1, 8, 8), latent=latent), digit_data), "test")["latent/dead_share"] == 0.3
    assert "latent/dead_share" not in Latent()(Run(build_learner((1, 8, 8), latent=Sigmoid(4)), digit_data), "test")


@pytest.mark.parametrize("shape", [(3,), (1, 5, 4), (2, 3, 3)])
def test_the_jacobian_of_the_identity_has_the_root_of_its_width_as_norm(shape):
    rows = Rows(np.random.default_rng(0).random((300, *shape), np.float32))
    run = as_run(identity(torch.Size(shape)), Data("r", {n: Split(rows) for n in ("train", "val", "test")}, ()))
    assert Latent()(run, "test")["latent/jacobian_norm"] == pytest.approx(math.sqrt(math.prod(shape)), rel=1e-6)


def test_the_jacobian_norm_is_the_mean_over_its_rows_whatever_the_chunk(build_learner, digit_data, monkeypatch):
    run = Run(build_learner((1, 8, 8), latent=Sigmoid(4)), digit_data)
    x = torch.from_numpy(values_of(digit_data, "test")[:9]).float()
    weight = run.model.encoder.layers[0].weight.detach()
    h = run.model.encode(x).mean.detach()
    exact = ((h * (1 - h)) ** 2 @ weight.square().sum(1)).sqrt().mean()
    assert Latent(jacobian_rows=9).jacobian_norm(run, "test") == pytest.approx(float(exact), rel=1e-5)

    monkeypatch.setattr("aeexp.metrics.latent.NUMBERS", 2 * 64)  # two rows to a chunk
    assert Latent(jacobian_rows=9).jacobian_norm(run, "test") == pytest.approx(float(exact), rel=1e-5)


def test_the_jacobian_of_a_wide_code_is_taken_in_some_directions(build_learner):
    """|v|^2 of 100 units has a relative deviation of sqrt(2 / 100), over 64 directions and 256 rows 0.1 %."""
    rows = Rows(np.random.default_rng(0).random((300, 100), np.float32))
    run = as_run(identity(torch.Size((100,))), Data("r", {n: Split(rows) for n in ("train", "val", "test")}, ()))
    found = Latent()(run, "test")["latent/jacobian_norm"]
    assert found != 10.0 and found == pytest.approx(10.0, rel=0.005)


@given(st.integers(1, 6), st.integers(0, 3), st.integers(0, 100))
def test_both_effective_ranks_agree_on_equal_directions_and_the_singular_one_is_the_paper_s(k, idle, seed):
    axes, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(k + idle, k + idle)))
    codes = np.concatenate([np.eye(k), -np.eye(k)]) @ axes[:k]
    assert effective_rank(codes, 0.5) == pytest.approx(k, rel=1e-6)
    codes = np.random.default_rng(seed).normal(size=(50, k + 1)) * np.arange(1, k + 2)
    values = np.linalg.svd(codes - codes.mean(0), compute_uv=False)
    shares = values / values.sum()
    assert effective_rank(codes, 0.5) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-9)
    assert effective_rank(codes, 0.5) >= effective_rank(codes)  # roots are more even


def test_sparsity_sees_units_that_are_nearly_zero_and_l0_does_not():
    codes = np.where(np.eye(10)[np.arange(100) % 10] > 0, 1.0, 1e-3)
    values = Latent()(coded(codes), "test")
    assert values["latent/l0"] == 10
    assert values["latent/sparsity"] > 0.99
    assert sparsity(np.eye(5)) == 1 and sparsity(-3 * np.ones((4, 5))) == pytest.approx(0, abs=1e-12)
    assert sparsity(np.zeros((3, 4))) == 1 and sparsity(np.ones((3, 1))) == 0
    assert sparsity(7 * codes) == pytest.approx(sparsity(codes))


@given(st.integers(2, 10), st.integers(0, 50))
def test_independent_units_have_no_total_correlation_and_two_correlated_ones_have_its_closed_form(units, seed):
    n, draw = 4000, np.random.default_rng(seed)
    codes = draw.normal(size=(n, units))
    # 2 N times the value, with its mean, is chi-square with D (D - 1) / 2 degrees of freedom: seven deviations
    free = units * (units - 1) / 2
    assert abs(total_correlation(codes * np.arange(1, units + 1))) < 7 * math.sqrt(2 * free) / (2 * n)
    r = 0.8
    codes[:, 1] = r * codes[:, 0] + math.sqrt(1 - r**2) * codes[:, 1]
    # d/dr of -1/2 log(1 - r^2) is r / (1 - r^2) = 2.2, and r has a deviation of (1 - r^2) / sqrt(n): five of them
    found = total_correlation(codes)
    assert found == pytest.approx(-0.5 * math.log(1 - r**2), abs=5 * r / math.sqrt(n) + (free + 30) / n)
    assert total_correlation(np.c_[codes, codes.sum(1)]) > 5


def test_the_total_correlation_is_of_codes_as_the_decoder_gets_them():
    """Means that are one line in two units lie hidden in noise."""
    means = np.outer(np.random.default_rng(0).normal(size=2000), [1e-3, 1e-3])
    assert Latent()(coded(means), "test")["latent/total_correlation_gaussian"] > 5
    assert Latent()(drawn_about(means, 1.0), "test")["latent/total_correlation_gaussian"] < 0.01


@given(st.integers(1, 5), st.integers(0, 12), st.integers(0, 20))
def test_a_unit_that_does_not_vary_changes_no_total_correlation(units, idle, seed):
    z = torch.from_numpy(np.random.default_rng(seed).normal(size=(40, units)))
    wider = torch.cat([z, torch.full((40, idle), 0.5, dtype=z.dtype)], 1)
    # a ridge of 1e-6 a unit is all that may be left
    assert float(gaussian_total_correlation(wider)) == pytest.approx(float(gaussian_total_correlation(z)), abs=1e-4)

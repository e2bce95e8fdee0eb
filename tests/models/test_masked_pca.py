"""PCA of sequences that end at different steps explains real steps, and nothing of the padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.errors import UsageError
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.pca import linear, pca, solve

STEPS, FEATURES = 8, 2


def planted(rank: int, rows: int = 120, seed: int = 0) -> np.ndarray:
    """(rows, STEPS, FEATURES) of this rank about a mean of 1, variances that fall by half."""
    generator = np.random.default_rng(seed)
    axes = np.linalg.qr(generator.normal(size=(STEPS * FEATURES, rank)))[0]
    codes = generator.normal(size=(rows, rank)) * 2.0 ** -np.arange(rank)
    return (1 + codes @ axes.T).reshape(rows, STEPS, FEATURES).astype(np.float32)


def split_of(x: np.ndarray, lengths: np.ndarray) -> Split:
    real = np.arange(STEPS) < lengths[:, None]
    return Split(Rows(x * real[:, :, None], lengths=lengths))


@torch.no_grad()
def error(model: Autoencoder, split: Split) -> float:
    """Mean squared error of a row over its real steps."""
    batch = split.batch(slice(0, len(split)))
    off = (model.reconstruct(batch.x, None, batch.mask) - batch.x).double()
    return float(off.square().sum(2)[batch.mask].sum()) / len(split)


@given(st.integers(1, 4), st.integers(0, 50))
def test_with_rows_of_one_length_it_is_pca(dim, seed):
    x = planted(6, seed=seed)
    masked, plain = pca(split_of(x, np.full(len(x), STEPS)), dim), pca(Split(Rows(x)), dim)
    batch = torch.from_numpy(x)
    with torch.no_grad():
        # variances halve twice: rounds end at a gain of 1e-4 of the error, which bounds what is left of it
        torch.testing.assert_close(masked.reconstruct(batch), plain.reconstruct(batch), rtol=0, atol=0.02)
    off = [float((m.reconstruct(batch) - batch).square().sum().detach()) for m in (masked, plain)]
    assert off[0] == pytest.approx(off[1], rel=1e-3)


@given(st.integers(1, 3), st.integers(0, 50))
def test_the_real_steps_of_rows_of_that_rank_are_explained_and_padding_is_no_data(rank, seed):
    x = planted(rank, seed=seed)
    split = split_of(x, np.random.default_rng(seed).integers(3, STEPS + 1, len(x)))
    padded = Split(Rows(split.batch(slice(0, len(x))).x.numpy()))
    variance = float(x.reshape(len(x), -1).var(0).sum())
    # padding of 0 beside a mean of 1 is most of what plain PCA explains
    assert error(pca(split, rank), split) < 0.01 * variance < 0.05 * error(pca(padded, rank), split)


def test_what_lies_beyond_the_end_is_never_read():
    x = planted(3)
    split = split_of(x, np.random.default_rng(1).integers(1, STEPS + 1, len(x)))
    model, batch = pca(split, 2), split.batch(slice(0, len(x)))
    noisy = torch.where(batch.mask.unsqueeze(-1), batch.x, torch.randn_like(batch.x))
    codes = [model.encode(rows, None, batch.mask).mean for rows in (batch.x, noisy)]
    torch.testing.assert_close(codes[0], codes[1])
    assert codes[0].shape == (len(x), 2) and model.encode(batch.x).mean.isfinite().all()


def test_a_code_wider_than_the_rows_adds_units_that_stay_zero():
    x = planted(2, rows=5)
    codes = pca(split_of(x, np.array([8, 8, 5, 3, 8])), 9).encode(torch.from_numpy(x)).mean
    assert codes.shape == (5, 9) and not codes[:, 5:].any()


def test_one_linear_layer_has_no_closed_form_there():
    with pytest.raises(UsageError, match=r"^trainer=closed_form: .*different steps.*trainer=joint"):
        solve(linear(torch.Size([STEPS, FEATURES]), 2), split_of(planted(2), np.full(120, 4)))

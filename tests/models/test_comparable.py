"""PCA that is like for like with a code: no more numbers, active components or bits than the code has."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp.contracts import Capacity
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.models.comparable import comparable_pca, describe, find_levels, share_bits
from aeexp.models.pca import constant, pca

FALLING = 0.8 ** np.arange(12)


def rows(seed: int = 0, count: int = 200) -> Split:
    generator = np.random.default_rng(seed)
    axes = np.linalg.qr(generator.normal(size=(12, 12)))[0]
    return Split(Rows((generator.normal(size=(count, 12)) * FALLING @ axes.T + 0.5).astype(np.float32)))


@torch.no_grad()
def measure(model, split: Split) -> tuple[float, np.ndarray]:
    """Mean squared error of a row, and the codes."""
    out = model.encode(split.x).mean
    return float((model.decode(out) - split.x).double().square().sum(1).mean()), out.numpy()


@given(st.integers(1, 11), st.integers(0, 50))
def test_a_row_keeps_its_k_largest_components_which_is_never_worse_than_the_first_k(k, seed):
    split = rows(seed)
    error, codes = measure(comparable_pca(split, Capacity(12, k)), split)
    assert ((codes != 0).sum(1) == k).all()
    assert error <= measure(pca(split, k), split)[0] + 1e-6
    # orthonormal components: what is left out is the error
    whole = measure(pca(split, 12), split)[1]
    assert error == pytest.approx(np.sort(whole**2, 1)[:, : 12 - k].sum(1).mean(), rel=1e-3)


@given(st.integers(1, 11), st.integers(0, 50))
def test_k_on_average_is_never_worse_than_k_a_row(k, seed):
    split = rows(seed)
    error, codes = measure(comparable_pca(split, Capacity(12, k, shared=True)), split)
    assert (codes != 0).sum() == k * len(codes)
    assert error <= measure(comparable_pca(split, Capacity(12, k)), split)[0] + 1e-6


@given(st.integers(1, 9), st.integers(0, 20))
def test_a_code_of_bits_is_one_of_2_to_the_bits_and_each_bit_helps(bits, seed):
    split = rows(seed)
    values = measure(pca(split, 12), split)[1].T.astype(np.float64)
    sizes = [len(table) for table in share_bits(values, bits)]
    assert sum(math.log2(size) for size in sizes) == bits
    error, codes = measure(comparable_pca(split, Capacity(12, bits=bits)), split)
    assert len(np.unique(codes, axis=0)) <= 2**bits
    assert error < measure(comparable_pca(split, Capacity(12, bits=bits - 1)), split)[0]
    assert measure(pca(split, 12), split)[0] < error < measure(constant(split), split)[0]


def test_levels_are_those_of_lloyd_for_a_normal_law():
    """Max 1960, table I: 1 bit leaves 0.3634 of the variance, 2 bits 0.1175, 3 bits 0.03454."""
    from scipy.stats import norm

    values = norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    for count, left in ((2, 0.3634), (4, 0.1175), (8, 0.03454)):
        levels, error = find_levels(values, count)
        assert error == pytest.approx(left, rel=0.01) and (np.diff(levels) > 0).all()


def test_what_cannot_be_fewer_is_plain_pca_and_each_has_a_name():
    split = rows()
    for capacity in (Capacity(12), Capacity(12, 12), Capacity(40, 30)):
        assert measure(comparable_pca(split, capacity), split)[0] < 1e-9
    assert measure(comparable_pca(split, Capacity(4, bits=0)), split)[0] == measure(constant(split), split)[0]
    names = [Capacity(5), Capacity(64, 3), Capacity(8, 3, shared=True), Capacity(32, bits=24), Capacity(12, 12)]
    assert [describe(capacity, 12) for capacity in names] == [
        "PCA, width 5", "PCA, 3 of 12 components a row", "PCA, 3 of 8 components a row on average", "PCA in 24 bits",
        "PCA, width 12",
    ]  # fmt: skip


def test_rows_that_are_all_the_same_have_no_bits_to_spend():
    split = Split(Rows(np.full((20, 5), 0.3, np.float32)))
    error, codes = measure(comparable_pca(split, Capacity(8, bits=8)), split)
    assert error < 1e-12 and len(np.unique(codes, axis=0)) == 1

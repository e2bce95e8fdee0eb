"""Sparse matrices as rows: what is read, what is refused, and that nothing is made dense before it is needed."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from composing import composed

from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.core.stored import StoredArray
from aeexp.datasets.formats.sparse import SparseRows, sparse
from aeexp.datasets.sets.cells import cells
from aeexp.errors import UsageError
from aeexp.runs.build import build_seeded
from aeexp.runs.config import check

SPLIT = Fractions([8, 1, 1])


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(0.4, (60, 9)).astype(np.int32)


def load(path, **keys):
    return sparse(path=str(path), name="counts", split=SPLIT, **keys)


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_rows_are_those_of_the_matrix_and_stay_sparse_until_they_are_read(form, counts, tmp_path):
    path, labels = tmp_path / "counts.npz", tmp_path / "labels.npy"
    scipy.sparse.save_npz(path, scipy.sparse.csr_array(counts).asformat(form))
    np.save(labels, np.arange(60) % 3)
    data = load(path, labels=str(labels))
    rows = data["train"].rows
    assert isinstance(rows.x, StoredArray) and isinstance(rows.x.array, SparseRows)
    batch = next(data["train"].batches(20))
    np.testing.assert_array_equal(batch.x.numpy(), counts[batch.ids.numpy()])
    np.testing.assert_array_equal(batch.y.numpy(), batch.ids.numpy() % 3)
    assert batch.x.dtype.is_floating_point and data.is_counts and data.step is None


def test_what_is_no_such_file_is_refused(counts, tmp_path):
    path = tmp_path / "counts.npz"
    with pytest.raises(UsageError, match="^path=.*no such file"):
        load(path)
    np.savez(path, x=counts)
    with pytest.raises(UsageError, match="^path=.*data, indices, indptr, shape, format is not there.*dataset=npz"):
        load(path)
    scipy.sparse.save_npz(path, scipy.sparse.coo_array(counts))
    with pytest.raises(UsageError, match="indices, indptr is not there"):
        load(path)
    matrix = scipy.sparse.csr_array(counts)
    with pytest.raises(UsageError, match="^layer=raw: an .h5ad has layers"):
        scipy.sparse.save_npz(path, matrix)
        load(path, layer="raw")
    bad = matrix.astype(np.float64)
    bad.data[3] = np.nan
    scipy.sparse.save_npz(path, bad)
    with pytest.raises(UsageError, match="NaN or infinity"):
        load(path)
    parts = {"data": matrix.data, "indptr": matrix.indptr, "shape": matrix.shape, "format": b"csr"}
    np.savez(path, indices=matrix.indices + 100, **parts)
    with pytest.raises(UsageError, match="^path=.* is damaged"):
        load(path)
    np.savez(path, indices=matrix.indices, **{**parts, "data": np.array(["a"] * len(matrix.data), dtype=object)})
    with pytest.raises(UsageError, match="is damaged|nothing is unpickled"):
        load(path)


DAMAGE = {
    "format": [np.array([b"csr", b"csc"]), np.array(3.5), np.array([]), np.frombuffer(b"\xff\xfe", "S2")[0]],
    "shape": [
        np.array(5),
        np.array([5]),
        np.array([3, -1]),
        np.array([1, 2, 3]),
        np.array([np.nan, 1]),
        np.array(["a", "b"]),
    ],
    "indptr": [np.array([]), np.array([0, 10**12]), np.array([[0, 1]]), np.array([5, 0, 1])],
    "indices": [np.array([-1]), np.array([[0]]), np.array([0.5]), np.array([])],
    "data": [np.array([]), np.array([[1.0]]), np.array([1j])],
}


@pytest.mark.parametrize("part", DAMAGE)
def test_whatever_a_part_holds_is_told_in_words(part, counts, tmp_path):
    matrix, path = scipy.sparse.csr_matrix(counts), tmp_path / "damaged.npz"
    parts = {name: getattr(matrix, name) for name in ("data", "indices", "indptr", "shape")}
    for value in DAMAGE[part]:
        np.savez(path, **{**parts, "format": b"csr", part: value})
        with pytest.raises(UsageError, match="^path="):
            load(path)


def test_an_annotated_table_has_its_layers_and_columns(counts, tmp_path):
    anndata = pytest.importorskip("anndata", reason="needs anndata: pip install aeexp[counts]")
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "cells.h5ad"
    kinds = np.array(["b", "a"] * 30)
    index = [f"c{i}" for i in range(60)]
    obs = pandas.DataFrame({"kind": pandas.Categorical(kinds), "number": np.arange(60) % 4}, index=index)
    table = anndata.AnnData(scipy.sparse.csr_matrix(np.log1p(counts)), obs=obs)
    table.layers["raw"] = scipy.sparse.csr_matrix(counts)
    table.write_h5ad(path)
    data = load(path, labels="kind", layer="raw")
    batch = next(data["train"].batches(20))
    np.testing.assert_array_equal(batch.x.numpy(), counts[batch.ids.numpy()])
    assert data.classes == ("a", "b") and [data.classes[k] for k in batch.y] == kinds[batch.ids.numpy()].tolist()
    assert not load(path).is_counts and load(path, labels="number").classes == ("0", "1", "2", "3")
    with pytest.raises(UsageError, match="^labels=sort.*it has kind, number"):
        load(path, labels="sort")
    with pytest.raises(UsageError, match="^layer=x: .*it has raw"):
        load(path, layer="x")
    path.write_bytes(b"no table")
    with pytest.raises(UsageError, match="no readable .h5ad"):
        load(path)


def test_cells_are_counts_of_types_that_differ():
    data = cells(name="cells", split=SPLIT, n=600, genes=30)
    x = next(data["train"].batches(600))
    assert data.is_counts and data.facts.classes == 5 and x.x.shape[1:] == (30,)
    sizes, drawn = x.s.numpy().ravel(), x.x.sum(1).numpy()
    # a share of 0.05 is set to 0; a sum of 30 overdispersed counts scatters by a fifth
    assert np.corrcoef(sizes, drawn)[0, 1] > 0.6 and drawn.mean() == pytest.approx(0.95 * sizes.mean(), rel=0.1)
    assert (x.x.var(0) > 2 * x.x.mean(0)).float().mean() > 0.8, "more than a Poisson's"


def test_a_likelihood_of_counts_refuses_other_values_before_training(digit_data):
    cfg = composed("likelihood=poisson", "latent=gaussian")
    check(cfg)
    with pytest.raises(UsageError, match="^likelihood=poisson needs whole numbers.*dataset.scale=1"):
        build_seeded(cfg, digit_data)
    build_seeded(cfg, cells(name="cells", split=SPLIT, n=60, genes=10))

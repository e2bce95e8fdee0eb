"""Sparse matrices: counts of which most are 0, kept as such, and made dense batch by batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.stored import StoredArray
from aeexp.datasets.formats import arrays
from aeexp.datasets.formats.labels import check_labels
from aeexp.datasets.formats.npz import Archive
from aeexp.errors import UsageError

PARTS = ("data", "indices", "indptr", "shape", "format")  # of scipy.sparse.save_npz


@final
class SparseRows:
    """A matrix in compressed rows; an index makes some of them dense, in float32."""

    def __init__(self, matrix: Any):
        self.matrix = matrix
        self.shape = tuple(matrix.shape)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, index: np.ndarray, /) -> np.ndarray:
        return self.matrix[index].toarray()


@DataSet
def sparse(path: str, labels: str | None = None, layer: str | None = None) -> Source:
    """Rows (N, D) of a matrix in compressed rows: an .npz of `scipy.sparse.save_npz`, or an .h5ad (extra `counts`).

    `labels` is an .npy file (N,), or a column of .obs of an .h5ad, whose values are the classes; `layer` one of its
    layers in place of X. Where dense rows do not fit, or under residency=disk, the matrix stays as it is, and batches
    are made dense.
    """
    if not path:
        raise UsageError("path is empty: give the file, as in dataset.path=counts.npz")
    if not Path(path).is_file():
        raise UsageError(f"path={path}: no such file (looked for {Path(path).resolve()})")
    if path.endswith(".h5ad"):
        matrix, y, called = _read_h5ad(path, labels, layer)
    else:
        if layer is not None:
            raise UsageError(f"layer={layer}: an .h5ad has layers, and {path} is an .npz: leave dataset.layer out")
        matrix, called = _read_npz(path), f"labels={labels}"
        y = None if labels is None else check_labels(_read_labels(labels), called, matrix.shape[0])
    if not np.isfinite(matrix.data).all():
        raise UsageError(f"path={path}: the matrix holds NaN or infinity")
    if 0 in matrix.shape:
        raise UsageError(f"path={path}: a matrix of {matrix.shape[0]} rows and {matrix.shape[1]} columns has no values")
    rows = Rows(StoredArray(SparseRows(matrix), path), y)
    return arrays.make_source({"train": rows}, {"train": f"path={path}"}, {"train": called}, (), "take others")


def _read_npz(path: str) -> Any:
    """The matrix in compressed rows. Read by key, so that nothing is unpickled."""
    import scipy.sparse

    archive = Archive(path)
    lacking = [key for key in PARTS if key not in archive]
    if lacking:
        raise UsageError(
            f"path={path}: {', '.join(lacking)} is not there, as scipy.sparse.save_npz writes it: dataset=npz takes "
            "plain arrays"
        )
    data, indices, indptr, shape, kind = (archive.read(key) for key in PARTS)
    name = kind.item().decode(errors="replace") if kind.dtype.kind == "S" and kind.size == 1 else str(kind)
    make = {"csr": scipy.sparse.csr_array, "csc": scipy.sparse.csc_array}.get(name)
    if make is None:
        raise UsageError(f"path={path}: the matrix is in the form {name}: save matrix.tocsr()")
    try:
        rows, columns = (int(side) for side in shape)
        matrix = make((_to_float(data, path), indices, indptr), shape=(rows, columns))
        matrix.check_format(full_check=True)
    except (ValueError, TypeError, IndexError) as error:
        raise UsageError(f"path={path} is damaged: {arrays.to_line(error)}") from error
    return matrix.tocsr()


def _to_float(data: np.ndarray, path: str) -> np.ndarray:
    if data.dtype.kind not in "buif":
        raise UsageError(f"path={path}: the matrix is of type {data.dtype}, and numbers are needed")
    return data.astype(np.float32)


def _read_labels(file: str) -> np.ndarray:
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"labels={file}: no such file (looked for {path.resolve()})")
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UsageError(f"labels={file} is no .npy file of plain values: {arrays.to_line(error)}") from error


def _read_h5ad(path: str, labels: str | None, layer: str | None) -> tuple[Any, np.ndarray | None, str]:
    import scipy.sparse

    try:
        import anndata  # pyright: ignore[reportMissingImports] -- an extra
    except ImportError as error:
        raise UsageError(f"path={path}: an .h5ad is read by anndata: pip install aeexp[counts]") from error
    try:
        table = anndata.read_h5ad(path)
    except Exception as error:  # a damaged file raises anything: KeyError, OSError, its own errors
        raise UsageError(f"path={path} is no readable .h5ad file: {arrays.to_line(error)}") from error
    if layer is not None and layer not in table.layers:
        raise UsageError(f"layer={layer}: {path} has no such layer; it has {', '.join(table.layers) or 'none'}")
    if layer is None and table.X is None:
        raise UsageError(
            f"path={path} has no X: name one of its layers, {', '.join(table.layers) or 'of which it has none'}"
        )
    matrix = scipy.sparse.csr_array(table.X if layer is None else table.layers[layer])
    matrix.data = _to_float(matrix.data, path)
    called = f"labels={labels}"
    if labels is None:
        return matrix, None, called
    if labels not in table.obs:
        raise UsageError(f"{called}: {path} has no such column in .obs; it has {', '.join(table.obs) or 'none'}")
    column = table.obs[labels]
    values = column.astype(str) if column.dtype.kind not in "buif" else column
    return matrix, check_labels(np.asarray(values), called, len(table.obs)), called

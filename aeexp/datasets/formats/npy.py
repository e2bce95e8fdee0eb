"""The user's own arrays in .npy files, one file for each; rows stay on disk and may be larger than memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source, StoredArray
from aeexp.datasets.formats import arrays
from aeexp.datasets.formats.labels import check_labels
from aeexp.errors import UsageError


@DataSet
def npy(
    path: str,
    labels: str | None = None,
    target: str | None = None,
    attributes: str | None = None,
    test: str | None = None,
    test_labels: str | None = None,
    test_target: str | None = None,
    test_attributes: str | None = None,
) -> Source:
    """Rows (N, D), pictures (N, H, W), (N, C, H, W) or (N, H, W, C) and targets (N, ...) of memory-mapped files.

    A target (N,) is a number to predict.

    Labels (N,) and attributes (N,) or (N, F) are read. Whether values are finite is seen when rows are read.
    """
    if not path:
        raise UsageError("path is empty: give the file, as in dataset.path=rows.npy")
    beside = {"labels": (labels, test_labels), "target": (target, test_target),
              "attributes": (attributes, test_attributes)}  # fmt: skip
    for option, (file, test_file) in beside.items():
        if test is None and test_file is not None:
            raise UsageError(f"test_{option}={test_file}: there are no test rows; give dataset.test as well")
        if test is not None and file is None and test_file is not None:
            raise UsageError(
                f"test_{option}={test_file}: the training rows {path} have none; give dataset.{option} as well"
            )
        if test is not None and file is not None and test_file is None:
            raise UsageError(
                f"test_{option}=null: {file} has no companion for the test rows {test}; dataset.test_{option}"
            )
    parts = {"train": _read_rows("path", path, "", labels, target, attributes)}
    if test is not None:
        parts["test"] = _read_rows("test", test, "test_", test_labels, test_target, test_attributes)
    x_names = {"train": f"path={path}", "test": f"test={test}"}
    y_names = {"train": f"labels={labels}", "test": f"test_labels={test_labels}"}
    stem = "" if attributes is None else Path(attributes).stem
    instead = (
        f"take them as numbers to predict (\"dataset.target='{labels}'\" dataset.labels=null)"  # a path has spaces
    )
    called = "" if target is None else Path(target).stem
    return arrays.make_source(parts, x_names, y_names, arrays.name_columns(stem, parts["train"].s), instead,
                              called)  # fmt: skip


def _read_rows(
    option: str, path: str, prefix: str, labels: str | None, target: str | None, attributes: str | None
) -> Rows:
    """One part; `option` named its rows, and `prefix` stands before the options of all else."""
    name = f"{option}={path}"
    x = _store(arrays.view_rows(_map(path, name), name), path)
    y = s = t = response = None
    if labels is not None:
        name = f"{prefix}labels={labels}"
        y = np.array(check_labels(_map(labels, name), name, len(x)))  # no longer the file
    if target is not None:
        name = f"{prefix}target={target}"
        read = arrays.check_targets(_map(target, name), name, len(x))
        if arrays.is_response(read):
            response = arrays.convert_response(read, name)
        else:
            t = _store(read, target, np.int64)
    if attributes is not None:
        name = f"{prefix}attributes={attributes}"
        s = arrays.convert_attributes(_map(attributes, name), name, len(x))
    return Rows(x, y, s, target=t, response=response)


def _store(x: np.ndarray, path: str, integer: type | None = None) -> StoredArray:
    """Rows as they lie on disk, converted when they are read where their type is not one that is kept."""
    dtype = arrays.choose_dtype(x.dtype, integer)
    return StoredArray(x if x.dtype == dtype else arrays.ConvertedArray(x, dtype), path)


def _map(file: str, name: str) -> np.ndarray:
    """The array in memory-mapped pages; `name` is what a message calls it."""
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"{name}: no such file (looked for {path.resolve()})")
    try:
        with open(path, "rb") as opened:
            magic = opened.read(6)
        if magic[:2] == b"PK":
            raise UsageError(f"{name} is an .npz archive: take dataset=npz")
        if magic != np.lib.format.MAGIC_PREFIX:
            raise UsageError(f"{name} is no .npy file: save it with numpy.save")
        with np.errstate(all="ignore"):  # sizes of a damaged header
            mapped = np.lib.format.open_memmap(path, mode="r")
        size = mapped.offset + mapped.nbytes
    except UsageError:
        raise
    except Exception as error:  # a damaged header raises anything: ValueError, SyntaxError, OverflowError ...
        what = "Python objects are not unpickled" if "object" in str(error) else "truncated, damaged or no array"
        raise UsageError(f"{name} cannot be read, {what}: {arrays.to_line(error)}") from error
    length = path.stat().st_size
    if length != size:
        raise UsageError(f"{name} has {length} bytes, but its header speaks of {size}: it is damaged")
    return mapped

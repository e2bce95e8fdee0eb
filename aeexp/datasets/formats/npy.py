"""The user's own arrays in .npy files, one file for each; rows stay on disk and may be larger than memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source, Stored
from aeexp.datasets.formats import arrays
from aeexp.datasets.formats.labels import checked_labels
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

    Labels (N,) and attributes (N,) or (N, F) are read. Whether values are finite is seen when rows are read.
    """
    if not path:
        raise UsageError("path is empty: give the file, as in dataset.path=rows.npy")
    files = {"path": path, "labels": labels, "target": target, "attributes": attributes}
    beside = {"labels": test_labels, "target": test_target, "attributes": test_attributes}
    for option, file in beside.items():
        if test is None:
            if file is not None:
                raise UsageError(f"test_{option}={file}: there are no test rows; give dataset.test as well")
            continue
        needed, given = files[option] is not None, file is not None
        if not needed and given:
            raise UsageError(f"test_{option}={file}: the training rows {path} have none; give dataset.{option} as well")
        if not given and needed:
            raise UsageError(
                f"test_{option}=null: {files[option]} has no companion for the test rows {test}; dataset.test_{option}"
            )
    parts = {"train": _rows(files)}
    if test is not None:
        parts["test"] = _rows({"test": test, **{f"test_{option}": file for option, file in beside.items()}})
    x_names = {"train": f"path={path}", "test": f"test={test}"}
    y_names = {"train": f"labels={labels}", "test": f"test_labels={test_labels}"}
    stem = "" if attributes is None else Path(attributes).stem
    instead = f"take them as attributes (\"dataset.attributes='{labels}'\" dataset.labels=null)"  # a path has spaces
    return arrays.source(parts, x_names, y_names, arrays.columns(stem, parts["train"].s), instead)


def _rows(files: dict[str, str | None]) -> Rows:
    """One part: files of rows, labels, targets and attributes by their options, in this order."""
    x, *rest = (None if file is None else (_mapped(option, file), f"{option}={file}") for option, file in files.items())
    stored = _stored(arrays.features(*x), x[1])
    count = len(stored)
    y, t, s = (
        None if found is None else check(*found, count)
        for found, check in zip(rest, (checked_labels, arrays.targets, arrays.attributes), strict=True)
    )
    y = None if y is None else np.array(y)  # no longer the file
    return Rows(stored, y, s, target=None if t is None else _stored(t, rest[1][1], np.int64))


def _stored(x: np.ndarray, name: str, integer: type | None = None) -> Stored:
    """Rows as they lie on disk, converted when they are read where their type is not one that is kept."""
    dtype = arrays.type_of(x.dtype, integer)
    return Stored(x if x.dtype == dtype else arrays.Viewed(x, dtype), name.partition("=")[2])


def _mapped(option: str, file: str) -> np.ndarray:
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"{option}={file}: no such file (looked for {path.resolve()})")
    try:
        with open(path, "rb") as opened:
            magic = opened.read(6)
        if magic[:2] == b"PK":
            raise UsageError(f"{option}={file} is an .npz archive: take dataset=npz")
        if magic != np.lib.format.MAGIC_PREFIX:
            raise UsageError(f"{option}={file} is no .npy file: save it with numpy.save")
        with np.errstate(all="ignore"):  # sizes of a damaged header
            mapped = np.lib.format.open_memmap(path, mode="r")
        size = mapped.offset + mapped.nbytes
    except UsageError:
        raise
    except Exception as error:  # a damaged header raises anything: ValueError, SyntaxError, OverflowError ...
        words = "Python objects are not unpickled" if "object" in str(error) else "truncated, damaged or no array"
        raise UsageError(f"{option}={file} cannot be read, {words}: {arrays.line(error)}") from error
    length = path.stat().st_size
    if length != size:
        raise UsageError(f"{option}={file} has {length} bytes, but its header speaks of {size}: it is damaged")
    return mapped

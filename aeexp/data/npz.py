"""The user's own arrays."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from aeexp.data.assemble import dataset
from aeexp.data.records import Rows, Source
from aeexp.types import UsageError, require


@dataset
def npz(
    path: str,
    x: str = "x",
    y: str | None = "y",
    x_test: str | None = None,
    y_test: str | None = None,
    shape: list[int] | None = None,
    scale: float | None = None,
) -> Source:
    """Arrays of an .npz file by key: rows (N, D), pictures (N, H, W) or (N, C, H, W), optional labels (N,).

    `shape` folds flat rows into pictures. `scale` multiplies stored values; by default 1/255 for uint8, else 1.
    `y` may be absent from the file. `x_test`, `y_test` name an official test set (dataset/split=official).
    """
    require(path, "path is empty: give the file, as in dataset.path=data.npz")
    arrays = _open(Path(path))
    wanted = {"x": x, "x_test": x_test, "y_test": y_test}
    for option, key in wanted.items():
        require(
            key is None or key in arrays,
            f"{option}={key}: {path} has no such array; it has {', '.join(sorted(arrays))}",
        )
    labels = arrays[y] if y in arrays else None
    rows = _rows(path, x, arrays[x], shape, labels)
    test = None
    if x_test is not None:
        test = _rows(path, x_test, arrays[x_test], shape, None if y_test is None else arrays[y_test])
        same = test.x.shape[1:] == rows.x.shape[1:]
        require(same, f"x_test={x_test}: rows have shape {test.x.shape[1:]}, those of {x} {rows.x.shape[1:]}")
    if scale is None:
        scale = 1 / 255 if arrays[x].dtype == np.uint8 else 1.0
    return _with_classes(rows, test, scale)


def _open(path: Path) -> dict[str, np.ndarray]:
    require(path.is_file(), f"path={path}: no such file (looked for {path.resolve()})")
    try:
        with np.load(path, allow_pickle=False) as file:
            require(isinstance(file, np.lib.npyio.NpzFile), f"path={path} is a single array: save it with numpy.savez")
            return {key: file[key] for key in file.files}
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise UsageError(f"path={path} is no readable .npz file: {error}") from error
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(
            f"path={path} holds Python objects or is damaged, and nothing is unpickled: {error}\n"
            "Save plain numeric arrays with numpy.savez."
        ) from error


def _rows(path: str, key: str, x: np.ndarray, shape: list[int] | None, labels: np.ndarray | None) -> Rows:
    numeric = x.dtype.kind in "buif"
    require(numeric, f"x={key}: the array in {path} has type {x.dtype}, but numbers are needed")
    require(x.ndim >= 2 and x.size > 0, f"x={key}: the array in {path} has shape {x.shape}, but (N, ...) is needed")
    if shape is not None:
        fits = int(np.prod(shape)) == int(np.prod(x.shape[1:])) and min(shape) >= 1
        require(fits, f"shape={list(shape)} does not hold the {int(np.prod(x.shape[1:]))} values of a row of {key}")
        x = x.reshape(len(x), *shape)
    if x.ndim == 3:
        x = x[:, None]
    fits = x.ndim in (2, 4)
    require(fits, f"x={key}: rows of {path} have shape {x.shape[1:]}; (D,), (H, W) or (C, H, W) is needed")
    if x.dtype != np.uint8:
        x = x.astype(np.float32)
        bad = ~np.isfinite(x.reshape(len(x), -1)).all(1)
        require(not bad.any(), f"x={key}: row {bad.argmax()} of {path} holds NaN or infinity ({bad.sum()} such rows)")
    if labels is not None:
        fits = labels.shape == (len(x),)
        require(fits, f"y: labels of shape {labels.shape} in {path} do not fit the {len(x)} rows of {key}")
    return Rows(x, labels)


def _with_classes(rows: Rows, test: Rows | None, scale: float) -> Source:
    """Number the labels 0, 1, ... in their sorted order; negative numbers stay -1, unlabelled."""
    known = [r.y for r in (rows, test) if r is not None and r.y is not None]
    if not known:
        return Source(rows, test, scale)
    names = np.unique(np.concatenate(known))
    names = names[names >= 0] if names.dtype.kind in "if" else names

    def number(labels: np.ndarray | None) -> np.ndarray | None:
        if labels is None:
            return None
        place = np.searchsorted(names, labels).clip(max=len(names) - 1)
        return np.where(names[place] == labels, place, -1).astype(np.int64)

    rows, test = (r if r is None else r._replace(y=number(r.y)) for r in (rows, test))
    return Source(rows, test, scale, tuple(str(name) for name in names))

"""The user's own arrays."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from aeexp.data.assemble import dataset
from aeexp.data.records import Rows, Source
from aeexp.errors import UsageError, require


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
    An array named `y` may be absent; any other key must be there. `x_test`, `y_test` name an official test set
    (dataset/split=official).
    """
    require(path, "path is empty: give the file, as in dataset.path=data.npz")
    require(scale is None or 0 < scale < math.inf, f"scale={scale} must be a number above 0")
    arrays = _open(Path(path))
    y = None if y == "y" and y not in arrays else y
    wanted = {"x": x, "y": y, "x_test": x_test, "y_test": y_test}
    for option, key in wanted.items():
        require(
            key is None or key in arrays,
            f"{option}={key}: {path} has no such array; it has {', '.join(sorted(arrays))}",
        )
    rows = _rows(path, arrays, shape, x=x, y=y)
    test = None
    if x_test is not None:
        test = _rows(path, arrays, shape, x_test=x_test, y_test=y_test)
        here, there = (f"{r.x.shape[1:]} {r.x.dtype}" for r in (test, rows))
        require(here == there, f"x_test={x_test}: rows of {path} are {here}, those of {x} {there}")
    if scale is None:
        scale = 1 / 255 if arrays[x].dtype == np.uint8 else 1.0
    return _with_classes(rows, test, scale)


def _open(path: Path) -> dict[str, np.ndarray]:
    require(path.is_file(), f"path={path}: no such file (looked for {path.resolve()})")
    try:
        with open(path, "rb") as opened:  # numpy leaves a path open whose archive is damaged
            file = np.load(opened, allow_pickle=False)
            require(isinstance(file, np.lib.npyio.NpzFile), f"path={path} is a single array: save it with numpy.savez")
            return {key: np.asarray(file[key]) for key in file.files}  # what is no array comes as bytes
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(
            f"path={path} holds Python objects or is damaged, and nothing is unpickled: {error}\n"
            "Save plain numeric arrays with numpy.savez."
        ) from error
    except Exception as error:  # a damaged zip raises anything: BadZipFile, zlib.error, NotImplementedError ...
        raise UsageError(f"path={path} is no readable .npz file: {error}") from error


def _rows(path: str, arrays: dict[str, np.ndarray], shape: list[int] | None, **keys: str | None) -> Rows:
    """`keys` are two options with their arrays' keys: first the rows', then the labels' or None."""
    (x_option, x_key), (y_option, y_key) = keys.items()
    x = _numbers(path, f"{x_option}={x_key}", arrays[x_key], shape)
    return Rows(x, None if y_key is None else _labels(path, f"{y_option}={y_key}", arrays[y_key], len(x)))


def _numbers(path: str, name: str, x: np.ndarray, shape: list[int] | None) -> np.ndarray:
    numeric = x.dtype.kind in "buif"
    require(numeric, f"{name}: the array in {path} has type {x.dtype}, but numbers are needed")
    require(x.ndim >= 2 and x.size > 0, f"{name}: the array in {path} has shape {x.shape}, but (N, ...) is needed")
    if shape is not None:
        features = math.prod(x.shape[1:])
        fits = math.prod(shape) == features and min(shape, default=0) >= 1
        require(fits, f"shape={list(shape)} does not hold the {features} values of a row of {name}")
        x = x.reshape(len(x), *shape)
    if x.ndim == 3:
        x = x[:, None]
    fits = x.ndim in (2, 4)
    require(fits, f"{name}: rows of {path} have shape {x.shape[1:]}; (D,), (H, W) or (C, H, W) is needed")
    if x.dtype != np.uint8:
        with np.errstate(over="ignore", invalid="ignore"):
            x = x.astype(np.float32)  # what float32 cannot hold becomes infinity, and is refused
        bad = ~np.isfinite(x.reshape(len(x), -1)).all(1)
        require(not bad.any(), f"{name}: row {bad.argmax()} of {path} holds NaN or infinity ({bad.sum()} such rows)")
    return x


def _labels(path: str, name: str, labels: np.ndarray, rows: int) -> np.ndarray:
    require(labels.shape == (rows,), f"{name}: labels of shape {labels.shape} in {path} do not fit the {rows} rows")
    known = labels.dtype.kind in "buifSU"
    require(known, f"{name}: labels of type {labels.dtype} in {path}, but numbers or texts are needed")
    bad = ~np.isfinite(labels) if labels.dtype.kind == "f" else np.zeros(rows, bool)
    require(not bad.any(), f"{name}: row {bad.argmax()} of {path} has the label NaN or infinity: mark unlabelled by -1")
    return labels


def _with_classes(rows: Rows, test: Rows | None, scale: float) -> Source:
    """Number the labels 0, 1, ... in their sorted order; negative numbers stay -1, unlabelled."""
    known = [r.y for r in (rows, test) if r is not None and r.y is not None]
    if not known:
        return Source(rows, test, scale)
    kinds = {labels.dtype.kind if labels.dtype.kind in "SU" else "number" for labels in known}
    require(len(kinds) == 1, "y_test: the test rows have labels of another kind, texts and numbers, than y")
    names = np.unique(np.concatenate(known))
    names = names[names >= 0] if names.dtype.kind in "if" else names

    def number(labels: np.ndarray | None) -> np.ndarray | None:
        if labels is None:
            return None
        if len(names) == 0:
            return np.full(len(labels), -1)
        place = np.searchsorted(names, labels).clip(max=len(names) - 1)
        return np.where(names[place] == labels, place, -1).astype(np.int64)

    rows, test = (r if r is None else r._replace(y=number(r.y)) for r in (rows, test))
    return Source(rows, test, scale, tuple(str(name) for name in names))

"""What a user's arrays must be and what they become: the checks that npz, idx and npy share.

`name` is what a message calls an array, with the key that chose it in front: "x=a: a of data.npz", "path=rows.npy".
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import final

import numpy as np

from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.formats.labels import number_in_order
from aeexp.errors import UsageError

log = logging.getLogger(__name__)

MOST_CLASSES = 100  # of labels that are written as fractions are
BLOCK = 2**24  # values that are looked at together


@final
class ConvertedArray:
    """An array whose rows become what `convert` makes of them when they are read: nothing is held twice."""

    def __init__(self, array: np.ndarray, dtype: np.dtype):
        self.array = array
        self.shape = array.shape
        self.dtype = dtype

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: np.ndarray | slice) -> np.ndarray:
        return convert(np.asarray(self.array[index]), self.dtype)


def view_rows(x: np.ndarray, name: str, shape: list[int] | None = None, sequences: bool = False) -> np.ndarray:
    """A view of stored numbers as (N, D), (N, C, H, W) or, for sequences, (N, T, F); `shape` folds flat rows.

    Four dimensions with 1, 3 or 4 as the last and another number behind N are pictures with their channels last.
    """
    if x.dtype.kind not in "buif":
        raise UsageError(f"{name} has type {x.dtype}, but numbers are needed")
    if x.ndim < 2 or x.size == 0:
        raise UsageError(f"{name} has shape {x.shape}, but (N, ...) with rows and values is needed")
    if shape is not None:
        values = math.prod(x.shape[1:])
        if math.prod(shape) != values or min(shape, default=0) < 1:
            raise UsageError(
                f"shape={list(shape)} does not hold the {values} values of a row; {name} has shape {x.shape}"
            )
        x = x.reshape(len(x), *shape)
    if sequences:
        if x.ndim not in (2, 3):
            raise UsageError(f"sequences=true: {name} has rows {x.shape[1:]}; steps (T,) or (T, F) are needed")
        return x if x.ndim == 3 else x[:, :, None]
    if x.ndim not in (2, 3, 4):
        raise UsageError(f"{name} has rows {x.shape[1:]}; (D,), (H, W), (C, H, W) or (H, W, C) is needed")
    if x.ndim == 4 and x.shape[-1] in (1, 3, 4):
        if x.shape[1] not in (1, 3, 4):
            return np.moveaxis(x, -1, 1)
        log.info("%s: rows %s taken as (C, H, W)", name, x.shape[1:])
    return x[:, None] if x.ndim == 3 else x


def choose_dtype(dtype: np.dtype, integer: type | None = None) -> np.dtype:
    """Bytes and booleans are kept as uint8, other integers as `integer` if it is given, the rest as float32."""
    if dtype == np.uint8 or dtype.kind == "b":
        return np.dtype(np.uint8)
    return np.dtype(integer if integer and dtype.kind in "ui" else np.float32)


def convert(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A contiguous array; what float32 cannot hold becomes infinity, and is refused where that is looked for."""
    if x.dtype.kind == "b":
        x = np.not_equal(x.view(np.uint8), 0)  # a damaged file may hold booleans that are neither 0 nor 1
    if x.dtype == np.uint64 and dtype == np.int64:
        x = np.minimum(x, np.uint64(2**63 - 1))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(x, dtype)


def convert_finite(x: np.ndarray, name: str, integer: type | None = None) -> np.ndarray:
    """The whole array in memory, refused where a value is no number."""
    x = convert(x, choose_dtype(x.dtype, integer))
    if x.dtype.kind == "f":
        bad = ~np.isfinite(x.reshape(len(x), -1)).all(1)
        if bad.any():
            raise UsageError(f"{name}: row {bad.argmax()} holds NaN or infinity ({bad.sum()} such rows)")
    return x


def check_targets(t: np.ndarray, name: str, rows: int) -> np.ndarray:
    """(N, ...) numbers: masks (H, W), say; checked, neither moved nor converted."""
    if t.dtype.kind not in "buif":
        raise UsageError(f"{name} has type {t.dtype}, but numbers are needed")
    if t.ndim == 0 or len(t) != rows or t.size == 0:
        raise UsageError(f"{name} has shape {t.shape}, which does not fit the {rows} rows")
    return t


def is_response(t: np.ndarray) -> bool:
    """Whether targets are one number a row, to be predicted, and no masks."""
    return t.ndim == 1 or t.shape[1:] == (1,)


def are_measurements(t: np.ndarray) -> bool:
    """Whether targets (N,) are numbers rather than classes: fractions, NaN, or more than `MOST_CLASSES` values."""
    if t.dtype.kind != "f":
        return False
    return not (t == np.floor(t)).all() or len(np.unique(t)) > MOST_CLASSES


def are_numbers(labels: Sequence[np.ndarray]) -> bool:
    """Whether labels of all parts are numbers to predict rather than classes; a gap makes no fraction of a class."""
    y = np.concatenate([each.reshape(-1) for each in labels]) if labels else np.empty(0)
    return y.dtype.kind == "f" and are_measurements(y[~np.isnan(y)])


def convert_response(t: np.ndarray, name: str) -> np.ndarray:
    """(N,) float32 of targets (N,) or (N, 1); NaN is a row whose number is not known."""
    with np.errstate(over="ignore"):
        response = np.asarray(t).reshape(len(t)).astype(np.float32)
    if np.isinf(response).any():
        raise UsageError(
            f"{name}: row {np.isinf(response).argmax()} holds no finite float32 number: mark unknown by NaN"
        )
    return response


def convert_attributes(s: np.ndarray, name: str, rows: int) -> np.ndarray:
    """(N,) or (N, F) numbers, integers as int64 and the rest as float32."""
    if s.dtype.kind not in "buif":
        raise UsageError(f"{name} has type {s.dtype}, but numbers are needed")
    if s.ndim not in (1, 2) or len(s) != rows or s.size == 0:
        raise UsageError(f"{name} has shape {s.shape}, which does not fit the {rows} rows: (N,) or (N, F) is needed")
    s = convert_finite(s, name, np.int64)
    return s.astype(np.int64) if s.dtype == np.uint8 else s


def name_columns(name: str, s: np.ndarray | None) -> tuple[str, ...]:
    """Names of attributes that have none of their own: `name`, or name[0], name[1], ..."""
    if s is None:
        return ()
    return (name,) if s.ndim == 1 else tuple(f"{name}[{i}]" for i in range(s.shape[1]))


def pad(x: np.ndarray, offsets: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps (M, F) of sequences one after another as (n, T, F) with zeros behind each, and lengths (n,)."""
    if offsets.dtype.kind not in "ui" or offsets.ndim != 1 or len(offsets) < 2:
        raise UsageError(f"{name} has type {offsets.dtype} and shape {offsets.shape}; integers (n+1,) are needed")
    ends = (int(offsets[0]), int(offsets[-1]))
    if ends != (0, len(x)):
        raise UsageError(f"{name} goes from {ends[0]} to {ends[1]}, but there are {len(x)} steps from 0 on")
    ascends = offsets[1:] > offsets[:-1]
    if not ascends.all():
        raise UsageError(f"{name}: sequence {ascends.argmin()} has no step; offsets must ascend")
    lengths = np.diff(offsets.astype(np.int64))
    try:
        rows = np.zeros((len(lengths), lengths.max(), *x.shape[1:]), x.dtype)
    except MemoryError as error:
        raise UsageError(
            f"{name}: {len(lengths)} sequences of {lengths.max()} steps do not fit into memory: cut the longest"
        ) from error
    rows[np.arange(rows.shape[1]) < lengths[:, None]] = x
    return rows, lengths


def lengthen(x: np.ndarray, steps: int) -> np.ndarray:
    """Sequences (N, T, F) with zeros behind them up to that many steps."""
    short = steps - x.shape[1]
    return np.pad(x, ((0, 0), (0, short), (0, 0))) if short else x


def find_unit(parts: list) -> float:
    """What a stored step of 1 means: 1/255 in bytes, unless all of them are 0 or 1, and 1 in any other type."""
    if parts[0].dtype != np.uint8:
        return 1.0
    for x in parts:
        size = max(1, BLOCK // math.prod(x.shape[1:]))
        if any(x[slice(start, start + size)].max() > 1 for start in range(0, len(x), size)):
            return 1 / 255
    return 1.0


def make_source(
    parts: dict[str, Rows],
    x_names: dict[str, str],
    y_names: dict[str, str],
    columns: tuple[str, ...],
    instead: str,
    response: str = "",
) -> Source:
    """Rows of "train" and perhaps "val" and "test", their labels still as read; a name for each part's arrays.

    `instead` is what to do with labels that are measurements, `response` what the numbers to predict are called.
    """
    numbers = parts["train"].response
    if numbers is not None and np.isnan(numbers).all():  # those of other splits may all be unknown
        raise UsageError(f"{response} has no number in any training row: name another")
    train = _describe(parts["train"])
    for part, rows in parts.items():
        for what, kind in _describe(rows).items():
            if kind != train[what]:
                raise UsageError(f"{x_names[part]}: its {what} are {kind}, those of train {train[what]}")
    scale = find_unit([rows.x for rows in parts.values()])
    known = {part: rows.y for part, rows in parts.items() if rows.y is not None}
    classes: tuple[str, ...] = ()
    if known:
        numbers, classes = number_in_order({y_names[part]: y for part, y in known.items()}, instead)
        parts = {**parts, **{part: parts[part]._replace(y=y) for part, y in zip(known, numbers, strict=True)}}
    return Source(parts["train"], parts.get("test"), scale, classes, parts.get("val"), columns,
                  response=response if parts["train"].response is not None else "")  # fmt: skip


def _describe(rows: Rows) -> dict[str, str | None]:
    fields = {"rows": rows.x, "targets": rows.target, "attributes": rows.s, "numbers to predict": rows.response}
    return {what: None if f is None else f"{tuple(f.shape[1:])} {f.dtype}" for what, f in fields.items()}


def to_line(error: Exception) -> str:
    """What a library said, in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__

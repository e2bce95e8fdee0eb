"""Rows as loaders yield them: in memory, on disk, or in shards that are read one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, final

import numpy as np

from aeexp.datasets.core.shards import StreamedArray, check_finite


class Indexed(Protocol):
    """An array that lies elsewhere: a memory map, picture files, an Arrow table. An index reads rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, *shape)"""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Of every row."""
        ...

    def __getitem__(self, index: np.ndarray, /) -> np.ndarray: ...


@final
class StoredArray:
    """Some rows of an `Indexed` array; `path` is what a message calls it."""

    def __init__(self, array: Indexed, path: str, index: np.ndarray | None = None):
        self.array = array
        self.path = path
        self.index = np.arange(array.shape[0]) if index is None else index
        self.shape = (len(self.index), *array.shape[1:])
        self.dtype = np.dtype(array.dtype)

    def __len__(self) -> int:
        return len(self.index)

    def take(self, index: np.ndarray) -> StoredArray:
        """The rows at these places, not yet read."""
        return StoredArray(self.array, self.path, self.index[index])

    def spread(self, count: int) -> np.ndarray:
        """At most that many ascending places, from the first row to the last."""
        return np.unique(np.linspace(0, len(self) - 1, count).astype(np.int64))

    def to_bytes(self) -> bytes:
        """Which rows these are, for a fingerprint."""
        return np.ascontiguousarray(self.index).tobytes()

    def __getitem__(self, index: np.ndarray | slice) -> np.ndarray:
        rows = self.index[index]
        return check_finite(np.asarray(self.array[rows]), rows, self.path)

    def read(self, rows: int = 4096) -> np.ndarray:
        """All of it, in memory."""
        whole = np.empty(self.shape, self.dtype)
        for start in range(0, len(self), rows):
            whole[start : start + rows] = self[slice(start, start + rows)]
        return whole


Array = np.ndarray | StoredArray | StreamedArray


class Rows(NamedTuple):
    """Examples as stored."""

    x: Array  # (N, *shape) uint8 or float32: features (D,), pictures (C, H, W) or padded sequences (T, F)
    y: np.ndarray | None = None  # (N,) integers, -1: unlabelled
    s: np.ndarray | None = None  # (N,) or (N, F) attributes or factors
    ids: np.ndarray | None = None  # (N,) row numbers in the source, by `assemble`; None of shards, which know them
    target: np.ndarray | StoredArray | None = None  # (N, ...) what a task may want in place of x, such as masks (H, W)
    lengths: np.ndarray | None = None  # (N,) steps of each sequence; what follows them is padding
    response: np.ndarray | None = None  # (N,) float32, in place of y: the number to predict, NaN: unlabelled

    def take(self, index: np.ndarray) -> Rows:
        """The rows at these places, or where a mask (N,) says so; those beyond memory are not yet read."""

        def pick(field: np.ndarray | None) -> np.ndarray | None:
            return None if field is None else field[index]

        x = self.x[index] if isinstance(self.x, np.ndarray) else self.x.take(index)
        target = self.target.take(index) if isinstance(self.target, StoredArray) else pick(self.target)
        return Rows(x, pick(self.y), pick(self.s), pick(self.ids), target, pick(self.lengths), pick(self.response))

    @property
    def known(self) -> np.ndarray | None:
        """(N,) which rows are labelled, by a class or a number; None where none can be."""
        if self.y is not None:
            return self.y >= 0
        return None if self.response is None else ~np.isnan(self.response)


class Variable(NamedTuple):
    """A column of a table: what its features and its values are called."""

    name: str
    categories: tuple[str, ...] = ()  # one feature each; (): a number, which is one feature


class Encoding(Protocol):
    """What makes features of a table's columns (`tabular.Tabular`)."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(N, C) -> (N, D) float32."""
        ...

    def to_dict(self) -> dict[str, object]:
        """All that it does, as plain data."""
        ...


class Source(NamedTuple):
    """What a loader found: all rows, the official val and test rows if there are any, and what they mean."""

    rows: Rows
    test: Rows | None = None
    scale: float = 1.0  # value = stored * scale
    classes: tuple[str, ...] = ()
    val: Rows | None = None
    attributes: tuple[str, ...] = ()  # names of s, or of its columns
    fit: Callable[[np.ndarray], Encoding] | None = None  # from training x: x -> features
    continuous: np.ndarray | None = None  # (D,) which features `standardise` acts on; None: all
    variables: tuple[Variable, ...] = ()  # the columns of x in order, where it is a table with names
    groups: tuple[tuple[str, ...], ...] = ()  # names of the values of each attribute, () where it is a number
    response: str = ""  # what the number to predict is called


def read(x: Array) -> np.ndarray:
    """All of it, in memory."""
    return x if isinstance(x, np.ndarray) else x.read()

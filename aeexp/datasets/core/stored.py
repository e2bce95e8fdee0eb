"""Rows beyond memory that are read in any order, and what of them is decoded."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, final

import numpy as np

from aeexp.datasets.core.workers import Decode, Workers, count_rows
from aeexp.errors import UsageError


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


class EncodedRows(ABC):
    """An `Indexed` array whose rows are decoded when they are read, which `Workers` can do."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @abstractmethod
    def __getitem__(self, index: np.ndarray, /) -> np.ndarray: ...

    @property
    @abstractmethod
    def decode(self) -> Decode | None:
        """What `fetch` gives -> (B, *shape); None where rows lie as they are."""

    @abstractmethod
    def fetch(self, index: np.ndarray) -> Sequence[Any]:
        """What is stored of each of these rows, as bytes or the name of a file, and what a message calls it by."""


class EncodedShards(ABC):
    """Shards (`shards.Shards`) whose rows are decoded when they are read, which `Workers` can do."""

    @property
    @abstractmethod
    def decode(self) -> Decode | None:
        """What `fetch` gives of B rows -> (B, *shape); None where rows lie as they are."""

    @abstractmethod
    def fetch(self, shard: int, places: np.ndarray) -> Iterator[Any]:
        """What is stored of each of the rows at these ascending places of a shard."""


@final
class StoredArray:
    """Some rows of an `Indexed` array; `path` is what a message calls it, and `workers` decode its rows ahead."""

    def __init__(self, array: Indexed, path: str, index: np.ndarray | None = None, workers: Workers | None = None):
        self.array = array
        self.path = path
        self.index = np.arange(array.shape[0]) if index is None else index
        self.workers = workers
        self.shape = (len(self.index), *array.shape[1:])
        self.dtype = np.dtype(array.dtype)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def decode(self) -> Decode | None:
        """Of an encoded array."""
        return self.array.decode if isinstance(self.array, EncodedRows) else None

    def use(self, workers: Workers) -> StoredArray:
        """The same rows, decoded by these."""
        return StoredArray(self.array, self.path, self.index, workers)

    def take(self, index: np.ndarray) -> StoredArray:
        """The rows at these places, not yet read."""
        return StoredArray(self.array, self.path, self.index[index], self.workers)

    def spread(self, count: int) -> np.ndarray:
        """At most that many ascending places, from the first row to the last."""
        return np.unique(np.linspace(0, len(self) - 1, count).astype(np.int64))

    def to_bytes(self) -> bytes:
        """Which rows these are, for a fingerprint."""
        return np.ascontiguousarray(self.index).tobytes()

    def __getitem__(self, index: np.ndarray | slice) -> np.ndarray:
        rows = self.index[index]
        return check_finite(np.asarray(self.array[rows]), rows, self.path)

    def iterate(self, parts: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """The rows at each of these places, one part after the other; workers read ahead."""
        array, decode, size = self.array, self.decode, count_rows(self.shape[1:], self.dtype)
        total = sum(map(len, parts))
        if self.workers is None or decode is None or total <= 2 * size or not isinstance(array, EncodedRows):
            yield from (self[part] for part in parts)
            return
        tasks = (part[start : start + size] for part in parts for start in range(0, len(part), size))
        flow = self.workers.map(decode, (array.fetch(self.index[task]) for task in tasks))
        for part in parts:
            several = list(islice(flow, math.ceil(len(part) / size)))
            x = several[0] if len(several) == 1 else np.concatenate(several)
            yield check_finite(x, self.index[part], self.path)

    def read(self, rows: int = 4096) -> np.ndarray:
        """All of it, in memory."""
        whole = np.empty(self.shape, self.dtype)
        starts = range(0, len(self), rows)
        parts = [np.arange(start, min(start + rows, len(self))) for start in starts]
        for start, x in zip(starts, self.iterate(parts), strict=True):
            whole[start : start + rows] = x
        return whole


def check_finite(x: np.ndarray, rows: np.ndarray, path: str) -> np.ndarray:
    """The same array; refused where it holds NaN or infinity."""
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        bad = rows[~np.isfinite(x.reshape(len(x), -1)).all(1)]
        raise UsageError(f"dataset.path={path}: row {bad[0]} holds NaN or infinity: mend it, or leave it out")
    return x

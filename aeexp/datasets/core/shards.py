"""Rows that are read in order only, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, final

import numpy as np

from aeexp.datasets.core.row_set import RowSet
from aeexp.errors import UsageError


class Shards(Protocol):
    """What is read from its beginning: tar shards, row groups of Parquet, ranges of a key."""

    @property
    def counts(self) -> Sequence[int]:
        """Rows in each shard."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Of every row."""
        ...

    def read(self, shard: int, places: np.ndarray) -> Iterator[np.ndarray]:
        """The rows at these ascending places of a shard, (*shape) one by one, or (B, *shape) some at a time."""
        ...


@final
class StreamedArray:
    """Some rows of `Shards`, numbered through all shards; read in order only, `lanes` shards side by side."""

    def __init__(self, shards: Shards, path: str, chosen: RowSet | None = None, lanes: int = 8):
        self.shards = shards
        self.path = path
        self.lanes = lanes
        self.chosen = RowSet(np.cumsum(shards.counts)) if chosen is None else chosen
        self.shape = (len(self.chosen), *shards.shape)
        self.dtype = np.dtype(shards.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def index(self) -> np.ndarray:
        """(N,) numbers of the rows, ascending."""
        return self.chosen.numbers()

    def take(self, index: np.ndarray) -> StreamedArray:
        """The rows at these ascending places, or where a mask says so, not yet read."""
        return StreamedArray(self.shards, self.path, self.chosen.take(index), self.lanes)

    def spread(self, count: int) -> np.ndarray:
        """At most that many ascending places: of shards from the first to the last the first rows, which are soon
        read."""
        filled = np.flatnonzero(self.chosen.counts)
        shards = filled[np.unique(np.linspace(0, len(filled) - 1, count).astype(np.int64))] if len(filled) else filled
        rows = np.arange(max(1, count // max(1, len(shards))))
        return np.concatenate([self.chosen.firsts[i] + rows[: self.chosen.counts[i]] for i in shards] or [shards])

    def to_bytes(self) -> bytes:
        """Which rows these are, for a fingerprint."""
        return self.chosen.to_bytes()

    def read_shard(
        self, shard: int, wanted: np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """(B,) places among these rows, (B,) their numbers and (B, *shape) values, some at a time; `wanted` are the
        ascending places among those of the shard that are read, None: all."""
        within = self.chosen.find(shard)
        within = within if wanted is None else within[wanted]
        begin, first, done = int(self.chosen.begins[shard]), int(self.chosen.firsts[shard]), 0
        for x in self.shards.read(shard, within):
            x = x if x.ndim == len(self.shape) else x[None]
            part = slice(done, done + len(x))
            done = part.stop
            places = np.arange(part.start, part.stop) if wanted is None else wanted[part]
            numbers = within[part].astype(np.int64) + begin
            if len(numbers) < len(x):
                break
            yield first + places.astype(np.int64), numbers, check_finite(x, numbers, self.path)
        if done != len(within):
            raise UsageError(f"dataset.path={self.path}: shard {shard} holds other rows than when it was counted")

    def read_all(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """As `read_shard`, of one shard after another."""
        for shard in np.flatnonzero(self.chosen.counts):
            yield from self.read_shard(int(shard))

    def read(self) -> np.ndarray:
        """All of it, in memory."""
        whole = np.empty(self.shape, self.dtype)
        for places, _, x in self.read_all():
            whole[places[0] : places[-1] + 1] = x
        return whole


def check_finite(x: np.ndarray, rows: np.ndarray, path: str) -> np.ndarray:
    """The same array; refused where it holds NaN or infinity."""
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        bad = rows[~np.isfinite(x.reshape(len(x), -1)).all(1)]
        raise UsageError(f"dataset.path={path}: row {bad[0]} holds NaN or infinity: mend it, or leave it out")
    return x

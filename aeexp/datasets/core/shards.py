"""Rows that are read in order only, shard by shard."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple, Protocol, final

import numpy as np

from aeexp.datasets.core.row_set import RowSet
from aeexp.datasets.core.stored import EncodedShards, check_finite
from aeexp.datasets.core.workers import Decode, Workers, count_rows
from aeexp.errors import UsageError

Lane = Iterable[tuple[int, np.ndarray | None]]  # shards, and the ascending places among their chosen rows; None: all
Read = Callable[[int, np.ndarray], Iterator[Any]]  # of a shard, at ascending places: some rows at a time


class Block(NamedTuple):
    """Rows that were read together."""

    places: np.ndarray  # (B,) among the chosen rows
    numbers: np.ndarray  # (B,) among all
    x: Any  # (B, *shape), or of each row what is decoded later

    def cut(self, rows: slice) -> Block:
        """Some of them."""
        return Block(self.places[rows], self.numbers[rows], self.x[rows])


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
    """Some rows of `Shards`, numbered through all shards; read in order only, `lanes` shards side by side, and decoded
    ahead by `workers`."""

    def __init__(
        self, shards: Shards, path: str, chosen: RowSet | None = None, lanes: int = 8, workers: Workers | None = None
    ):
        self.shards = shards
        self.path = path
        self.lanes = lanes
        self.workers = workers
        self.chosen = RowSet(np.cumsum(shards.counts)) if chosen is None else chosen
        self.shape = (len(self.chosen), *shards.shape)
        self.dtype = np.dtype(shards.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def index(self) -> np.ndarray:
        """(N,) numbers of the rows, ascending."""
        return self.chosen.numbers()

    @property
    def decode(self) -> Decode | None:
        """Of encoded shards."""
        return self.shards.decode if isinstance(self.shards, EncodedShards) else None

    def use(self, workers: Workers) -> StreamedArray:
        """The same rows, decoded by these."""
        return StreamedArray(self.shards, self.path, self.chosen, self.lanes, workers)

    def take(self, index: np.ndarray) -> StreamedArray:
        """The rows at these ascending places, or where a mask says so, not yet read."""
        return StreamedArray(self.shards, self.path, self.chosen.take(index), self.lanes, self.workers)

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

    def read_lanes(self, lanes: Sequence[Lane], takes: Iterable[tuple[int, int]]) -> Generator[Block, None, None]:
        """Rows of several lanes, some at a time: `takes` are (lane, rows), from which of them how many come next.

        Workers decode ahead of whoever reads, across lanes and shards.
        """
        shards, decode, size = self.shards, self.decode, count_rows(self.shape[1:], self.dtype)
        if self.workers is None or decode is None or len(self) <= 2 * size or not isinstance(shards, EncodedShards):
            for block in self._follow(lanes, takes, self._read):
                yield block._replace(x=check_finite(block.x, block.numbers, self.path))
            return
        under_way: deque[Block] = deque()

        def list_tasks() -> Generator[Sequence[Any], None, None]:
            for block in self._follow(lanes, takes, lambda *rows: gather(shards.fetch(*rows), size)):
                under_way.append(block._replace(x=None))
                yield block.x

        with closing(list_tasks()) as tasks:
            for x in self.workers.map(decode, tasks):
                block = under_way.popleft()
                yield block._replace(x=check_finite(x, block.numbers, self.path))

    def read_all(self) -> Iterator[Block]:
        """All rows in their order, some at a time."""
        return self.read_lanes([[(int(shard), None) for shard in np.flatnonzero(self.chosen.counts)]], [(0, len(self))])

    def read(self) -> np.ndarray:
        """All of it, in memory."""
        whole = np.empty(self.shape, self.dtype)
        for places, _, x in self.read_all():
            whole[places[0] : places[-1] + 1] = x
        return whole

    def _follow(self, lanes: Sequence[Lane], takes: Iterable[tuple[int, int]], read: Read) -> Iterator[Block]:
        flows = [_Flow(self._walk(lane, read)) for lane in lanes]
        try:
            for lane, rows in takes:
                yield from flows[lane].take(rows)
        finally:  # files and connections of lanes that are not at their end
            for flow in flows:
                flow.blocks.close()

    def _walk(self, lane: Lane, read: Read) -> Generator[Block, None, None]:
        """What `read` gives of the rows of one shard after another."""
        for shard, wanted in lane:
            within = self.chosen.find(shard)
            within = within if wanted is None else within[wanted]
            begin, first, done = int(self.chosen.begins[shard]), int(self.chosen.firsts[shard]), 0
            for x in read(shard, within):
                part = slice(done, done + len(x))
                done = part.stop
                numbers = within[part].astype(np.int64) + begin
                if len(numbers) < len(x):
                    break
                places = np.arange(part.start, part.stop) if wanted is None else wanted[part]
                yield Block(first + places.astype(np.int64), numbers, x)
            if done != len(within):
                raise UsageError(f"dataset.path={self.path}: shard {shard} holds other rows than when it was counted")

    def _read(self, shard: int, within: np.ndarray) -> Iterator[np.ndarray]:
        """(B, *shape), whether rows come one by one or not."""
        return (x if x.ndim == len(self.shape) else x[None] for x in self.shards.read(shard, within))


@final
class _Flow:
    """Blocks of a lane one after another, of as many rows at a time as are asked for."""

    def __init__(self, blocks: Generator[Block, None, None]):
        self.blocks = blocks
        self.left: Block | None = None

    def take(self, rows: int) -> Iterator[Block]:
        """The next ones."""
        while rows:
            block = next(self.blocks) if self.left is None else self.left
            now, more = min(rows, len(block.places)), len(block.places) > rows
            self.left = block.cut(slice(now, None)) if more else None
            rows -= now
            yield block.cut(slice(now)) if more else block


def gather(stored: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Lists of so many, the last one of what is left."""
    return iter(lambda: list(islice(stored, size)), [])

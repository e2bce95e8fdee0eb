"""The order in which an epoch of a stream reads rows, and the batches that it makes of them: numbers alone."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, final

import numpy as np

from aeexp.types import Share


class Arranged(NamedTuple):
    """The rows of a buffer that a process takes, batch by batch."""

    rows: np.ndarray  # (M,) places among those that it reads, which are lane by lane and ascending in each
    taken: np.ndarray  # (batches,) how many of them each batch has
    whole: np.ndarray  # (batches,) rows of each batch, all processes' together


@final
class Order:
    """Lanes of shards, each read from its beginning; buffers that have rows of every lane; batches that have, too.

    `counts` (S,) are the rows of each shard, `lanes` the shards of each lane in their order. A buffer of `buffer` rows
    takes from each lane its part, and each of its batches has of every lane as much as its share of the buffer: rows
    that lie together reach batches with rows of other lanes. `key` shuffles the rows of a lane within a buffer; with
    None they stay as they lie, in one lane. In a batch the rows of a lane stand together: so processes that share
    batches (`Share`) read other lanes, and other shards, wherever there are as many.
    """

    def __init__(
        self, counts: np.ndarray, lanes: Sequence[np.ndarray], buffer: int, size: int, share: Share,
        key: Sequence[int] | None,
    ):  # fmt: skip
        self.counts = counts
        self.lanes = lanes
        self.size = size
        self.share = share
        self.key = key
        sizes = np.array([counts[lane].sum() for lane in lanes], np.int64)
        self.parts = apportion(sizes, buffer)  # (buffers, lanes) rows
        self.ends = np.cumsum(self.parts, 0)
        self._batches = lru_cache(64)(lambda parts: self._deal_batches(np.frombuffer(parts, np.int64)))

    def __len__(self) -> int:
        return len(self.parts)

    def shuffle(self, buffer: int, lane: int) -> np.ndarray:
        """(rows,) the places of a lane's rows in a buffer, in the order in which batches get them."""
        rows = int(self.parts[buffer, lane])
        if self.key is None:
            return np.arange(rows)
        return np.random.default_rng([*self.key, buffer, lane]).permutation(rows)

    def choose(self, buffer: int, lane: int) -> np.ndarray:
        """Ascending places in the lane of the rows that this process reads for a buffer."""
        end = int(self.ends[buffer, lane])
        begin = end - int(self.parts[buffer, lane])
        if self.share.size == 1:
            return np.arange(begin, end)
        return begin + np.sort(self.shuffle(buffer, lane)[self._find_own(buffer)[lane]])

    def arrange(self, buffer: int) -> Arranged:
        """What becomes of the rows that were read for a buffer, those of `choose` lane by lane."""
        batch, own = self._batches(self.parts[buffer].tobytes())
        rows, read = [], 0
        for lane, mine in enumerate(self._find_own(buffer)):
            places = self.shuffle(buffer, lane)[mine]
            rank = np.empty(len(places), np.int64)
            rank[np.argsort(places)] = np.arange(len(places))
            rows.append(read + rank)
            read += len(places)
        order = np.argsort(batch[own], kind="stable")  # the lanes of a batch in their order
        whole = np.bincount(batch)
        return Arranged(np.concatenate(rows)[order], np.bincount(batch[own], minlength=len(whole)), whole)

    def follow(self, lane: int, buffer: int) -> Iterator[tuple[int, np.ndarray]]:
        """Shards of a lane from a buffer on, with the places in each that this process reads, int32; a shard without
        any is left out."""
        begin = covered = 0 if buffer == 0 else int(self.ends[buffer - 1, lane])
        begin, left = 0, np.empty(0, np.int64)
        for shard in self.lanes[lane]:
            end, parts = begin + int(self.counts[shard]), [left]
            while covered < end:
                parts.append(self.choose(buffer, lane))
                covered = int(self.ends[buffer, lane])
                buffer += 1
            places = np.concatenate(parts)
            here, left = np.split(places, [np.searchsorted(places, end)])
            if len(here):
                yield int(shard), (here - begin).astype(np.int32)
            begin = end

    def _find_own(self, buffer: int) -> list[np.ndarray]:
        """Of each lane the rows of a buffer, as batches get them, that this process takes: masks."""
        parts = self.parts[buffer]
        own = self._batches(parts.tobytes())[1]
        return np.split(own, np.cumsum(parts)[:-1])

    def _deal_batches(self, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of all rows of a buffer, lane by lane: the batch of each, and whether it is this process's."""
        when = np.concatenate([(np.arange(rows) + 0.5) / max(rows, 1) for rows in parts])
        batch = np.empty(len(when), np.int64)
        batch[np.argsort(when, kind="stable")] = np.arange(len(when)) // self.size
        place = np.empty(len(when), np.int64)  # in its batch
        place[np.argsort(batch, kind="stable")] = np.arange(len(when)) % self.size
        shares = np.array([self.share.take(int(rows)) for rows in np.bincount(batch)]).reshape(-1, 2)[batch]
        return batch, (place >= shares[:, 0]) & (place < shares[:, 1])


def deal(counts: np.ndarray, shards: np.ndarray, lanes: int) -> list[np.ndarray]:
    """Shards in their order to lanes, each to the one that has the fewest rows; empty ones to none."""
    filled = [int(shard) for shard in shards if counts[shard]]
    heap = [(0, lane) for lane in range(min(lanes, len(filled)))]
    dealt: list[list[int]] = [[] for _ in heap]
    for shard in filled:
        rows, lane = heapq.heappop(heap)
        dealt[lane].append(shard)
        heapq.heappush(heap, (rows + int(counts[shard]), lane))
    return [np.array(each, np.int64) for each in dealt]


def apportion(rows: np.ndarray, size: int) -> np.ndarray:
    """(parts, K) of so many rows (K,): parts of `size`, the last one of what is left, each with its share of what every
    one still has, the largest remainders rounded up."""
    left, table = rows.astype(np.int64), []
    while total := int(left.sum()):
        taken = min(size, total)
        part, remainder = np.divmod(left * taken, total)
        part[np.argsort(-remainder, kind="stable")[: taken - int(part.sum())]] += 1
        left = left - part
        table.append(part)
    return np.array(table, np.int64).reshape(-1, len(rows))

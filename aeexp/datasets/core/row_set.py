"""Which rows of many: a bit each, so that a split of fifty million has 6 MB of them."""

from __future__ import annotations

from typing import final

import numpy as np

BLOCK = 2**20  # rows that are looked at together; a multiple of 8


@final
class RowSet:
    """Ascending numbers of rows that lie in shards one behind the other; `ends` (S,) are those behind each shard.

    `bits` are packed, None where the set has all rows.
    """

    def __init__(self, ends: np.ndarray, bits: np.ndarray | None = None):
        self.ends = ends
        self.begins = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        self.bits = bits
        sizes = ends - self.begins
        self.counts = sizes if bits is None else np.array([int(self._mask(i).sum()) for i in range(len(ends))])
        self.firsts = np.cumsum(self.counts) - self.counts  # (S,) place in the set of each shard's first row

    def __len__(self) -> int:
        return int(self.counts.sum())

    def find(self, shard: int) -> np.ndarray:
        """(counts[shard],) int32 ascending places within a shard."""
        if self.bits is None:
            return np.arange(self.counts[shard], dtype=np.int32)
        return np.flatnonzero(self._mask(shard)).astype(np.int32)

    def numbers(self) -> np.ndarray:
        """(N,) int64, all of them: 8 bytes a row."""
        return np.flatnonzero(self._unpack(0, int(self.ends[-1])))

    def take(self, index: np.ndarray) -> RowSet:
        """Those at these ascending places of the set, or where a mask (N,) says so."""
        index = np.asarray(index)
        total = int(self.ends[-1])
        if index.dtype == bool:
            parts, done = [], 0
            for begin in range(0, total, BLOCK):
                part = self._unpack(begin, min(total, begin + BLOCK))
                held = np.flatnonzero(part)
                part[held] = index[done : done + len(held)]
                done += len(held)
                parts.append(np.packbits(part))
            return RowSet(self.ends, np.concatenate(parts))
        if len(index) and (index[0] < 0 or index[-1] >= len(self) or not (np.diff(index) > 0).all()):
            raise ValueError("rows of shards are read in order only: places must ascend")
        bits = np.zeros((total + 7) // 8, np.uint8)
        cuts = np.searchsorted(index, self.firsts)
        for shard, places in enumerate(np.split(index, cuts[1:])):
            if len(places):
                numbers = self.begins[shard] + self.find(shard)[places - self.firsts[shard]]
                np.bitwise_or.at(bits, numbers >> 3, (128 >> (numbers & 7)).astype(np.uint8))
        return RowSet(self.ends, bits)

    def to_bytes(self) -> bytes:
        """All of it, for a fingerprint."""
        return b"all" if self.bits is None or len(self) == self.ends[-1] else self.bits.tobytes()

    def _mask(self, shard: int) -> np.ndarray:
        return self._unpack(int(self.begins[shard]), int(self.ends[shard]))

    def _unpack(self, begin: int, end: int) -> np.ndarray:
        if self.bits is None:
            return np.ones(end - begin, bool)
        bits = np.unpackbits(self.bits[begin // 8 : (end + 7) // 8])
        return bits[begin % 8 : begin % 8 + end - begin].view(bool)

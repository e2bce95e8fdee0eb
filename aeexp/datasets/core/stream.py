"""One split of rows that are only read one after another, from shards."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple, final

import numpy as np
import torch

from aeexp.datasets.core.order import Order, deal
from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows, StreamedArray
from aeexp.datasets.core.shards import Block
from aeexp.datasets.core.split import CPU, Split, choose_some, weigh_labels
from aeexp.randomness import mix
from aeexp.types import ALL, Batch, Share, find_known

BUFFER = 8192  # rows that are shuffled among each other
BUFFER_BYTES = 2**27


class Buffer(NamedTuple):
    """Rows that were read together, batch by batch."""

    x: torch.Tensor  # (M, *shape) as stored
    fields: tuple[torch.Tensor | None, ...]  # y, s, response
    ids: torch.Tensor  # (M,) int64
    taken: np.ndarray  # (batches,) rows of each batch that are here
    whole: np.ndarray  # (batches,) and those of all processes


@final
class Stream:
    """Shards in an order of their own at each epoch, some side by side, and rows shuffled within a buffer of some
    thousands (`Order`).

    The order follows from seed and epoch, so a run that goes on skips what it has seen without decoding it. The
    next buffer is read by a thread while the last one is trained on: memory holds two, whatever the data's size.
    Labels and attributes are in memory. Of processes that share batches each reads its own rows alone. A `Stream` has
    all that a `Split` has but batches by index (contracts.Examples).
    """

    def __init__(self, rows: Rows, preprocessing: Preprocessing | None = None, device: torch.device = CPU):
        if not isinstance(rows.x, StreamedArray):
            raise TypeError("rows that are no shards have an index: take a Split")
        self.rows = rows
        self.x = rows.x
        self.y = None if rows.y is None else torch.from_numpy(rows.y)  # in as few bytes as they have
        self.s = None if rows.s is None else torch.from_numpy(rows.s)
        self.response = None if rows.response is None else torch.from_numpy(rows.response)
        self.label_weight = weigh_labels(rows)
        self.preprocessing = preprocessing or Preprocessing()
        self.device = device

    def __len__(self) -> int:
        return len(self.x)

    @property
    def ids(self) -> np.ndarray:
        """(N,) numbers of the rows in the source."""
        return self.x.index

    @property
    def shape(self) -> torch.Size:
        """Of one row."""
        return torch.Size(self.x.shape[1:])

    def to(self, device: torch.device, resident: bool = False) -> Stream:
        """The same rows with batches on `device`."""
        return Stream(self.rows, self.preprocessing.to(device), device)

    def read(self) -> Split:
        """All rows in memory."""
        return Split(self.rows._replace(x=self.x.read(), ids=self.ids), self.preprocessing, self.device)

    def batches(self, size: int, share: Share = ALL) -> Iterator[Batch]:
        """All rows in the order of the shards, `size` at a time; of each batch the rows of one process's share."""
        counts = self.x.chosen.counts
        lanes = deal(counts, np.arange(len(counts)), lanes=1)
        return self._follow(Order(counts, lanes, self.choose_buffer(size), size, share, None), 0)

    def epoch(self, seed: int, epoch: int, size: int, start: int = 0, share: Share = ALL) -> Iterator[Batch]:
        """All rows once in the order of this epoch, from its batch `start` on; of each batch those of a share."""
        key = mix(seed, epoch)
        counts, buffer = self.x.chosen.counts, self.choose_buffer(size)
        lanes = deal(counts, np.random.default_rng(key).permutation(len(counts)), self.x.lanes)
        return self._follow(Order(counts, lanes, buffer, size, share, [key]), epoch, start)

    def choose_buffer(self, size: int) -> int:
        """Rows read at a time: a multiple of the batch."""
        row = math.prod(self.shape) * self.x.dtype.itemsize
        return max(1, min(BUFFER, BUFFER_BYTES // row) // size) * size

    def sample(self, rows: int, seed: int = 0) -> Split:
        """At most that many rows, drawn from all shards, in memory."""
        part = Stream(self.rows.take(choose_some(len(self), rows, seed)), self.preprocessing, self.device)
        return part.read().to(self.device)

    def _follow(self, order: Order, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an order from `start` on; the next buffer is read while the last one is in use."""
        skipped, start = divmod(start, self.choose_buffer(order.size) // order.size)
        lanes = [order.follow(lane, skipped) for lane in range(len(order.lanes))]
        takes = ((lane, len(order.choose(at, lane))) for at in range(skipped, len(order)) for lane in range(len(lanes)))
        blocks = self.x.read_lanes(lanes, takes)
        with closing(blocks), ThreadPoolExecutor(1) as reader:
            waiting = [reader.submit(self._read, order, blocks, at) for at in range(skipped, len(order))[:1]]
            for at in range(skipped, len(order)):
                read = waiting.pop().result()
                waiting += [reader.submit(self._read, order, blocks, at + 1)] if at + 1 < len(order) else []
                ends = np.cumsum(read.taken).tolist()
                for end, rows, whole in list(zip(ends, read.taken.tolist(), read.whole.tolist(), strict=True))[start:]:
                    yield self._cut(read, slice(end - rows, end), epoch, None if order.share == ALL else whole)
                start = 0

    def _read(self, order: Order, blocks: Iterator[Block], buffer: int) -> Buffer:
        rows, taken, whole = order.arrange(buffer)
        total = len(rows)
        x = np.empty((total, *self.shape), self.x.dtype)
        places, numbers, done = np.empty(total, np.int64), np.empty(total, np.int64), 0
        while done < total:
            block = next(blocks)
            part = slice(done, done + len(block.places))
            places[part], numbers[part], x[part] = block
            done = part.stop
        index = torch.from_numpy(places[rows])
        y, s, response = (None if field is None else field[index] for field in (self.y, self.s, self.response))
        y = None if y is None else y.long()
        return Buffer(torch.from_numpy(x[rows]), (y, s, response), torch.from_numpy(numbers[rows]), taken, whole)

    def _cut(self, read: Buffer, rows: slice, epoch: int, whole: int | None) -> Batch:
        y, s, response = (None if field is None else field[rows].to(self.device) for field in read.fields)
        ids = read.ids[rows].to(self.device)
        weight = None if (known := find_known(y, response)) is None else known * self.label_weight
        x = self.preprocessing(read.x[rows].to(self.device), ids, epoch)
        return Batch(x, y, s, ids=ids, label_weight=weight, response=response, whole=whole)

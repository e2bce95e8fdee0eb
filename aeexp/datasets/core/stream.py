"""One split of rows that are only read one after another, from shards."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import final

import numpy as np
import torch

from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows, StreamedArray
from aeexp.datasets.core.split import CPU, Split, weigh_labels
from aeexp.randomness import mix
from aeexp.types import Batch, find_known

BUFFER = 8192  # rows that are shuffled among each other
BUFFER_BYTES = 2**27


@final
class Stream:
    """Shards in an order of their own at each epoch, and rows shuffled within a buffer of some thousands.

    The order follows from seed and epoch, so a run that goes on skips what it has seen without decoding it. The
    next buffer is read by a thread while the last one is trained on: memory holds two, whatever the data's size.
    Labels and attributes are in memory. A `Stream` has all that a `Split` has but batches by index
    (contracts.Examples).
    """

    def __init__(self, rows: Rows, preprocessing: Preprocessing | None = None, device: torch.device = CPU):
        if not isinstance(rows.x, StreamedArray):
            raise TypeError("rows that are no shards have an index: take a Split")
        self.rows = rows
        self.x = rows.x
        self.y = None if rows.y is None else torch.from_numpy(rows.y.astype(np.int64))
        self.s = None if rows.s is None else torch.from_numpy(rows.s)
        self.ids = np.arange(len(rows.x)) if rows.ids is None else rows.ids
        self.response = None if rows.response is None else torch.from_numpy(rows.response)
        self.label_weight = weigh_labels(rows)
        self.preprocessing = preprocessing or Preprocessing()
        self.device = device

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> torch.Size:
        """Of one row."""
        return torch.Size(self.x.shape[1:])

    def to(self, device: torch.device, resident: bool = False) -> Stream:
        """The same rows with batches on `device`."""
        return Stream(self.rows, self.preprocessing.to(device), device)

    def read(self) -> Split:
        """All rows in memory."""
        return Split(self.rows._replace(x=self.x.read()), self.preprocessing, self.device)

    def batches(self, size: int) -> Iterator[Batch]:
        """All rows in the order of the shards, `size` at a time."""
        order = np.argsort(self.x.index, kind="stable")
        for places, x in self._iterate_chunks(order, size):
            yield self._batch(places, x, 0)

    def epoch(self, seed: int, epoch: int, size: int, start: int = 0) -> Iterator[Batch]:
        """All rows once in the order of this epoch, from its batch `start` on."""
        generator = np.random.default_rng(mix(seed, epoch))
        chunk = self.choose_buffer(size)
        order = self.draw_order(generator)
        skipped, start = divmod(start, chunk // size)
        shuffles = [generator.permutation(len(order[at : at + chunk])) for at in range(0, len(order), chunk)]
        for (places, x), shuffle in zip(
            self._iterate_chunks(order[skipped * chunk :], chunk), shuffles[skipped:], strict=True
        ):
            for at in range(start * size, len(shuffle), size):
                chosen = shuffle[at : at + size]
                yield self._batch(places[chosen], x[chosen], epoch)
            start = 0

    def draw_order(self, generator: np.random.Generator) -> np.ndarray:
        """(N,) places of this split in the order in which an epoch reads them: whole shards, in a drawn order."""
        ranks = generator.permutation(len(self.x.ends))
        return np.lexsort((self.x.index, ranks[self.x.find_shards()]))

    def choose_buffer(self, size: int) -> int:
        """Rows read at a time: a multiple of the batch."""
        row = math.prod(self.shape) * self.x.dtype.itemsize
        return max(1, min(BUFFER, BUFFER_BYTES // row) // size) * size

    def sample(self, rows: int, seed: int = 0) -> Split:
        """At most that many rows, drawn from all shards, in memory."""
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self))[:rows])
        part = Stream(self.rows.take(chosen), self.preprocessing, self.device)
        return part.read().to(self.device)

    def _iterate_chunks(self, order: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Places and stored rows, `size` at a time, read ahead by one."""
        flow = self.x.iterate(order)

        def read(count: int) -> torch.Tensor:
            x = np.empty((count, *self.x.shape[1:]), self.x.dtype)
            for i, row in enumerate(islice(flow, count)):
                x[i] = row
            return torch.from_numpy(x)

        parts = [order[start : start + size] for start in range(0, len(order), size)]
        with ThreadPoolExecutor(1) as reader:
            waiting = [reader.submit(read, len(part)) for part in parts[:1]]
            for i, part in enumerate(parts):
                x = waiting.pop().result()
                waiting += [reader.submit(read, len(following)) for following in parts[i + 1 : i + 2]]
                yield part, x

    def _batch(self, places: np.ndarray, x: torch.Tensor, epoch: int) -> Batch:
        index = torch.from_numpy(places)
        y, s, response = (None if field is None else field[index].to(self.device)
                          for field in (self.y, self.s, self.response))  # fmt: skip
        ids = torch.from_numpy(self.ids)[index].to(self.device)
        weight = None if (known := find_known(y, response)) is None else known * self.label_weight
        x = self.preprocessing(x.to(self.device), ids, epoch)
        return Batch(x, y, s, ids=ids, label_weight=weight, response=response)

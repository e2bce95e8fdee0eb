"""Rows with a label beside every batch: few labels would reach few batches."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from aeexp.datasets.core.split import Split
from aeexp.datasets.core.stream import Stream
from aeexp.errors import UsageError
from aeexp.randomness import permutation
from aeexp.types import Batch

ORDER = 0x1ABE1  # sets the order of labelled rows apart from that of all rows


class Labelled:
    """`size` labelled rows of a split for each batch, in an order that follows from the seed.

    All labelled rows are used once before one is used again, in a new order at each round.
    """

    def __init__(self, split: Split | Stream, size: int, seed: int):
        words = f"labelled_batch_size={size}: rows that are streamed cannot be picked out: take dataset.residency=host"
        if isinstance(split, Stream):
            raise UsageError(f"trainer.{words}")
        found = torch.empty(0) if split.y is None else torch.nonzero(split.y >= 0).squeeze(1)
        if len(found) <= 0:
            raise UsageError(f"trainer.labelled_batch_size={size}: no training row has a label: leave it null")
        self.split = split
        self.size = size
        self.found = found
        self._round = lru_cache(2)(lambda number: permutation(len(found), seed ^ ORDER, number, found.device))

    def index(self, number: int) -> Tensor:
        """(size,) rows for the batch of this number: a function of seed and number alone."""
        count, start = len(self.found), number * self.size
        rounds = range(start // count, (start + self.size - 1) // count + 1)
        order = torch.cat([self._round(number) for number in rounds])
        begin = start - rounds.start * count
        return self.found[order[begin : begin + self.size]]

    def join(self, batch: Batch, number: int, epoch: int) -> Batch:
        """The batch, and behind it the labelled rows that belong to it."""
        more = self.split.batch(self.index(number), epoch)
        return Batch(*(f if f is None else torch.cat([f, g]) for f, g in zip(batch, more, strict=True)))

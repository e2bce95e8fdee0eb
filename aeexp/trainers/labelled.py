"""Rows with a label beside every batch: few labels would reach few batches."""

from __future__ import annotations

from functools import lru_cache
from typing import final

import torch
from torch import Tensor

from aeexp.contracts import Examples
from aeexp.datasets.core.split import Split
from aeexp.errors import UsageError
from aeexp.randomness import permutation
from aeexp.types import Batch, find_known

ORDER = 0x1ABE1  # sets the order of labelled rows apart from that of all rows


@final
class Labelled:
    """`size` labelled rows of a split for each batch, in an order that follows from the seed.

    All labelled rows are used once before one is used again, in a new order at each round. A batch of B rows of N, of
    which n are labelled, and of S rows more is expected to hold B / N + S / n of a labelled row and B / N of another:
    each counts the inverse of that (Horvitz and Thompson 1952), so that the mean of a batch is that of the data on
    average. Terms of the whole batch, () in the loss, see the rows as they are.
    """

    def __init__(self, split: Examples, size: int, seed: int):
        if not isinstance(split, Split):
            raise UsageError(
                f"trainer.labelled_batch_size={size}: rows that are streamed cannot be picked out: "
                "take dataset.residency=host"
            )
        labelled = find_known(split.y, split.response)
        rows = torch.empty(0) if labelled is None else torch.nonzero(labelled).squeeze(1)
        if len(rows) < 1:
            raise UsageError(f"trainer.labelled_batch_size={size}: no training row has a label: leave it null")
        self.split = split
        self.size = size
        self.rows = rows
        self._round = lru_cache(2)(lambda number: permutation(len(rows), seed ^ ORDER, number, rows.device))

    def index(self, number: int) -> Tensor:
        """(size,) rows for the batch of this number: a function of seed and number alone."""
        count, start = len(self.rows), number * self.size
        rounds = range(start // count, (start + self.size - 1) // count + 1)
        order = torch.cat([self._round(number) for number in rounds])
        begin = start - rounds.start * count
        return self.rows[order[begin : begin + self.size]]

    def join(self, batch: Batch, number: int, epoch: int) -> Batch:
        """The batch, and behind it the labelled rows that belong to it."""
        more = self.split.batch(self.index(number), epoch)
        joined, rows = batch.join(more), len(batch.x)
        all_rows, times = rows + self.size, len(self.split) / len(self.rows)
        known = find_known(joined.y, joined.response)
        assert known is not None, "labelled rows were joined"
        weight = torch.where(known, all_rows / (rows + self.size * times), all_rows / rows)
        return joined._replace(weight=weight.to(joined.x))

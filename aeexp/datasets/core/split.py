"""One split of rows that can be read in any order: a batch is an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import final, overload

import numpy as np
import torch
from torch import Tensor

from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows, StoredArray, StreamedArray, read
from aeexp.randomness import permutation
from aeexp.types import ALL, Batch, Share, find_known

CPU = torch.device("cpu")
MANY = 2**22  # rows that are not put in order by an array of their numbers


@final
class Split:
    """Rows as they are stored: on the device that computes, in host memory, or (`StoredArray`) on disk.

    Batches come on the device, as float32 after preprocessing (contracts.Examples).
    """

    def __init__(self, rows: Rows, preprocessing: Preprocessing | None = None, device: torch.device = CPU):
        if isinstance(rows.x, StreamedArray):
            raise TypeError("rows of shards have no index: take a Stream")
        self.rows = rows
        self.x = _tensor(rows.x)
        self.y = None if rows.y is None else _tensor(rows.y.astype(np.int64))
        self.s = None if rows.s is None else _tensor(rows.s)
        self.response = None if rows.response is None else torch.from_numpy(rows.response)
        self.target = None if rows.target is None else _tensor(rows.target)
        self.lengths = None if rows.lengths is None else _tensor(rows.lengths.astype(np.int64))
        self.ids = np.arange(len(rows.x)) if rows.ids is None else rows.ids  # an official test set is numbered apart
        self.preprocessing = preprocessing or Preprocessing()
        self.device = device
        self.label_weight = weigh_labels(rows)
        self._numbers = _tensor(self.ids)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> torch.Size:
        """Of one row."""
        return torch.Size(self.x.shape[1:])

    def to(self, device: torch.device, resident: bool = True) -> Split:
        """The same rows with batches on `device`; resident rows lie there as well, others in host memory or on disk."""
        moved = Split(self.rows, self.preprocessing.to(device), device)
        if resident:
            moved.x = _move(moved.x, device)
            moved.y = None if moved.y is None else moved.y.to(device)
            moved.s = None if moved.s is None else moved.s.to(device)
            moved.response = None if moved.response is None else moved.response.to(device)
            moved.target = None if moved.target is None else _move(moved.target, device)
            moved.lengths = None if moved.lengths is None else moved.lengths.to(device)
            moved._numbers = moved._numbers.to(device)
        return moved

    def read(self) -> Split:
        """The same rows, none of them on disk."""
        x, target = self.rows.x, self.rows.target
        if not isinstance(x, StoredArray) and not isinstance(target, StoredArray):
            return self
        rows = self.rows._replace(x=read(x), target=None if target is None else read(target))
        return Split(rows, self.preprocessing, self.device)

    def batch(self, index: Tensor | slice, epoch: int = 0) -> Batch:
        """The rows at `index`, in the data's units."""
        return self._collect(index, epoch, self.x, self.target)

    def _collect(
        self, index: Tensor | slice, epoch: int, x: Tensor | StoredArray | np.ndarray,
        target: Tensor | StoredArray | np.ndarray | None,
    ) -> Batch:  # fmt: skip
        """Of which `x` and `target` are read already where they are arrays."""

        def take(field: Tensor | StoredArray | np.ndarray) -> Tensor:
            return _take(field, index).to(self.device)

        ids = take(self._numbers)
        mask = None
        if self.lengths is not None:
            mask = torch.arange(self.shape[0], device=self.device) < take(self.lengths)[:, None]
        y = None if self.y is None else take(self.y)
        response = None if self.response is None else take(self.response)
        return Batch(
            x=self.preprocessing(take(x), ids, epoch, mask),
            y=y,
            s=None if self.s is None else take(self.s),
            target=None if target is None else take(target),
            mask=mask,
            ids=ids,
            label_weight=None if (known := find_known(y, response)) is None else known * self.label_weight,
            response=response,
        )

    def batches(self, size: int, share: Share = ALL) -> Iterator[Batch]:
        """All rows in their order, `size` at a time; of each batch the rows of one process's share."""
        if isinstance(self.x, StoredArray) or isinstance(self.target, StoredArray):
            yield from self._read_ahead(torch.arange(len(self)).split(size), 0, share)
            return
        for start in range(0, len(self), size):
            rows = min(size, len(self) - start)
            first, last = share.take(rows)
            batch = self.batch(slice(start + first, start + last))
            yield batch if share == ALL else batch._replace(whole=rows)

    def epoch(self, seed: int, epoch: int, size: int, start: int = 0, share: Share = ALL) -> Iterator[Batch]:
        """All rows once in the order of this epoch, from its batch `start` on; of each batch those of a share."""
        order = permutation(len(self), seed, epoch, self._numbers.device)
        yield from self._read_ahead(order.split(size)[start:], epoch, share)

    def _read_ahead(self, batches: Sequence[Tensor], epoch: int, share: Share = ALL) -> Iterator[Batch]:
        """Of each batch the rows of a share; of rows on disk the next ones are decoded meanwhile, where there are
        workers."""
        parts = batches if share == ALL else [index[slice(*share.take(len(index)))] for index in batches]
        fields = zip(batches, parts, _iterate(self.x, parts), _iterate(self.target, parts), strict=False)
        for whole, part, x, target in fields:
            batch = self._collect(part, epoch, x, target)
            yield batch if share == ALL else batch._replace(whole=len(whole))

    def epoch_of_each(self, seeds: Sequence[int], epoch: int, size: int, start: int = 0) -> Iterator[Batch]:
        """`epoch` of several seeds at once: every field has them in front, (S, B, ...)."""
        order = torch.stack([permutation(len(self), seed, epoch, self._numbers.device) for seed in seeds])
        for batch in self._read_ahead([index.flatten() for index in order.split(size, 1)[start:]], epoch):
            yield batch.change(lambda field: field.unflatten(0, (len(seeds), -1)))

    def sample(self, rows: int, seed: int = 0) -> Split:
        """At most that many rows, drawn; all of them, in their order, where there are no more."""
        if rows >= len(self):
            return self
        part = Split(self.rows.take(choose_some(len(self), rows, seed)), self.preprocessing, self.device)
        return part.read().to(self.device)


def choose_some(count: int, rows: int, seed: int) -> np.ndarray:
    """Ascending places of `rows` of so many, or all; of very many without a number for each."""
    generator = np.random.default_rng(seed)
    if count > MANY:
        return np.sort(generator.choice(count, min(rows, count), replace=False, shuffle=False))
    return np.sort(generator.permutation(count)[:rows])


def weigh_labels(rows: Rows) -> float:
    """What a labelled row counts in a mean over the labelled rows: N / labelled rows (`Batch.label_weights`)."""
    known = rows.known
    return 0.0 if known is None else len(known) / max(1, int(known.sum()))


@overload
def _tensor(field: np.ndarray) -> Tensor: ...
@overload
def _tensor(field: np.ndarray | StoredArray) -> Tensor | StoredArray: ...
def _tensor(field: np.ndarray | StoredArray) -> Tensor | StoredArray:
    return field if isinstance(field, StoredArray) else torch.from_numpy(np.ascontiguousarray(field))


def _move(field: Tensor | StoredArray, device: torch.device) -> Tensor | StoredArray:
    return field if isinstance(field, StoredArray) else field.to(device)


@overload
def _iterate(field: Tensor | StoredArray, parts: Sequence[Tensor]) -> Iterator[Tensor | np.ndarray]: ...
@overload
def _iterate(field: None, parts: Sequence[Tensor]) -> Iterator[None]: ...
@overload
def _iterate(field: Tensor | StoredArray | None, parts: Sequence[Tensor]) -> Iterator[Tensor | np.ndarray | None]: ...
def _iterate(field: Tensor | StoredArray | None, parts: Sequence[Tensor]) -> Iterator[Tensor | np.ndarray | None]:
    """The rows of each part where they lie on disk; else the field itself, again and again."""
    return field.iterate([part.cpu().numpy() for part in parts]) if isinstance(field, StoredArray) else repeat(field)


def _take(field: Tensor | StoredArray | np.ndarray, index: Tensor | slice) -> Tensor:
    """The rows at these places, of an array that holds them alone all of it."""
    if isinstance(field, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(field))
    if isinstance(field, StoredArray):
        return torch.from_numpy(np.ascontiguousarray(field[index if isinstance(index, slice) else index.cpu().numpy()]))
    return field[index if isinstance(index, slice) else index.to(field.device)]

"""One split of rows that can be read in any order: a batch is an index."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows, Stored
from aeexp.randomness import permutation
from aeexp.types import Batch

CPU = torch.device("cpu")


class Split:
    """Rows as they are stored: on the device that computes, in host memory, or (`Stored`) on disk.

    Batches come on the device, as float32 after preprocessing.
    """

    def __init__(self, rows: Rows, preprocessing: Preprocessing | None = None, device: torch.device = CPU):
        self.rows = rows
        self.x, self.target = (_tensor(field) for field in (rows.x, rows.target))
        self.y = None if rows.y is None else _tensor(rows.y.astype(np.int64))
        self.s = _tensor(rows.s)
        self.lengths = None if rows.lengths is None else _tensor(rows.lengths.astype(np.int64))
        self.ids = np.arange(len(rows.x)) if rows.ids is None else rows.ids  # an official test set is numbered apart
        self.preprocessing = preprocessing or Preprocessing()
        self.device = device
        self._numbers = torch.from_numpy(np.ascontiguousarray(self.ids))

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
            for name in ("x", "y", "s", "target", "lengths", "_numbers"):
                field = getattr(moved, name)
                setattr(moved, name, field.to(device) if isinstance(field, Tensor) else field)
        return moved

    def read(self) -> Split:
        """The same rows, none of them on disk."""
        lazy = {"x": self.rows.x, "target": self.rows.target}
        whole = {name: field.read() for name, field in lazy.items() if isinstance(field, Stored)}
        return Split(self.rows._replace(**whole), self.preprocessing, self.device) if whole else self

    def batch(self, index: Tensor | slice, epoch: int = 0) -> Batch:
        """The rows at `index`, in the data's units."""
        fields = (self.x, self.y, self.s, self.target, self._mask(index), self._numbers)
        taken = (f if i == 4 else _take(f, index) for i, f in enumerate(fields))
        x, y, s, target, mask, ids = (f if f is None else f.to(self.device) for f in taken)
        return Batch(self.preprocessing(x, ids, epoch, mask), y, s, target, mask, ids)

    def batches(self, size: int) -> Iterator[Batch]:
        """All rows in their order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.batch(slice(start, start + size))

    def epoch(self, seed: int, epoch: int, size: int, start: int = 0) -> Iterator[Batch]:
        """All rows once in the order of this epoch, from its batch `start` on."""
        order = permutation(len(self), seed, epoch, self._numbers.device)
        for index in order.split(size)[start:]:
            yield self.batch(index, epoch)

    def sample(self, rows: int, seed: int = 0) -> Split:
        """At most that many rows, drawn; all of them, in their order, where there are no more."""
        if rows >= len(self):
            return self
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self))[:rows])
        part = Split(self.rows.take(chosen), self.preprocessing, self.device)
        return part.read().to(self.device)

    def _mask(self, index: Tensor | slice) -> Tensor | None:
        if self.lengths is None:
            return None
        lengths = _take(self.lengths, index)
        return torch.arange(self.shape[0], device=lengths.device) < lengths[:, None]


def _tensor(field: np.ndarray | Stored | None) -> Tensor | Stored | None:
    return torch.from_numpy(np.ascontiguousarray(field)) if isinstance(field, np.ndarray) else field


def _take(field: Tensor | Stored | None, index: Tensor | slice) -> Tensor | None:
    if field is None:
        return None
    if isinstance(field, Stored):
        return torch.from_numpy(np.ascontiguousarray(field[index if isinstance(index, slice) else index.cpu().numpy()]))
    return field[index if isinstance(index, slice) else index.to(field.device)]

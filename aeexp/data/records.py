"""Rows as loaders yield them, and the resident splits that training reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aeexp.types import Batch


class Rows(NamedTuple):
    """Examples as stored."""

    x: np.ndarray  # (N, *shape) uint8 or float32
    y: np.ndarray | None = None  # (N,) int64, -1: unlabelled
    s: np.ndarray | None = None  # (N,) or (N, F) attributes
    ids: np.ndarray | None = None  # (N,) row numbers in the source; given by `assemble`

    def take(self, index: np.ndarray) -> Rows:
        return Rows(*(None if field is None else field[index] for field in self))


class Source(NamedTuple):
    """What a loader found: all rows, the official test rows if there are any, and what stored values mean."""

    rows: Rows
    test: Rows | None = None
    scale: float = 1.0  # value = stored * scale
    classes: tuple[str, ...] = ()


class Split:
    """The rows of one split, whole on one device as they are stored; a batch is an index."""

    def __init__(self, rows: Rows, scale: float):
        self.x = torch.from_numpy(np.ascontiguousarray(rows.x))
        self.y = None if rows.y is None else torch.from_numpy(rows.y.astype(np.int64))
        self.s = None if rows.s is None else torch.from_numpy(rows.s)
        self.ids = rows.ids  # an official test set is numbered apart
        self.scale = scale

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device) -> Split:
        self.x, self.y, self.s = (None if t is None else t.to(device) for t in (self.x, self.y, self.s))
        return self

    def batch(self, index: Tensor | slice) -> Batch:
        """The rows at `index`, as float32 in the data's units."""
        x = self.x[index].to(torch.float32)
        if self.scale != 1:
            x = x * self.scale
        y, s = (None if field is None else field[index] for field in (self.y, self.s))
        return Batch(x, y, s)

    def batches(self, size: int) -> Iterator[Batch]:
        """All rows in their order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.batch(slice(start, start + size))


class Data:
    """Train, val and test splits of one data set."""

    def __init__(self, name: str, splits: dict[str, Split], classes: tuple[str, ...]):
        self.name = name
        self.splits = splits
        self.classes = classes
        self.fingerprint = _fingerprint(splits)  # same rows in the same splits: same fingerprint

    def __getitem__(self, split: str) -> Split:
        return self.splits[split]

    @property
    def shape(self) -> torch.Size:
        return self["train"].x.shape[1:]

    @property
    def labelled(self) -> bool:
        """Whether every split has at least one labelled row."""
        return all(split.y is not None and bool((split.y >= 0).any()) for split in self.splits.values())

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest value over all splits, in the data's units."""
        low = min(float(split.x.min()) * split.scale for split in self.splits.values())
        high = max(float(split.x.max()) * split.scale for split in self.splits.values())
        return low, high

    @property
    def step(self) -> float | None:
        """Distance of neighbouring values where the data is stored as integers, else None."""
        split = self["train"]
        return None if split.x.is_floating_point() else split.scale

    def to(self, device: torch.device) -> Data:
        for split in self.splits.values():
            split.to(device)
        return self


def _fingerprint(splits: dict[str, Split]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, split in splits.items():
        digest.update(f"{name} {tuple(split.x.shape)} {split.x.dtype} {split.scale}".encode())
        for field in (split.x, split.y, split.s):
            if field is not None:
                digest.update(np.ascontiguousarray(field.cpu().numpy()).data)
    return digest.hexdigest()

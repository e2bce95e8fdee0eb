"""Rows as loaders yield them, with what they mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from aeexp.datasets.core.shards import StreamedArray
from aeexp.datasets.core.spelling import Spelling
from aeexp.datasets.core.stored import StoredArray
from aeexp.datasets.core.workers import Workers

Array = np.ndarray | StoredArray | StreamedArray


class Rows(NamedTuple):
    """Examples as stored."""

    x: Array  # (N, *shape) uint8 or float32: features (D,), pictures (C, H, W) or padded sequences (T, F)
    y: np.ndarray | None = None  # (N,) integers, -1: unlabelled
    s: np.ndarray | None = None  # (N,) or (N, F) attributes or factors
    ids: np.ndarray | None = None  # (N,) row numbers in the source, by `assemble`; None of shards, which know them
    target: np.ndarray | StoredArray | None = None  # (N, ...) what a task may want in place of x, such as masks (H, W)
    lengths: np.ndarray | None = None  # (N,) steps of each sequence; what follows them is padding
    response: np.ndarray | None = None  # (N,) float32, in place of y: the number to predict, NaN: unlabelled

    def take(self, index: np.ndarray) -> Rows:
        """The rows at these places, or where a mask (N,) says so; those beyond memory are not yet read."""

        def pick(field: np.ndarray | None) -> np.ndarray | None:
            return None if field is None else field[index]

        x = self.x[index] if isinstance(self.x, np.ndarray) else self.x.take(index)
        target = self.target.take(index) if isinstance(self.target, StoredArray) else pick(self.target)
        return Rows(x, pick(self.y), pick(self.s), pick(self.ids), target, pick(self.lengths), pick(self.response))

    def use(self, workers: Workers) -> Rows:
        """The same rows; what is encoded of them is decoded by these."""
        x = self.x if isinstance(self.x, np.ndarray) else self.x.use(workers)
        target = self.target.use(workers) if isinstance(self.target, StoredArray) else self.target
        return self._replace(x=x, target=target)

    def end_workers(self) -> None:
        """Where all rows are read."""
        for field in (self.x, self.target):
            if isinstance(field, StoredArray | StreamedArray) and field.workers is not None:
                field.workers.end()

    @property
    def is_encoded(self) -> bool:
        """Whether anything of a row is decoded when it is read."""
        return any(isinstance(f, StoredArray | StreamedArray) and f.decode is not None for f in (self.x, self.target))

    @property
    def known(self) -> np.ndarray | None:
        """(N,) which rows are labelled, by a class or a number; None where none can be."""
        if self.y is not None:
            return self.y >= 0
        return None if self.response is None else ~np.isnan(self.response)


class Variable(NamedTuple):
    """A column of a table: what its features and its values are called."""

    name: str
    categories: tuple[str, ...] = ()  # one feature each; (): a number, which is one feature


class Encoding(Protocol):
    """What makes features of a table's columns (`tabular.Tabular`)."""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(N, C) -> (N, D) float32."""
        ...

    def to_dict(self) -> dict[str, object]:
        """All that it does, as plain data."""
        ...


class Source(NamedTuple):
    """What a loader found: all rows, the official val and test rows if there are any, and what they mean."""

    rows: Rows
    test: Rows | None = None
    scale: float = 1.0  # value = stored * scale
    classes: tuple[str, ...] = ()
    val: Rows | None = None
    attributes: tuple[str, ...] = ()  # names of s, or of its columns
    fit: Callable[[np.ndarray], Encoding] | None = None  # from training x: x -> features
    continuous: np.ndarray | None = None  # (D,) which features `standardise` acts on; None: all
    variables: tuple[Variable, ...] = ()  # the columns of x in order, where it is a table with names
    groups: tuple[tuple[str, ...], ...] = ()  # names of the values of each attribute, () where it is a number
    response: str = ""  # what the number to predict is called
    spelling: Spelling | None = None  # of rows (T, 1) that are text, token by token


def read(x: Array) -> np.ndarray:
    """All of it, in memory."""
    return x if isinstance(x, np.ndarray) else x.read()

"""How the columns of a table become features: plain data that a checkpoint keeps, so that new rows become the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aeexp.datasets.core.records import Variable
from aeexp.errors import UsageError

UNKNOWN = -1.0  # in place of a category: one that training never saw


class TableColumn(NamedTuple):
    """One column: a number, which is one feature, or categories, one feature each."""

    name: str
    categories: tuple[str, ...] | None = None  # None: a number
    gap: bool = False  # one more feature, behind those of the categories, for empty cells
    fill: float | None = None  # what an empty cell counts as: a number, or a place among the categories

    @property
    def width(self) -> int:
        """How many features it is."""
        return 1 if self.categories is None else len(self.categories) + self.gap


class Tabular(NamedTuple):
    """The columns of a table, fillings fitted on the training split, and how its cells were written.

    The categories are those of all files of the run, not of the training split.
    """

    features: tuple[TableColumn, ...]
    attributes: tuple[TableColumn, ...] = ()
    label: str | None = None
    target: str | None = None
    missing: str = "error"
    missing_values: tuple[str, ...] = ("",)
    delimiter: str = ","
    decimal: str = "."
    thousands: str = ""

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(N, C) float64 of numbers, places of categories, `UNKNOWN` and NaN -> (N, D) float32.

        A category that training never saw is the feature of empty cells where there is one, else none of the features;
        so is an empty cell that nothing fills.
        """
        features = np.zeros((len(x), self.width), np.float32)
        start = 0
        for column, values in zip(self.features, x.T, strict=True):
            if column.fill is not None:
                values = np.where(np.isnan(values), column.fill, values)
            if column.categories is None:
                features[:, start] = values
            else:
                values = np.where(values >= 0, values, len(column.categories) if column.gap else UNKNOWN)  # NaN as well
                known = np.flatnonzero(values >= 0)
                features[known, start + values[known].astype(np.int64)] = 1
            start += column.width
        return features

    @property
    def width(self) -> int:
        """How many features all columns are."""
        return sum(column.width for column in self.features)

    def to_dict(self) -> dict[str, object]:
        """Texts, numbers and lists alone."""
        columns = {part: [_to_dict(column) for column in getattr(self, part)] for part in ("features", "attributes")}
        return {**self._asdict(), **columns, "missing_values": list(self.missing_values)}

    def check(self) -> None:
        """Raises UsageError where it is nothing that `fit` gives: it may come from a stranger's file."""
        for column in (*self.features, *self.attributes):
            count = None if column.categories is None else len(column.categories)
            if count is None and column.gap or (fill := column.fill) is not None and not math.isfinite(fill):
                raise UsageError(f"table: the column {column.name[:40]!r} is none of a table")
            if count is not None and fill is not None and not (fill.is_integer() and 0 <= fill < count):
                raise UsageError(f"table: the column {column.name[:40]!r} is filled with a category that it lacks")
        names = [column.name for column in self.features]
        if len(set(names)) < len(names):
            raise UsageError("table: a column stands there twice")


def describe_variables(variables: Sequence[Variable]) -> Tabular:
    """Of columns that are features already, without gaps."""
    return Tabular(tuple(TableColumn(each.name, each.categories or None) for each in variables))


def _to_dict(column: TableColumn) -> dict[str, object]:
    return {**column._asdict(), "categories": None if column.categories is None else list(column.categories)}

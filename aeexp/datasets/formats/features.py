"""From numbers with gaps and category codes to features: filling and one-hot, fitted on the training split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from aeexp.datasets.core.records import Variable
from aeexp.datasets.core.tabular import TableColumn, Tabular
from aeexp.datasets.formats.columns import Column
from aeexp.datasets.formats.wording import quote, write_option
from aeexp.errors import UsageError

FITTED = ("mean", "median", "most_frequent")


@final
class Features:
    """(N, C) float64 of numbers, category codes and NaN -> (N, D) float32, in the order of the columns.

    The categories are those of all files, not of the training split, so that every fold has the same D. With mean
    and median, a column of categories that misses any has one more, the last, for "?". `rest` is what else is known of
    the table, its features left open.
    """

    def __init__(self, columns: Sequence[Column], missing: str, rest: Tabular):
        self.missing = missing
        self.rest = rest
        self.columns = [
            TableColumn(
                column.name,
                column.categories,
                gap=column.categories is not None and missing in ("mean", "median") and bool(column.missing.any()),
            )
            for column in columns
        ]

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The columns and their categories, in the order of the features."""
        gap = ("?",)
        return tuple(Variable(each.name, (each.categories or ()) + gap * each.gap) for each in self.columns)

    @property
    def continuous(self) -> np.ndarray:
        """(D,) which features are numbers."""
        return np.repeat([each.categories is None for each in self.columns], [each.width for each in self.columns])

    def fit(self, train: np.ndarray) -> Tabular:
        """What makes features of rows (N, C), given the training rows (M, C).

        Raises UsageError for a column that has nothing to fill its gaps with.
        """
        fitted = (self._fill(column, values) for column, values in zip(self.columns, train.T, strict=True))
        return self.rest._replace(features=tuple(fitted))

    def _fill(self, column: TableColumn, values: np.ndarray) -> TableColumn:
        from sklearn.impute import SimpleImputer

        if self.missing != "most_frequent" and not (column.categories is None and self.missing in FITTED):
            return column
        if np.isnan(values).all():
            raise UsageError(
                f"missing={self.missing}: column {quote(column.name)} has no value in the training split to fill gaps "
                f"with; set {write_option('drop', [column.name])}"
            )
        (fill,) = np.asarray(SimpleImputer(strategy=self.missing).fit(values[:, None]).statistics_).tolist()
        return column._replace(fill=float(fill))

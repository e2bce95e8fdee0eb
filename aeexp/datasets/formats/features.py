"""From numbers with gaps and category codes to features: filling and one-hot, fitted on the training split."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from aeexp.datasets.formats.columns import Column
from aeexp.datasets.formats.table import option, shown
from aeexp.errors import UsageError

FITTED = ("mean", "median", "most_frequent")


class Features:
    """(N, C) float64 of numbers, category codes and NaN -> (N, D) float32, in the order of the columns.

    The categories are those of all files, not of the training split, so that every fold has the same D. With mean
    and median, a column of categories that misses any has one more, the last, for "?".
    """

    def __init__(self, columns: Sequence[Column], missing: str):
        self.names = [column.name for column in columns]
        self.missing = missing
        self.numbers = [i for i, column in enumerate(columns) if column.categories is None]
        self.codes = [i for i, column in enumerate(columns) if column.categories is not None]
        own = missing in ("mean", "median")
        self.vocabulary = {}  # column -> its codes, as scikit-learn has them: NaN last
        for i in self.codes:
            unknown = [np.nan] if own and columns[i].missing.any() else []
            self.vocabulary[i] = np.array([*range(len(columns[i].categories)), *unknown], np.float64)
        self.widths = [len(self.vocabulary.get(i, [0])) for i in range(len(columns))]

    @property
    def continuous(self) -> np.ndarray:
        """(D,) which features are numbers."""
        return np.repeat([i not in self.vocabulary for i in range(len(self.widths))], self.widths)

    def fit(self, train: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder

        filled = self.numbers + (self.codes if self.missing == "most_frequent" else [])
        if self.missing in FITTED:
            for i in filled:
                words = f"missing={self.missing}: column {shown(self.names[i])} has no value in the training split"
                if np.isnan(train[:, i]).all():
                    raise UsageError(f"{words} to fill gaps with; set {option('drop', [self.names[i]])}")
        number = SimpleImputer(strategy=self.missing) if self.missing in FITTED else "passthrough"
        onehot = OneHotEncoder(
            categories=[self.vocabulary[i] for i in self.codes], sparse_output=False, dtype=np.float32
        )
        code = (
            make_pipeline(SimpleImputer(strategy=self.missing), onehot) if self.missing == "most_frequent" else onehot
        )
        parts = [("numbers", number, self.numbers), ("codes", code, self.codes)]
        fitted = ColumnTransformer([part for part in parts if part[2]]).fit(train)
        order = self._order()
        return lambda x: np.ascontiguousarray(fitted.transform(x)[:, order], np.float32)

    def _order(self) -> np.ndarray:
        """(D,) where scikit-learn, which puts all numbers first, lays each feature."""
        laid = [*self.numbers, *self.codes]
        ends = np.cumsum([self.widths[i] for i in laid])
        starts = {i: end - self.widths[i] for i, end in zip(laid, ends, strict=True)}
        return np.concatenate([starts[i] + np.arange(width) for i, width in enumerate(self.widths)])

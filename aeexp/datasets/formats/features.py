"""From numbers with gaps and category codes to features: filling and one-hot, fitted on the training split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, final

import numpy as np

from aeexp.datasets.core.records import Variable
from aeexp.datasets.formats.columns import Column
from aeexp.datasets.formats.wording import quote, write_option
from aeexp.errors import UsageError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

FITTED = ("mean", "median", "most_frequent")


@final
class Features:
    """(N, C) float64 of numbers, category codes and NaN -> (N, D) float32, in the order of the columns.

    The categories are those of all files, not of the training split, so that every fold has the same D. With mean
    and median, a column of categories that misses any has one more, the last, for "?".
    """

    def __init__(self, columns: Sequence[Column], missing: str):
        self.names = [column.name for column in columns]
        self.missing = missing
        self.codes: list[np.ndarray | None] = []  # of each column as scikit-learn has them, NaN last; None: numbers
        self.texts: list[tuple[str, ...]] = []  # what these are called
        for column in columns:
            gap = [np.nan] if missing in ("mean", "median") and column.missing.any() else []
            categories = column.categories
            self.codes.append(None if categories is None else np.array([*range(len(categories)), *gap], np.float64))
            self.texts.append(() if categories is None else (*categories, *("?" for _ in gap)))

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The columns and their categories, in the order of the features."""
        return tuple(Variable(name, texts) for name, texts in zip(self.names, self.texts, strict=True))

    @property
    def continuous(self) -> np.ndarray:
        """(D,) which features are numbers."""
        widths = [1 if codes is None else len(codes) for codes in self.codes]
        return np.repeat([codes is None for codes in self.codes], widths)

    def fit(self, train: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """What makes features of rows (N, C), given the training rows (M, C).

        Raises UsageError for a column that has nothing to fill its gaps with.
        """
        from sklearn.compose import ColumnTransformer

        for place, (name, codes) in enumerate(zip(self.names, self.codes, strict=True)):
            fills = self.missing == "most_frequent" or (codes is None and self.missing in FITTED)
            if fills and np.isnan(train[:, place]).all():
                raise UsageError(
                    f"missing={self.missing}: column {quote(name)} has no value in the training split to fill gaps "
                    f"with; set {write_option('drop', [name])}"
                )
        neighbours = groupby(range(len(self.codes)), key=lambda place: self.codes[place] is None)
        blocks = [list(places) for _, places in neighbours]  # of one kind, so that the order of the file stays
        fitted = ColumnTransformer([(str(block[0]), self._transformer(block), block) for block in blocks]).fit(train)
        return lambda x: np.ascontiguousarray(fitted.transform(x), np.float32)

    def _transformer(self, places: list[int]) -> BaseEstimator | str:
        """What acts on columns that stand side by side, all of numbers or all of categories."""
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder

        codes = [self.codes[place] for place in places]
        if codes[0] is None:
            return SimpleImputer(strategy=self.missing) if self.missing in FITTED else "passthrough"
        # scikit-learn has no types: its defaults pass for them
        onehot = OneHotEncoder(categories=codes, sparse_output=False, dtype=np.float32)  # pyright: ignore[reportArgumentType]
        if self.missing != "most_frequent":
            return onehot
        return make_pipeline(SimpleImputer(strategy="most_frequent"), onehot)

"""Which rows train, choose and test. Decided by a seed of its own: the same for every model of a sweep."""

from __future__ import annotations

import numpy as np

from aeexp.data.records import Rows
from aeexp.errors import require


class Fractions:
    """Train, val and test as shares of the rows, by label where the classes are large enough.

    An official test set is left out.
    """

    def __init__(self, fractions: list[float], seed: int = 0):
        require(
            len(fractions) == 3 and min(fractions) > 0,
            f"fractions={list(fractions)} must be three positive shares for train, val and test, such as [8,1,1]",
        )
        self.fractions = list(fractions)
        self.seed = seed

    def __call__(self, rows: Rows, test: Rows | None) -> dict[str, Rows]:
        val, drawn = (max(1, round(len(rows.x) * share / sum(self.fractions))) for share in self.fractions[1:])
        require(len(rows.x) > val + drawn, f"fractions={self.fractions} leave no training row of {len(rows.x)}")
        rest, test = draw(rows, drawn, self.seed)
        train, val = draw(rest, val, self.seed)
        return {"train": train, "val": val, "test": test}


class Official:
    """The test rows that come with the data set; `val` is a share of the training rows, by label."""

    def __init__(self, val: float = 0.1, seed: int = 0):
        require(0 < val < 1, f"val={val} is no share of the training rows: take a value between 0 and 1")
        self.val = val
        self.seed = seed

    def __call__(self, rows: Rows, test: Rows | None) -> dict[str, Rows]:
        require(
            test is not None,
            "official: this dataset comes without a test set; take dataset/split=fractions",
        )
        val = max(1, round(len(rows.x) * self.val))
        require(len(rows.x) > val, f"val={self.val} leaves no training row of {len(rows.x)}")
        train, val = draw(rows, val, self.seed)
        return {"train": train, "val": val, "test": test}


def draw(rows: Rows, size: int, seed: int) -> tuple[Rows, Rows]:
    """The rest and `size` drawn rows, both in their old order; stratified where every class allows it."""
    from sklearn.model_selection import train_test_split

    strata = None
    if rows.y is not None:
        _, counts = np.unique(rows.y, return_counts=True)
        if counts.min() >= 2 and min(size, len(rows.y) - size) >= len(counts):
            strata = rows.y
    rest, drawn = train_test_split(np.arange(len(rows.x)), test_size=size, random_state=seed, stratify=strata)
    return rows.take(np.sort(rest)), rows.take(np.sort(drawn))

"""Which rows train, choose and test. Decided by a seed of its own: the same for every model of a sweep."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal, final

import numpy as np

from aeexp.datasets.core.marking import mark_apart
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.split import MANY
from aeexp.errors import UsageError
from aeexp.ranges import Positive, Seed, Several, Share, Whole

log = logging.getLogger(__name__)

Stratify = Literal["auto", "always", "never"]


@final
class Fractions:
    """Train, val and test as shares of the rows, by label where the classes are large enough.

    Official val and test sets are left out.
    """

    def __init__(self, fractions: list[Positive], seed: Seed = 0, stratify: Stratify = "auto"):
        if len(fractions) != 3 or not min(fractions) > 0:
            raise UsageError(
                f"fractions={list(fractions)} must be three positive shares for train, val and test, such as [8,1,1]"
            )
        self.fractions = list(fractions)
        self.seed = seed
        self.stratify: Stratify = stratify

    def __call__(self, source: Source) -> dict[str, Rows]:
        rows = source.rows
        in_val, in_test = (max(1, round(len(rows.x) * share / sum(self.fractions))) for share in self.fractions[1:])
        if len(rows.x) <= in_val + in_test:
            raise UsageError(f"fractions={self.fractions} leave no training row of {len(rows.x)}")
        rest, test = draw(rows, in_test, self.seed, self.stratify, source.classes)
        train, val = draw(rest, in_val, self.seed, self.stratify, source.classes, quiet=True)
        return {"train": train, "val": val, "test": test}


@final
class Official:
    """The test rows that come with the data set; `val` is a share of the training rows where none comes with it."""

    def __init__(self, val: Share = 0.1, seed: Seed = 0, stratify: Stratify = "auto"):
        self.val = val
        self.seed = seed
        self.stratify: Stratify = stratify

    def __call__(self, source: Source) -> dict[str, Rows]:
        if source.test is None:
            raise UsageError("split=official: this dataset comes without a test set; take dataset/split=fractions")
        train, val = source.rows, source.val
        if val is None:
            size = max(1, round(len(train.x) * self.val))
            if len(train.x) <= size:
                raise UsageError(f"val={self.val} leaves no training row of {len(train.x)}")
            train, val = draw(train, size, self.seed, self.stratify, source.classes)
        return {"train": train, "val": val, "test": source.test}


@final
class KFold:
    """Cross-validation: `folds` parts, by label where classes allow; part `fold` is the test split.

    Every row is tested in one fold. `val` is a share of the other rows. Official val and test sets are left out.
    """

    def __init__(
        self,
        folds: Several = 5,
        fold: Whole = 0,
        val: Share = 0.1,
        seed: Seed = 0,
        stratify: Stratify = "auto",
    ):
        if not 0 <= fold < folds:
            raise UsageError(f"fold={fold}: the folds are numbered 0 to {folds - 1}")
        self.folds = folds
        self.fold = fold
        self.val = val
        self.seed = seed
        self.stratify: Stratify = stratify

    def __call__(self, source: Source) -> dict[str, Rows]:
        from sklearn.model_selection import KFold as Plain
        from sklearn.model_selection import StratifiedKFold

        rows, count = source.rows, len(source.rows.x)
        if self.folds > count:
            raise UsageError(
                f"folds={self.folds}: there are {count} rows only; take dataset.split.folds={min(5, count)}"
            )
        strata = _choose_strata(rows.y, self.folds, self.stratify, source.classes)
        parts = (Plain if strata is None else StratifiedKFold)(self.folds, shuffle=True, random_state=self.seed)
        others, tested = list(parts.split(np.zeros(count), strata))[self.fold]
        rest = rows.take(np.sort(others))
        size = max(1, round(len(rest.x) * self.val))
        if len(rest.x) <= size:
            raise UsageError(f"folds={self.folds} and val={self.val} leave no training row of {count}")
        train, val = draw(rest, size, self.seed, self.stratify, source.classes, quiet=True)
        return {"train": train, "val": val, "test": rows.take(np.sort(tested))}


def draw(
    rows: Rows, size: int, seed: int, stratify: Stratify = "auto", names: Sequence[str] = (), quiet: bool = False
) -> tuple[Rows, Rows]:
    """The rest and `size` drawn rows, both in their old order; by label where `stratify` says so."""
    rest, drawn = draw_places(rows.y, len(rows.x), size, seed, stratify, names, quiet)
    return rows.take(rest), rows.take(drawn)


def draw_places(
    y: np.ndarray | None, count: int, size: int, seed: int, stratify: Stratify = "auto", names: Sequence[str] = (),
    quiet: bool = False,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """(count - size,) and (size,) ascending places of `count` rows with labels `y`, drawn as `draw` does; of more than
    `MANY` rows masks (count,)."""
    strata = _choose_strata(y, 2, stratify, names, quiet)
    classes = 0 if strata is None else len(np.unique(strata))
    room = min(size, count - size)
    if room < classes:
        if stratify == "always":
            raise UsageError(
                f"stratify=always: {room} rows cannot hold one of each of the {classes} classes; "
                "take dataset.split.stratify=auto"
            )
        strata = None
    if count > MANY:
        rng = np.random.RandomState(seed)
        return mark_apart(count, size, seed, strata, lambda counts: _share_out(counts, size, rng))
    return shuffle_apart(count, size, seed, strata)


def shuffle_apart(count: int, size: int, seed: int, strata: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(count - size,) and (size,) ascending places, of each stratum its share: those of scikit-learn's
    `train_test_split`, whose import takes seconds that a run waits for before its first step."""
    rng = np.random.RandomState(seed)
    if strata is None:
        places = rng.permutation(count)
        return np.sort(places[size:]), np.sort(places[:size])
    _, members, counts = np.unique(strata, return_inverse=True, return_counts=True)
    kept = _share_out(counts, count - size, rng)
    drawn = _share_out(counts - kept, size, rng)  # all that are left, in the order in which ties would be broken
    parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for number, among in enumerate(np.split(np.argsort(members, kind="stable"), np.cumsum(counts)[:-1])):
        places = among[rng.permutation(counts[number])]
        parts[0].append(places[: kept[number]])
        parts[1].append(places[kept[number] : kept[number] + drawn[number]])
    rest, taken = (np.sort(np.concatenate(each)) for each in parts)
    return rest, taken


def _share_out(counts: np.ndarray, size: int, rng: np.random.RandomState) -> np.ndarray:
    """`size` divided like `counts`: whole numbers, the largest remainders rounded up, equal ones by chance."""
    exact = counts / counts.sum() * size
    shares = np.floor(exact)
    remainders, left = exact - shares, int(size - shares.sum())
    for value in np.unique(remainders)[::-1]:
        if left == 0:
            break
        alike = np.flatnonzero(remainders == value)
        chosen = rng.choice(alike, size=min(len(alike), left), replace=False)
        shares[chosen] += 1
        left -= len(chosen)
    return shares.astype(int)


def _choose_strata(
    y: np.ndarray | None, members: int, stratify: Stratify, names: Sequence[str], quiet: bool = False
) -> np.ndarray | None:
    """(N,) labels to draw by, or None; unlabelled rows are a class of their own where there are enough of them.

    Raises UsageError where stratify=always finds a class with fewer rows than `members`.
    """
    if stratify == "never" or (y is None and stratify == "auto"):
        return None
    if y is None:
        raise UsageError("stratify=always: the data has no labels that are classes; take dataset.split.stratify=auto")
    labels = y.copy()
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    if len(classes) == 0:
        return None
    if (labels < 0).sum() < members:
        labels[labels < 0] = classes[counts.argmax()]
    if counts.min() >= members:
        return labels
    number = int(classes[counts.argmin()])
    name = names[number] if number < len(names) else f"number {number}"
    small = f"class {name} has {counts.min()} of the {members} rows that drawing by label needs"
    way = "dataset.split.stratify=auto draws without regard to labels, dataset.classes leaves the class out"
    if stratify == "always":
        raise UsageError(f"stratify=always: {small};\n{way}")
    if not quiet:
        log.info("rows are drawn without regard to labels: %s", small)
    return None

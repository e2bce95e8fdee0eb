"""Class numbers from labels that are kept as places in a list of the different ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aeexp.data import arrays
from aeexp.errors import require


class Labels(NamedTuple):
    """Labels of one part of the data: 8 bytes a row, however long the names are."""

    codes: np.ndarray  # (N,) int64 places in `values`, -1: unlabelled
    values: np.ndarray  # the different labels: numbers or texts
    ordered: bool = False  # the values are class names in the order of their numbers


def numbered(rows: Labels, test: Labels | None) -> tuple[tuple[str, ...], np.ndarray, np.ndarray | None]:
    """Names of the classes and (N,) class numbers of the rows and of the official test set.

    Values are numbered in sorted order (`arrays.numbered`). Class names that have an order keep it, and names that
    the test part alone has follow them.
    """
    parts = {name: part for name, part in (("y", rows), ("y of the test rows", test)) if part is not None}
    known = {name: part.values for name, part in parts.items() if len(part.values)}
    if not known:
        numbers, classes = [], ()
    elif rows.ordered:
        text = all(values.dtype.kind == "U" for values in known.values())
        require(text, "y: the test rows have labels of another kind, texts and numbers, than the rest")
        names = list(dict.fromkeys(name for values in known.values() for name in values.tolist()))
        place = {name: number for number, name in enumerate(names)}
        numbers, classes = [[place[name] for name in values.tolist()] for values in known.values()], tuple(names)
    else:
        numbers, classes = arrays.numbered(known)
    of_values = dict(zip(known, numbers, strict=True))
    # code -1 reads the last entry
    ys = [np.array([*of_values.get(name, ()), -1], np.int64)[part.codes] for name, part in parts.items()]
    return classes, ys[0], ys[1] if test is not None else None

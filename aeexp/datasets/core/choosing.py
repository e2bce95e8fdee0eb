"""Which rows are taken, and which of them are labelled: by class, by name or number."""

from __future__ import annotations

import numpy as np

from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.splits import draw
from aeexp.errors import UsageError


def numbers(key: str, classes: list[int | str], names: tuple[str, ...]) -> list[int]:
    """The class numbers meant by names or numbers, in their old order."""
    given, way = f"{key}={list(classes)}", f"leave dataset.{key}=null"
    if not names:
        raise UsageError(f"{given}: the data has no labels to choose by; {way}")
    if len(classes) <= 0:
        raise UsageError(f"{key}=[]: name at least one class, or {way}")
    found = set()
    for wanted in classes:
        known = str(wanted) in names or (isinstance(wanted, int) and 0 <= wanted < len(names))
        listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        if not known:
            raise UsageError(f"{given}: there is no class {wanted}; there are {listed}")
        found.add(names.index(str(wanted)) if str(wanted) in names else wanted)
    return sorted(found)


def of_classes(
    parts: dict[str, Rows | None], classes: list[int | str], names: tuple[str, ...]
) -> tuple[dict[str, Rows | None], tuple[str, ...]]:
    """The rows of these classes in each part, numbered anew, and the classes' names."""
    wanted = numbers("classes", classes, names)
    parts = {part: r if r is None else _only(r, wanted) for part, r in parts.items()}
    for part, r in parts.items():
        where = "the rows have" if part == "rows" else f"the official {part} set has"
        if r is not None and len(r.x) <= 0:
            raise UsageError(
                f"classes={list(classes)}: {where} none of them; choose others, or dataset/split=fractions"
            )
    return parts, tuple(names[number] for number in wanted)


def _only(rows: Rows, wanted: list[int]) -> Rows:
    """The rows of these classes, numbered anew."""
    if rows.y is None:
        raise UsageError("classes: a part of the data has no labels to choose by; leave dataset.classes=null")
    kept = rows.take(np.flatnonzero(np.isin(rows.y, wanted)))
    return kept._replace(y=np.searchsorted(wanted, kept.y).astype(np.int64))


def normal_rows(rows: Rows, part: str, normal: tuple[int, ...], given: list[int | str], names: tuple[str, ...]) -> Rows:
    """The rows of a split that are known to be normal."""
    words = f"normal_classes={list(given)}"
    if len(normal) >= len(names):
        raise UsageError(f"{words}: all classes are normal, and none is an anomaly; leave one out")
    if rows.y is None:
        raise UsageError(f"{words}: a part of the data has no labels; leave dataset.normal_classes=null")
    kept = np.flatnonzero(np.isin(rows.y, normal))
    if len(kept) <= 0:
        raise UsageError(f"{words}: the {part} split has no row of them; choose others, or more rows")
    return rows.take(kept)


def hidden(rows: Rows, labelled: int | float) -> Rows:
    """Labels of all but some rows become -1; those that stay are drawn by label."""
    if rows.y is None:
        raise UsageError(f"labelled={labelled}: the data has no labels to hide; leave dataset.labelled=null")
    known = np.flatnonzero(rows.y >= 0)
    whole = isinstance(labelled, int)
    fits = 1 <= labelled <= len(known) if whole else 0 < labelled <= 1
    if not fits:
        raise UsageError(f"labelled={labelled}: take a share in (0, 1], as 0.1, or a number from 1 to {len(known)}")
    count = labelled if whole else max(1, round(labelled * len(known)))
    if count == len(known):
        return rows
    marked = Rows(known, rows.y[known])
    y = np.full_like(rows.y, -1)
    kept = draw(marked, count, seed=0)[1].x
    y[kept] = rows.y[kept]
    return rows._replace(y=y)


def labelled_rows(rows: Rows) -> Rows:
    known = np.flatnonzero(rows.y >= 0) if rows.y is not None else ()
    if len(known) <= 0:
        raise UsageError("unlabelled=drop leaves no training row, since none has a label; take unlabelled=keep")
    return rows.take(known)

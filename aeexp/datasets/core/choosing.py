"""Which rows are taken, and which of them are labelled: by class, by name or number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.splits import draw_places
from aeexp.errors import UsageError


def check_kind_of_labels(source: Source, choices: Mapping[str, list[int | str] | None]) -> None:
    """Refuse rows that have both classes and numbers to predict, and what chooses by class where these are numbers."""
    if source.rows.y is not None and source.rows.response is not None:
        raise UsageError(
            f"target={source.response}: the rows have classes as well, and labels are classes or numbers: leave one out"
        )
    for key, given in choices.items():
        if source.response and given is not None:
            raise UsageError(
                f"{key}={list(given)} chooses by class, and the labels are numbers ({source.response}): "
                f"leave dataset.{key}=null"
            )


def find_classes(key: str, classes: list[int | str], names: tuple[str, ...]) -> list[int]:
    """The class numbers meant by names or numbers, ascending. Raises UsageError for a class that there is not."""
    given, way = f"{key}={list(classes)}", f"leave dataset.{key}=null"
    if not names:
        raise UsageError(f"{given}: the data has no labels to choose by; {way}")
    if not classes:
        raise UsageError(f"{key}=[]: name at least one class, or {way}")
    chosen = set()
    for wanted in classes:
        if str(wanted) in names:
            chosen.add(names.index(str(wanted)))
        elif isinstance(wanted, int) and 0 <= wanted < len(names):
            chosen.add(wanted)
        else:
            listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
            raise UsageError(f"{given}: there is no class {wanted}; there are {listed}")
    return sorted(chosen)


def choose_classes(source: Source, classes: list[int | str]) -> Source:
    """The rows of these classes in each part, numbered anew. Raises UsageError where a part has none."""
    wanted = find_classes("classes", classes, source.classes)

    def pick(rows: Rows, where: str) -> Rows:
        if rows.y is None:
            raise UsageError("classes: a part of the data has no labels to choose by; leave dataset.classes=null")
        kept = np.flatnonzero(np.isin(rows.y, wanted))
        if len(kept) == 0:
            raise UsageError(
                f"classes={list(classes)}: {where} none of them; choose others, or dataset/split=fractions"
            )
        return rows.take(kept)._replace(y=np.searchsorted(wanted, rows.y[kept]).astype(np.int64))

    return source._replace(
        rows=pick(source.rows, "the rows have"),
        val=None if source.val is None else pick(source.val, "the official val set has"),
        test=None if source.test is None else pick(source.test, "the official test set has"),
        classes=tuple(source.classes[number] for number in wanted),
    )


def choose_normal(
    rows: Rows, part: str, normal: tuple[int, ...], given: list[int | str], names: tuple[str, ...]
) -> Rows:
    """The rows of a split that are known to be normal."""
    start = f"normal_classes={list(given)}"
    if len(normal) >= len(names):
        raise UsageError(f"{start}: all classes are normal, and none is an anomaly; leave one out")
    if rows.y is None:
        raise UsageError(f"{start}: a part of the data has no labels; leave dataset.normal_classes=null")
    kept = np.flatnonzero(np.isin(rows.y, normal))
    if len(kept) == 0:
        raise UsageError(f"{start}: the {part} split has no row of them; choose others, or more rows")
    return rows.take(kept)


def hide_labels(rows: Rows, labelled: int | float) -> Rows:
    """Labels of all but some rows become -1 (numbers NaN); those that stay are drawn by label."""
    mask = rows.known
    if mask is None:
        raise UsageError(f"labelled={labelled}: the data has no labels to hide; leave dataset.labelled=null")
    known = np.flatnonzero(mask)
    is_number = isinstance(labelled, int)
    if not (1 <= labelled <= len(known) if is_number else 0 < labelled <= 1):
        raise UsageError(f"labelled={labelled}: take a share in (0, 1], as 0.1, or a number from 1 to {len(known)}")
    count = labelled if is_number else max(1, round(labelled * len(known)))
    if count == len(known):
        return rows
    _, kept = draw_places(None if rows.y is None else rows.y[known], len(known), count, seed=0)
    hidden = np.ones(len(mask), bool)
    hidden[known[kept]] = False
    y, response = rows.y, rows.response
    return rows._replace(
        y=None if y is None else np.where(hidden, -1, y),
        response=None if response is None else np.where(hidden, np.float32(np.nan), response),
    )


def drop_unlabelled(rows: Rows) -> Rows:
    """The rows that have a label. Raises UsageError where none has."""
    known = np.flatnonzero(rows.known) if rows.known is not None else np.empty(0, np.int64)
    if len(known) == 0:
        raise UsageError("unlabelled=drop leaves no training row, since none has a label; take unlabelled=keep")
    return rows.take(known)

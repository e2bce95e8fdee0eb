"""Rows beyond memory, with their labels, as a source."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np

from aeexp.datasets.core.records import Rows, Source, StoredArray, StreamedArray, Variable
from aeexp.datasets.formats.labels import Labels, number_labels
from aeexp.errors import UsageError

log = logging.getLogger(__name__)

SAMPLE = 256  # rows that are looked at where all would take too long


class Part(NamedTuple):
    """The training rows, or the official test rows; `option` is the key that named them."""

    option: str
    x: StoredArray | StreamedArray
    labels: Labels | None
    variables: tuple[Variable, ...] = ()  # of a table


def lazy_source(train: Part, test: Part | None, instead: str) -> Source:
    """The rows and their classes; `instead` is what to do with labels that are measurements.

    Raises UsageError where the test rows have another shape or type.
    """
    if test is not None:
        here, there = (f"{part.x.shape[1:]} {part.x.dtype}" for part in (test, train))
        if here != there:
            raise UsageError(f"{test.option}={test.x.path}: rows are {here}, those of {train.x.path} {there}")
    classes, y, test_y = (), None, None
    if train.labels is not None:
        classes, y, test_y = number_labels(train.labels, None if test is None else test.labels, instead)
    rows, test_rows = Rows(train.x, y), None if test is None else Rows(test.x, test_y)
    scale = estimate_unit([part.x for part in (train, test) if part is not None])
    return Source(rows, test_rows, scale, classes, variables=train.variables)


def estimate_unit(parts: list[StoredArray | StreamedArray]) -> float:
    """What a stored step of 1 means, as `arrays.find_unit` says, by some rows of each part.

    No row is looked at behind the first that shows parts of 255.
    """
    if parts[0].dtype != np.uint8:
        return 1.0
    for x in parts:
        some = x.take(np.unique(np.linspace(0, len(x) - 1, SAMPLE).astype(np.int64)))
        stored = isinstance(some, StoredArray)
        rows = (some[i : i + 1] for i in range(len(some))) if stored else (x for *_, x in some.read_all())
        if any(row.max() > 1 for row in rows):
            return 1 / 255
    log.info("bytes of 0 and 1 only in the rows that were looked at: dataset.scale=1")
    return 1.0

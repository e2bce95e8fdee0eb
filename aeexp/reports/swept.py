"""Which value a sweep changed, and what was measured at each: from run folders to points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from aeexp.reports.grouping import NONE, Group, group_runs, list_common
from aeexp.reports.records import Record, read
from aeexp.reports.statistics import Estimate


class Point(NamedTuple):
    """A group of runs, and where a chart has it."""

    line: str  # what else was swept beside `at`
    at: float | None  # the swept value
    group: Group

    def estimate(self, key: str, *part: str) -> Estimate | None:
        """The group's."""
        return self.group.estimate(key, *part)


class Sweep(NamedTuple):
    """Groups of runs over the number that was swept."""

    name: str | None  # the override whose value is `at`; None: no number was swept
    points: list[Point]  # in the order of the jobs, those of a line by `at`
    common: list[str]  # overrides that all runs share

    @property
    def lines(self) -> list[str]:
        """What else was swept, each once; one line, "", of nothing."""
        return list(dict.fromkeys(point.line for point in self.points))

    @property
    def records(self) -> list[Record]:
        """The runs of all points."""
        return [record for point in self.points for record in point.group.records]

    def keys(self) -> list[str]:
        """What was measured on the test split, in the order in which it was."""
        return list(dict.fromkeys(key for record in self.records for key in record.metrics["test"]))


def read_sweep(root: Path) -> Sweep:
    """The finished runs below `root`; none where there is no run."""
    if next(root.rglob("status.json"), None) is None:
        return Sweep(None, [], [])
    records, _ = read([root])
    return arrange_points(group_runs(records)[1], list_common(records))


def arrange_points(groups: Sequence[Group], shared: Sequence[str] = ()) -> Sweep:
    """The swept number is the column that took most values of those that are numbers in all groups.

    All else that differs tells lines apart.
    """
    name = find_swept_number([group.columns for group in groups])
    points = []
    for group in groups:
        at = None if name is None else parse_number(group.columns[name], name)
        if name == "dataset.labelled":  # 0.1 and 1.0 are shares, 10 is a number: what they come to
            at = group.records[0].value("train", "data", "labelled") or at
        line = " ".join(f"{key}={value}" for key, value in group.columns.items() if key != name and value != NONE)
        points.append(Point(line, at, group))
    order = {line: i for i, line in enumerate(dict.fromkeys(point.line for point in points))}
    points.sort(key=lambda point: (order[point.line], point.at or 0.0))
    return Sweep(name, points, list(shared))


def find_swept_number(rows: Sequence[Mapping[str, str]]) -> str | None:
    """The key with most different values, all of them numbers; the first of equals; None where there is none.

    Two lists of layers with the same sum are two values and one number: such a key is none.
    """
    counts = {}
    for key in dict.fromkeys(key for row in rows for key in row):
        values = [parse_number(row[key], key) if key in row else None for row in rows]
        listed = {row[key] for row in rows if key in row and row[key].startswith("[")}
        if None not in values and len(set(values)) >= max(2, len(listed)):
            counts[key] = len(set(values))
    return max(counts, key=counts.__getitem__) if counts else None


def parse_number(text: str, key: str = "") -> float | None:
    """A finite number as Hydra writes it, not as Python reads it: `1_000` and ` 1` are none.

    `[8]` is 8, and a model's layers `[64,32]` are 96 units or channels; any other list is none.
    """
    if text.startswith("[") and text.endswith("]"):
        parts = [parse_number(part.strip()) for part in text[1:-1].split(",")]
        numbers = [part for part in parts if part is not None]
        whole = len(numbers) == len(parts) and (len(parts) == 1 or key.startswith("model."))
        return sum(numbers) if whole else None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and text.strip("0123456789+-.eE") == "" else None

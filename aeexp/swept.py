"""Which value a sweep changed, and what was measured at each: from run folders to points."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aeexp.sweep import jobs, overrides


class Estimate(NamedTuple):
    mean: float
    half: float  # of Student's 95 % interval over independent runs; 0 of a single one
    runs: int


class Point(NamedTuple):
    """Runs that differ in seed or fold alone."""

    line: str  # what else was swept beside `at`
    at: float | None  # the swept value
    metrics: list[dict]  # the content of each metrics.json

    def estimate(self, key: str, *part: str) -> Estimate | None:
        """Of a number on the test split, or in another `part` of metrics.json; None where no run has it."""
        nodes: list[dict] = []
        for node in self.metrics:
            for name in part or ("test",):
                node = node.get(name) or {}
            nodes.append(node)
        values = [float(node[key]) for node in nodes if node.get(key) is not None]
        return estimate([value for value in values if math.isfinite(value)])


class Sweep(NamedTuple):
    name: str | None  # the override whose value is `at`; None: no number was swept
    points: list[Point]  # in the order of the jobs, those of a line by `at`
    common: list[str]  # overrides that all runs share

    @property
    def lines(self) -> list[str]:
        return list(dict.fromkeys(point.line for point in self.points))

    def keys(self) -> list[str]:
        """What was measured on the test split, in the order in which it was."""
        return list(dict.fromkeys(key for p in self.points for node in p.metrics for key in node.get("test") or {}))


def sweep(root: Path) -> Sweep:
    """The finished runs below `root`, grouped by the overrides that do not only repeat them."""
    groups: dict[tuple[str, ...], list[dict]] = defaultdict(list)
    for folder in jobs(root):
        if json.loads((folder / "status.json").read_text())["status"] == "finished":
            groups[tuple(overrides(folder))].append(json.loads((folder / "metrics.json").read_text()))
    shared = set.intersection(*map(set, groups)) if groups else set()
    rows = [(dict(pair(word) for word in words if word not in shared), metrics) for words, metrics in groups.items()]
    return gathered(rows, [word for word in next(iter(groups), ()) if word in shared])


def gathered(groups: Sequence[tuple[Mapping[str, str], Sequence[dict]]], common: Sequence[str] = ()) -> Sweep:
    """Points of groups of runs: what differs, as key -> text, and the content of each metrics.json.

    The swept number is the key that took most values of those that are numbers in all groups; all else that differs
    tells lines apart.
    """
    name = swept_number([own for own, _ in groups])
    points = []
    for own, metrics in groups:
        at = None if name is None else number(own[name], name)
        if name == "dataset.labelled":  # 0.1 and 1.0 are shares, 10 is a number: what they come to
            at = float(metrics[0]["data"]["labelled"]["train"])
        line = " ".join(f"{key}={value}" for key, value in own.items() if key != name)
        points.append(Point(line, at, list(metrics)))
    order = {line: i for i, line in enumerate(dict.fromkeys(point.line for point in points))}
    points.sort(key=lambda point: (order[point.line], point.at or 0.0))
    return Sweep(name, points, list(common))


def swept_number(rows: Sequence[Mapping[str, str]]) -> str | None:
    """The key with most different values, all of them numbers; the first of equals; None where there is none.

    Two lists of layers with the same sum are two values and one number: such a key is none.
    """
    counts = {}
    for key in dict.fromkeys(key for row in rows for key in row):
        values = [number(row[key], key) if key in row else None for row in rows]
        listed = {row[key] for row in rows if key in row and row[key].startswith("[")}
        if None not in values and len(set(values)) >= max(2, len(listed)):
            counts[key] = len(set(values))
    return max(counts, key=counts.__getitem__) if counts else None


def pair(word: str) -> tuple[str, str]:
    key, _, value = word.lstrip("+").partition("=")
    return key, value


def number(text: str, key: str = "") -> float | None:
    """A finite number as Hydra writes it, not as Python reads it: `1_000` and ` 1` are none.

    `[8]` is 8, and a model's layers `[64,32]` are 96 units or channels; any other list is none.
    """
    if text.startswith("[") and text.endswith("]"):
        parts = [number(part.strip()) for part in text[1:-1].split(",")]
        return sum(parts) if None not in parts and (len(parts) == 1 or key.startswith("model.")) else None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and text.strip("0123456789+-.eE") == "" else None


def estimate(values: Sequence[float]) -> Estimate | None:
    from scipy.stats import t

    n = len(values)
    if n == 0:
        return None
    half = 0.0 if n == 1 else float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return Estimate(float(np.mean(values)), half, n)

"""What the page's scatter is drawn from: a value for each group on every axis that a reader may choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aeexp.evaluation.baselines import NAMES
from aeexp.reports.comparison import Report
from aeexp.reports.grouping import Group
from aeexp.reports.statistics import Estimate
from aeexp.reports.swept import Sweep, number

PARTS = {"test": "test split", "val": "validation split", "train": "training split"}
BASELINES = {name: NAMES[name] for name in ("pca", "raw")}
FIRST = (  # what the scatter opens with: error or leakage across, use of the code up
    ("fairness/leakage_balanced_forest", "fairness/accuracy_forest"), ("reconstruction/mse", "probe/linear"),
    ("loss", "reconstruction/mse"),
)  # fmt: skip


def scatter(report: Report, found: Sweep) -> dict[str, Any] | None:
    """Groups, and axes with a value for each: [mean, half] or null; settings that are numbers are axes as well."""
    if not report.groups:
        return None
    axes = [setting_axis(name, report.groups) for name in report.columns]
    axes = [axis for axis in axes if axis is not None]
    for part, words in PARTS.items():
        keys = report.keys if part == "test" else part_keys(report.groups, part)
        axes += [axis(report.groups, key, part, words, report.declared.unit(key)) for key in keys]
    keys = [axis["key"] for axis in axes if axis["part"] == "test"]
    if len(axes) < 2 or not keys:
        return None
    pair = next((pair for pair in FIRST if set(pair) <= set(keys)), (axes[0]["key"], keys[-1]))
    lines = {id(point.group): found.lines.index(point.line) for point in found.points}
    at = {id(point.group): point.at for point in found.points}
    groups = [{"name": g.name, "line": lines[id(g)], "at": at[id(g)], "n": len(g.records)} for g in report.groups]
    words = [line or (f"over {found.name}" if found.name else "all runs") for line in found.lines]
    ids = [next(a["id"] for a in axes if a["key"] == key) for key in pair]
    return {"groups": groups, "lines": words, "swept": found.name, "axes": axes, "first": ids, "baselines": BASELINES}


def setting_axis(name: str, groups: Sequence[Group]) -> dict[str, Any] | None:
    values = [number(group.columns[name], name) for group in groups]
    if None in values or len(set(values)) < 2:
        return None
    spots = [[value, 0.0] for value in values]
    same = dict.fromkeys(BASELINES, values)
    return {
        "id": f"set:{name}",
        "key": name,
        "part": "setting",
        "words": "settings",
        "unit": "",
        "values": spots,
        **same,
    }


def part_keys(groups: Sequence[Group], part: str) -> list[str]:
    return list(dict.fromkeys(key for g in groups for record in g.records for key in record.metrics.get(part) or {}))


def axis(groups: Sequence[Group], key: str, part: str, words: str, unit: str) -> dict[str, Any]:
    own = [rounded(group.estimate(key, part)) for group in groups]
    spots = {name: [] for name in BASELINES}
    if part == "test" and key.split("/")[0] != "loss":  # baselines are measured there alone, and have no penalties
        spots = {n: [e and e[0] for e in (rounded(g.estimate(key, "baseline", n)) for g in groups)] for n in BASELINES}
        spots = {n: v if any(x is not None for x in v) else [] for n, v in spots.items()}
    return {"id": f"{part}:{key}", "key": key, "part": part, "words": words, "unit": unit, "values": own, **spots}


def rounded(estimate: Estimate | None) -> list[float] | None:
    """Mean and half interval, as short as a picture needs."""
    return None if estimate is None else [float(f"{estimate.mean:.7g}"), float(f"{estimate.half:.4g}")]

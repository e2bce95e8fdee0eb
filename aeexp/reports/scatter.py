"""What the page's scatter is drawn from: a value for each group on every axis that a reader may choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aeexp.reports.comparison import Report
from aeexp.reports.grouping import Group, describe_baseline
from aeexp.reports.statistics import Estimate
from aeexp.reports.swept import Sweep, parse_number

PARTS = {"test": "test split", "val": "validation split", "train": "training split"}
BASELINES = ("pca", "raw")
FIRST = (  # what the scatter opens with: error or leakage across, use of the code up
    ("fairness/leakage_balanced_forest", "fairness/accuracy_forest"), ("reconstruction/mse", "probe/linear"),
    ("reconstruction/mse", "probe/ridge_r2"),
    ("loss", "reconstruction/mse"),
)  # fmt: skip


def collect_scatter(report: Report, sweep: Sweep) -> dict[str, Any] | None:
    """Groups, and axes with a value for each: [mean, half] or null; settings that are numbers are axes as well."""
    if not report.groups:
        return None
    axes = [setting_axis(name, report.groups) for name in report.columns]
    axes = [axis for axis in axes if axis is not None]
    for part, name in PARTS.items():
        keys = report.keys if part == "test" else list_keys(report.groups, part)
        axes += [number_axis(report.groups, key, part, name, report.declarations.unit(key)) for key in keys]
    keys = [axis["key"] for axis in axes if axis["part"] == "test"]
    if len(axes) < 2 or not keys:
        return None
    pair = next((pair for pair in FIRST if set(pair) <= set(keys)), (axes[0]["key"], keys[-1]))
    lines = {id(point.group): sweep.lines.index(point.line) for point in sweep.points}
    at = {id(point.group): point.at for point in sweep.points}
    groups = [{"name": g.name, "line": lines[id(g)], "at": at[id(g)], "n": len(g.records)} for g in report.groups]
    names = [line or (f"over {sweep.name}" if sweep.name else "all runs") for line in sweep.lines]
    records = [record for group in report.groups for record in group.records]
    baselines = {name: describe_baseline(name, records) for name in BASELINES}
    ids = [next(a["id"] for a in axes if a["key"] == key) for key in pair]
    return {"groups": groups, "lines": names, "swept": sweep.name, "axes": axes, "first": ids, "baselines": baselines}


def setting_axis(name: str, groups: Sequence[Group]) -> dict[str, Any] | None:
    """A column's values, which baselines share; None where one is no number, or all are the same."""
    values = [parse_number(group.columns[name], name) for group in groups]
    if None in values or len(set(values)) < 2:
        return None
    spots = [[value, 0.0] for value in values]
    same = dict.fromkeys(BASELINES, values)
    own = {"id": f"set:{name}", "key": name, "part": "setting", "words": "settings", "unit": "", "values": spots}
    return {**own, **same}


def list_keys(groups: Sequence[Group], part: str) -> list[str]:
    """What was measured in a part of metrics.json."""
    return list(dict.fromkeys(key for g in groups for record in g.records for key in record.metrics.get(part) or {}))


def number_axis(groups: Sequence[Group], key: str, part: str, name: str, unit: str) -> dict[str, Any]:
    """A number of a `part` of metrics.json that is called `name`, and each baseline's, [] where it has none."""
    own = [round_estimate(group.estimate(key, part)) for group in groups]
    spots: dict[str, list[float | None]] = {}
    # baselines are measured on the test split alone, and their loss has no penalties
    measured = groups if part == "test" and key.split("/")[0] != "loss" else ()
    for baseline in BASELINES:
        estimates = [round_estimate(group.estimate(key, "baseline", baseline)) for group in measured]
        spots[baseline] = [None if spot is None else spot[0] for spot in estimates] if any(estimates) else []
    return {"id": f"{part}:{key}", "key": key, "part": part, "words": name, "unit": unit, "values": own, **spots}


def round_estimate(estimate: Estimate | None) -> list[float] | None:
    """Mean and half interval, as short as a picture needs."""
    return None if estimate is None else [float(f"{estimate.mean:.7g}"), float(f"{estimate.half:.4g}")]

"""What `aeexp-report` and `aeexp.report` are asked: runs compared, in an order, as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aeexp.errors import UsageError
from aeexp.reports.by_protocol import collect_by_protocol, describe
from aeexp.reports.comparison import Report, collect
from aeexp.reports.grouping import NONE, Group
from aeexp.reports.text import console_text


def compare_runs(
    roots: Sequence[Path | str], baseline: str | None, criteria: Sequence[str], sort: str | None = None,
    mix: bool = False,
) -> tuple[Report, list[Report]]:  # fmt: skip
    """All runs in one comparison, and where they are of several protocols that of each. Raises as `collect` does."""
    parts: list[Report] = []
    if mix:
        report = collect(roots, baseline, criteria, mix=True)
    else:
        report, parts = collect_by_protocol(roots, baseline, criteria)
    return sort_groups(report, sort) if sort else report, parts


def format_report(report: Report, parts: Sequence[Report], width: int) -> str:
    """As the console shows it, protocol by protocol."""
    texts = [f"{describe(part)}\n{console_text(part, width)}\n" for part in parts]
    return "\n".join([*texts, console_text(report._replace(groups=[]) if parts else report, width)])


def sort_groups(report: Report, name: str) -> Report:
    """By a column, or by the mean of a number; groups without it come last."""
    known = [*report.columns, *report.keys]
    if name not in known:
        raise UsageError(
            f"sort={name}: there is no such column or metric: take one of "
            f"{', '.join([*report.columns, *report.criteria])}"
        )
    sign = -1.0 if report.declarations.better(name) == "higher" else 1.0

    def place(group: Group) -> tuple:
        if name in report.columns:
            value = group.columns[name]
            number = _parse_number(value)
            return (value == NONE, number is None, number or 0.0, value)
        estimate = group.estimate(name)
        return (estimate is None, 0.0 if estimate is None else sign * estimate.mean)

    return report._replace(groups=sorted(report.groups, key=place), options=[*report.options, "--sort", name])


def _parse_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

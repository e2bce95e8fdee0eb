"""Numbers that need several seeds of one configuration: each run gets them in the report, none in its metrics.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aeexp.reports import stability, udr
from aeexp.reports.grouping import Group
from aeexp.reports.records import Record

Measure = Callable[[Sequence[Record]], list[tuple[Record, dict[str, float]]]]
MEASURES: tuple[tuple[Measure, Mapping[str, Any]], ...] = (
    (stability.measure, stability.NUMBERS),
    (udr.measure, udr.NUMBERS),
)


def add_over_seeds(records: Sequence[Record], groups: Sequence[Group]) -> tuple[list[Record], list[Group]]:
    """The same records and groups; in the test numbers of runs that differ from others of their group in seed or fold
    alone, also what the `MEASURES` say of them."""
    told: dict[int, Record] = {}  # by what stands in its place: records share what they say alike
    for group in groups:
        for measure, declared in MEASURES:
            for record, values in measure(group.records):
                told[id(record)] = _add(told.get(id(record), record), values, declared)
    if not told:
        return list(records), list(groups)

    def replace(several: Sequence[Record]) -> list[Record]:
        return [told.get(id(record), record) for record in several]

    return replace(records), [Group(group.columns, replace(group.records)) for group in groups]


def _add(record: Record, values: Mapping[str, float], declared: Mapping[str, Any]) -> Record:
    test = {**record.metrics["test"], **values}
    numbers = {**(record.metrics.get("numbers") or {}), **{key: declared[key] for key in values}}
    return record._replace(metrics={**record.metrics, "test": test, "numbers": numbers})

"""Runs of several protocols: each protocol compared by itself, in one list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from aeexp.reports.comparison import Report, Unmixed, collect, compare_records
from aeexp.reports.declarations import Declarations
from aeexp.reports.grouping import ASIDE, group_runs
from aeexp.reports.protocol import find_differences, find_unshared_rows
from aeexp.reports.records import Record, read


def collect_by_protocol(
    roots: Sequence[Path | str], baseline: str | None = None, criteria: Sequence[str] = ()
) -> tuple[Report, list[Report]]:
    """All runs in one table without a ranking, and the comparison of each protocol; of one protocol the comparison
    alone, and no list. Raises UsageError as `collect` does."""
    try:
        return collect(roots, baseline, criteria), []
    except Unmixed as error:
        reason = str(error).splitlines()[0]
    places = [Path(root) for root in roots]
    records, failures = read(places)
    parts = []
    for part in divide(records, Declarations(records)):
        measured = {key for record in part for key in record.metrics["test"]}
        asked = [key for key in criteria if key in measured]
        parts.append(compare_records(places, part, [], _choose_baseline(part, baseline), asked))
    mixed = compare_records(places, records, failures, None, criteria, mix=True)
    note = f"{reason[0].upper()}{reason[1:]}. Nothing is ranked over all runs: {len(parts)} protocols stand one by one."
    options = [word for word in mixed.options if word != "--mix"]
    return mixed._replace(best=[], disagreement=[], notes=[note], options=options), parts


def _choose_baseline(records: Sequence[Record], baseline: str | None) -> str | None:
    """A row of the runs' own baselines where all of these have it: words that select groups may be of another part."""
    rows = {name for record in records for name in record.metrics.get("baseline", {})}
    return baseline if baseline == "auto" or baseline in rows else None


def divide(records: Sequence[Record], declarations: Declarations) -> list[list[Record]]:
    """Runs that compare with each other, the protocols in the order of their first runs.

    Runs of equal settings of data and metrics are taken together: what is compared pair by pair is a few of many.
    """
    alike: dict[tuple, list[Record]] = defaultdict(list)
    for record in records:
        alike[_identify(record)].append(record)
    parts: list[list[Record]] = []
    for runs in alike.values():
        for part in parts:
            both = [*part, *runs]
            if not find_differences(both, declarations) and not find_unshared_rows(group_runs(both)[1]):
                part += runs
                break
        else:
            parts.append(list(runs))
    return parts


def _identify(record: Record) -> tuple:
    own = {k: repr(v) for k, v in record.config.items() if k.startswith(("dataset.", "metric.")) and k not in ASIDE}
    data = record.metrics["data"]
    return (*sorted(own.items()), str(data.get("fingerprint")), str(data.get("rows")), str(data.get("sample")))


def describe(part: Report) -> str:
    """A protocol in one line: the data, its rows, the split, how many runs."""
    facts = [part.protocol[key] for key in ("rows", "split") if part.protocol.get(key)]
    names = ("scale", "standardise", "binarise", "classes", "normal_classes", "labelled")
    facts += [f"{key} {part.protocol[key]}" for key in names if part.protocol.get(key)]
    runs = sum(len(group.records) for group in part.groups)
    return f"{part.protocol.get('data', 'data')} ({'; '.join(facts)}): {runs} run{'s' * (runs != 1)}"

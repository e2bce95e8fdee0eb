"""What the runs of a report suffer from, in as few lines as the end of one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aeexp.diagnoses import MOST, RULES, Diagnosis, Facts, choose_told, diagnose
from aeexp.errors import quote_words
from aeexp.reports.grouping import Group
from aeexp.reports.records import Record

GRAVITY = {rule.name: place for place, rule in enumerate(RULES)}


def describe_diagnoses(roots: Sequence[Path], groups: Sequence[Group]) -> list[str]:
    """A sentence for each illness: how many runs are told of it, and of the first of them its evidence and cure; three
    at most, the gravest first, and where there is more to read."""
    runs = [(group, record) for group in groups for record in group.records]
    told = [(group, record, each) for group, record in runs for each in diagnose_record(record)]
    found: dict[str, list[tuple[Group, Record, Diagnosis]]] = {}
    for entry in told:
        found.setdefault(entry[2].name, []).append(entry)
    names = sorted(found, key=lambda name: GRAVITY.get(name, -1))
    lines = [_describe(found[name], len(runs), len(groups)) for name in names[:MOST]]
    if told:
        left = len(names) - MOST
        more = f"{left} further diagnos{'i' if left == 1 else 'e'}s, and more" if left > 0 else "More"
        lines.append(f"{more} on each run: {quote_words('aeexp-doctor', *roots)}")
    return lines


def diagnose_record(record: Record) -> list[Diagnosis]:
    """What the run is told; nothing of numbers that were measured on other data than it was trained on."""
    if "best_step" not in record.metrics:
        return []
    return choose_told(diagnose(Facts(record.metrics, record.config)))


def _describe(found: Sequence[tuple[Group, Record, Diagnosis]], runs: int, groups: int) -> str:
    group, _, first = found[0]
    ill = {id(each): each.name for each, _, _ in found}
    count = len({record.folder for _, record, _ in found})
    others = len(ill) - 1
    more = f" and {others} more group{'s' if others > 1 else ''}" if others else ""
    where = "" if groups == 1 else f"{group.name}{more}"
    head = ", ".join(part for part in (where, "" if runs == 1 else f"{count} of {runs} runs") if part)
    text = f"{first.name}{f' ({head})' if head else ''}: {first.sentence}"
    return text + (f"; cure: {first.cure}" if first.cures else "") + ("" if first.cures else ".")

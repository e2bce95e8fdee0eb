"""Groups of runs against a baseline, seed by seed and fold by fold."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from aeexp.errors import UsageError
from aeexp.reports.declarations import LABEL_GIVEN, Declarations, is_given_label
from aeexp.reports.grouping import (
    NONE,
    Group,
    describe_baseline,
    format_setting,
    identify_repeat,
    list_baselines,
    parse_value,
)
from aeexp.reports.records import Record, split_override
from aeexp.reports.statistics import Test, holm, paired_test


class Paired(NamedTuple):
    """A group against the baseline by one criterion, over the seeds and folds that both have."""

    key: str
    group: Group
    against: str  # the baseline by its name or settings
    test: str | None  # its name; None: there is none, for the `reason`
    pairs: int
    difference: float | None  # mean of group minus baseline
    half: float | None  # of its 95 % interval
    p: float | None
    adjusted: float | None  # p by Holm over the comparisons of this criterion
    reason: str | None


def compare_with_baseline(
    groups: Sequence[Group], criteria: Sequence[str], baseline: str, declarations: Declarations
) -> list[Paired]:
    """Every group against the baseline, by every criterion. Raises UsageError for a baseline that is none."""
    rows = list_baselines(groups)
    if baseline in rows:
        name = describe_baseline(baseline, [record for group in groups for record in group.records])
        against = [(group, name, None) for group in groups]
    else:
        chosen = find_partners(groups, baseline, sorted(rows))
        against = [(group, describe_partner(group, partner), partner) for group, partner in chosen]
    pairs = []
    for key in criteria:
        tests = [
            (group, name, compare_group(group, partner, key, baseline, declarations))
            for group, name, partner in against
        ]
        tests = [(group, name, test) for group, name, test in tests if test is not None]
        adjusted = iter(holm([test.p for _, _, test in tests if test.p is not None]))
        for group, name, test in tests:
            numbers = (test.pairs, test.difference, test.half, test.p, None if test.p is None else next(adjusted))
            pairs.append(Paired(key, group, name, test.name, *numbers, test.reason))
    return pairs


def compare_group(
    group: Group, partner: Group | None, key: str, baseline: str, declarations: Declarations
) -> Test | None:
    """The test of one criterion; None where the two have no such number, or not of the same thing."""
    own = group.records + ([] if partner is None else partner.records)
    if declarations.incomparable(key, own) or (partner is None and key == "loss"):
        return None
    if partner is None and declarations.is_of_labels(key) and any(map(is_given_label, group.records)):
        return Test(None, len(group.records), reason=LABEL_GIVEN)
    if partner is None:
        test = compare_values([(r, r.value(key), r.value(key, "baseline", baseline)) for r in group.records])
    else:
        test = compare_groups(group, partner, key)
    return test if test.pairs else None


def find_partners(groups: Sequence[Group], baseline: str, rows: Sequence[str]) -> list[tuple[Group, Group]]:
    """Each group with the one that `baseline` selects; of several the one that is like it in all other columns."""
    settings = dict(split_override(part) for part in re.split(r"[ ,]+(?=[\w./@]+=)", baseline.strip()))
    chosen = [group for group in groups if _has_settings(group, settings)]
    columns = "; ".join(f"{key}={'|'.join(dict.fromkeys(g.columns[key] for g in groups))}" for key in groups[0].columns)
    way = f"give {', '.join(rows)}, or words of these columns: {columns}" if columns else f"give {', '.join(rows)}"
    if not settings or not chosen:
        raise UsageError(f"baseline={baseline}: no group has this; {way}")
    pairs, plain = [], index_groups(chosen, settings)
    for group in groups:
        near = chosen if NONE in group.columns.values() else plain[_identify(group, settings)] + plain[None]
        alike = [other for other in near if other is not group and _is_alike(group, other, settings)]
        single = chosen if len(chosen) == 1 and chosen[0] is not group else []
        if len(alike) == 1 or single:
            pairs += [(group, (alike or single)[0])] if group not in chosen else []
    if not pairs:
        raise UsageError(f"baseline={baseline} selects {len(chosen)} groups, none like another in all else; {way}")
    return pairs


def index_groups(groups: Sequence[Group], settings: Mapping[str, str]) -> defaultdict[tuple | None, list[Group]]:
    """By the values of all other columns, that each of thousands finds its partner at once; under None those that
    lack one, which may be like any."""
    places: defaultdict[tuple | None, list[Group]] = defaultdict(list)
    for group in groups:
        places[None if NONE in group.columns.values() else _identify(group, settings)].append(group)
    return places


def _identify(group: Group, settings: Mapping[str, str]) -> tuple:
    return tuple(parse_value(value) for key, value in group.columns.items() if key not in settings)


def _has_settings(group: Group, settings: dict[str, str]) -> bool:
    run = group.records[0]
    return all(parse_value(format_setting(run, key)) == parse_value(value) for key, value in settings.items())


def describe_partner(group: Group, partner: Group) -> str:
    """The partner by what it differs in."""
    own = group.columns
    other = {key: value for key, value in partner.columns.items() if parse_value(value) != parse_value(own[key])}
    same = [key for key in own if key not in other and own[key] != NONE]
    name = " ".join(f"{key}={value}" for key, value in other.items() if value != NONE) or partner.name
    return name + (f" of the same {' and '.join(same)}" if same else "")


def _is_alike(group: Group, other: Group, settings: dict[str, str]) -> bool:
    pairs = ((group.columns[key], other.columns[key]) for key in group.columns if key not in settings)
    return all(parse_value(a) == parse_value(b) or NONE in (a, b) for a, b in pairs)


def compare_groups(group: Group, other: Group, key: str) -> Test:
    """Over the seeds and folds of both."""
    others = {identify_repeat(record): record.value(key) for record in other.records}
    return compare_values([(run, run.value(key), others.get(identify_repeat(run))) for run in group.records])


def compare_values(rows: Sequence[tuple[Record, float | None, float | None]]) -> Test:
    """The test for (run, its number, that of its partner); folds and splits share training rows, seeds do not.

    Seeds of one split are averaged first: the correction is for as many values as there are splits.
    """
    known = [(record, a - b) for record, a, b in rows if a is not None and b is not None]
    splits: dict[tuple, list[float]] = defaultdict(list)
    for record, value in known:
        splits[identify_repeat(record)[1:]].append(value)
    if len(splits) < 2:
        return paired_test([value for _, value in known])
    ratio = average_test_share(record for record, _ in known)
    if ratio is None:
        return Test(None, len(splits), reason="metrics.json does not say how many rows")
    return paired_test([sum(values) / len(values) for values in splits.values()], ratio)


def average_test_share(records: Iterable[Record]) -> float | None:
    """Test rows over training rows, the mean over runs; None where one does not say."""
    rows = [record.metrics["data"].get("rows") or {} for record in records]
    if not all(row.get("test") and row.get("train") for row in rows):
        return None
    return sum(row["test"] / row["train"] for row in rows) / len(rows)

"""Finished runs side by side: what they measured by groups, and what may be said of it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aeexp.errors import UsageError
from aeexp.reports.declarations import Declarations, describe_undeclared
from aeexp.reports.diagnosed import describe_diagnoses
from aeexp.reports.grouping import Group, group_runs, list_common
from aeexp.reports.pairing import Paired, compare_with_baseline
from aeexp.reports.protocol import Difference, describe_protocol, find_differences, find_unshared_rows
from aeexp.reports.ranking import Best, describe_disagreement, rank_groups
from aeexp.reports.records import Failure, Record, read
from aeexp.reports.seeds import add_over_seeds


class Unmixed(UsageError):
    """Runs of unlike protocols, of which nobody said to mix them."""


class Report(NamedTuple):
    """What is shown on the console, in report.md, summary.csv and report.html."""

    roots: list[Path]
    groups: list[Group]
    columns: list[str]  # names of what differs
    common: list[str]  # overrides that all runs share
    keys: list[str]  # what was measured on the test split, in the order in which it was
    criteria: list[str]  # the `keys` that are compared and shown in tables
    best: list[Best]
    disagreement: list[str]  # sentences
    paired: list[Paired]
    failures: list[Failure]
    protocol: dict[str, str]  # what all runs were measured by, as name -> text
    notes: list[str]  # what a reader must know to read the numbers right, as sentences
    options: list[str]  # words of `aeexp-report` that make it again
    declarations: Declarations  # what the runs say of their numbers


def collect(
    roots: Sequence[Path | str], baseline: str | None = None, criteria: Sequence[str] = (), mix: bool = False
) -> Report:
    """Read, group and compare the runs at or below `roots`.

    `baseline`: words that select groups (`variant=undercomplete`), or a row of each run's own baselines (`pca`, `raw`);
    `auto` is pca where any run has it.
    `criteria`: keys to compare; none: a headline of each metric. Raises UsageError for runs of unlike protocols unless
    `mix`, and where nothing was found.
    """
    places = [Path(root) for root in roots]
    return compare_records(places, *read(places), baseline, criteria, mix)


def compare_records(
    places: list[Path], records: list[Record], failures: list[Failure], baseline: str | None, criteria: Sequence[str],
    mix: bool = False,
) -> Report:  # fmt: skip
    """As `collect`, of runs that were read."""
    declarations = Declarations(records)
    differences = find_differences(records, declarations)
    require_one_protocol(differences, mix)
    columns, groups = group_runs(records, also=[path for one in differences for path in one.paths])
    records, groups = add_over_seeds(records, groups)
    declarations = Declarations(records)
    elsewhere = find_unshared_rows(groups)
    require_one_protocol(elsewhere, mix)
    keys = list(dict.fromkeys(key for record in records for key in record.metrics["test"]))
    headlines = [key for key in keys if declarations.is_headline(key)]
    if records:
        require_measured(criteria, keys, headlines)
    chosen = list(criteria) or headlines
    options = [] if baseline == "auto" else ["--baseline", baseline or "none"]
    options += [*(["--metrics", ",".join(criteria)] if criteria else []), *(["--mix"] if mix else [])]
    best, notes = rank_groups(groups, chosen, declarations)
    if baseline == "auto":
        baseline = "pca" if any("pca" in record.metrics.get("baseline", {}) for record in records) else None
    pairs = compare_with_baseline(groups, chosen, baseline, declarations) if baseline and groups else []
    mixed = [
        f"Mixed on request, though they differ in their protocol: {one.text}." for one in (*differences, *elsewhere)
    ]
    notes = [*mixed, *describe_intervals(groups), *describe_repeats(records, groups), *notes]
    notes += describe_diagnoses(places, groups)
    notes += describe_undeclared(records)
    return Report(
        places, groups, columns, list_common(records), keys, chosen, best, describe_disagreement(best), pairs, failures,
        describe_protocol(records, declarations), notes, options, declarations,
    )  # fmt: skip


def require_measured(criteria: Sequence[str], keys: Sequence[str], headlines: Sequence[str]) -> None:
    """Raises UsageError for a criterion that no run measured, with what there is."""
    for key in criteria:
        if key in keys:
            continue
        near = difflib.get_close_matches(key, keys, n=1)
        way = f"did you mean {near[0]}?" if near else f"there are {', '.join(headlines or keys)}"
        other = key.startswith(("val/", "train/", "baseline/"))
        why = "numbers of the test split are compared, and summary.csv has others" if other else "no run measured it"
        raise UsageError(f"metrics={key}: {why}; {way}")


def require_one_protocol(differences: Sequence[Difference], mix: bool) -> None:
    """Raises Unmixed for runs that do not compare, of which nobody said to mix them."""
    if differences and not mix:
        more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
        way = "give folders of one protocol, or --mix to compare all the same"
        raise Unmixed(f"unlike protocols: {differences[0].text}{more}\ntheir numbers do not compare; {way}")


def describe_intervals(groups: Sequence[Group]) -> list[str]:
    """What the intervals are over."""
    if max((len(group.records) for group in groups), default=0) < 2:
        return ["One run a group: no interval, and no test can tell them apart."] if len(groups) > 1 else []
    records = [record for group in groups for record in group.records]
    folds = {record.config.get("dataset.split.fold") for record in records} - {None}
    splits = {record.config.get("dataset.split.seed") for record in records}
    kind = "Mean and half of Student's 95 % interval"
    if len(folds) > 1:
        return [f"{kind} over folds: their training rows overlap, so that it is too narrow; paired tests correct it."]
    if len(splits) > 1:
        return [f"{kind} over splits: their training rows overlap, so that it is too narrow; paired tests correct it."]
    return [f"{kind} over training seeds on one split of the data: of another split it says nothing."]


def describe_repeats(records: Sequence[Record], groups: Sequence[Group]) -> list[str]:
    """How many runs were left out since another one of the same configuration and seed is newer."""
    left = len(records) - sum(len(group.records) for group in groups)
    why = "repeat another one's configuration and seed: the newest of each counts, for they are no second sample"
    return [f"{left} of {len(records)} runs {why}."] if left else []

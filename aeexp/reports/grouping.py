"""Which runs are one: groups that differ in more than seed and fold, and the words that tell them apart."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, final

from aeexp.evaluation.baselines import COMPARABLE, describe_row
from aeexp.reports.records import SPLIT, Record
from aeexp.reports.statistics import Estimate, estimate

NONE = "-"  # of a column that a group has no value in

# These repeat a run and do not change it.
REPEATS = ("seed", *SPLIT)
MULTIPLE = ("noise", "regularizer")  # groups of which several options may be chosen
# Where a run computes, where its rows lie, what it measures and draws: none of it changes a result.
# Other rows under the same path are seen by their fingerprint.
ASIDE = ("device", "threads", "deterministic", "resume", "save_codes", "metric", "plot", "dataset.root", "dataset.path",
         "dataset.test", "dataset.database", "dataset.download", "dataset.residency", "dataset.workers")  # fmt: skip


@final
@dataclass(frozen=True, eq=False)
class Group:
    """Finished runs that differ in seed and fold alone, the newest of those that do not even differ in these."""

    columns: dict[str, str]  # what tells groups apart: override -> value as typed, "-" where a group has none
    records: list[Record]
    _estimates: dict[tuple[str, ...], Estimate | None] = field(default_factory=dict, init=False, repr=False)

    @property
    def name(self) -> str:
        """The columns' values as typed."""
        return " ".join(f"{key}={value}" for key, value in self.columns.items() if value != NONE) or "all runs"

    def estimate(self, key: str, *part: str) -> Estimate | None:
        """Of a number on the test split, or in another `part` of metrics.json; None where no run has it."""
        place = (key, *part)
        if place not in self._estimates:  # tables, tests and figures ask for the same
            self._estimates[place] = self._estimate(key, *part)
        return self._estimates[place]

    def _estimate(self, key: str, *part: str) -> Estimate | None:
        values = [record.value(key, *part) for record in self.records]
        found = estimate([value for value in values if value is not None and math.isfinite(value)])
        halves = [half for record in self.records if (half := record.interval(key, *part)) is not None]
        if found is None or len(halves) != found.runs:
            return found
        return found._replace(rows=sum(halves) / len(halves))


def list_baselines(groups: Iterable[Group]) -> list[str]:
    """Names of the baselines that any run was measured beside."""
    rows = (record.metrics.get("baseline", {}) for group in groups for record in group.records)
    return list(dict.fromkeys(name for row in rows for name in row))


def describe_baseline(row: str, records: Iterable[Record]) -> str:
    """What a baseline is called beside these runs: what they all call it, or what it has in common."""
    names = {record.baseline_name(row) for record in records if row in record.metrics.get("baseline", {})}
    if len(names) == 1 and (name := names.pop()) is not None:
        return name
    alike = all(name is None or "PCA, width " in name for name in names)
    return describe_row(row) if alike or row != "pca" else COMPARABLE


def group_runs(records: Sequence[Record], also: Collection[str] = ()) -> tuple[list[str], list[Group]]:
    """Names of the columns, and the groups in the order of their first runs.

    Runs are told apart by the whole configuration but REPEATS and ASIDE, of which the paths in `also` count too.
    """
    sets: dict[tuple, list[Record]] = defaultdict(list)
    for record in records:
        sets[identify(record, also)].append(record)
    members = list(sets.values())
    columns = choose_columns(members, also)
    return list(columns), [
        Group({name: values[i] for name, values in columns.items()}, keep_newest(runs))
        for i, runs in enumerate(members)
    ]


def identify(record: Record, also: Collection[str] = ()) -> tuple:
    """The settings that runs of a group share."""
    items = ((key, repr(value)) for key, value in record.config.items() if changes_result(key) or key in also)
    return tuple(sorted(items))


@lru_cache(4096)
def changes_result(key: str) -> bool:
    """Whether a path of the configuration, or an override, may change a result."""
    return key not in REPEATS and not any(key == name or key.startswith(f"{name}.") for name in ASIDE)


def keep_newest(runs: Sequence[Record]) -> list[Record]:
    """One run for each seed and fold: the same training twice is no second sample."""
    newest: dict[tuple, Record] = {}
    for record in runs:
        place = identify_repeat(record)
        if place not in newest or str(record.status.get("ended")) > str(newest[place].status.get("ended")):
            newest[place] = record
    return list(newest.values())


def identify_repeat(record: Record) -> tuple:
    """Seed, fold and seed of the split: what pairs a run with those of other groups."""
    return tuple(record.config.get(key) for key in REPEATS)


def choose_columns(members: Sequence[Sequence[Record]], also: Collection[str] = ()) -> dict[str, list[str]]:
    """Column -> a value for each group: of what was typed, what differs; else of the configuration what is needed."""
    first = [runs[0] for runs in members]
    typed = dict.fromkeys(key for record in first for key in record.overrides if changes_result(key) or key in also)
    columns = {key: [format_setting(record, key) for record in first] for key in typed}
    columns = {key: values for key, values in columns.items() if len(set(map(parse_value, values))) > 1}
    paths = dict.fromkeys(key for record in first for key in record.config if changes_result(key) or key in also)
    rest = {key: [format_setting(record, key) for record in first] for key in paths if key not in columns}
    rest = {key: values for key, values in rest.items() if len(set(values)) > 1}
    while rest and count_groups(columns) < len(first):
        split = {key: count_groups({**columns, key: values}) for key, values in rest.items()}
        most = max(split, key=lambda key: (split[key], not key.rpartition(".")[2].startswith("_")))
        if split[most] == count_groups(columns):
            break
        columns[most] = rest.pop(most)
    return columns


def count_groups(columns: Mapping[str, Sequence[str]]) -> int:
    """How many groups the columns tell apart; 1 without columns."""
    return len(set(zip(*(map(parse_value, values) for values in columns.values()), strict=True))) or 1


def format_setting(record: Record, key: str) -> str:
    """What was typed for `key`, else what the configuration says, "-" where it has no such key."""
    if key in record.overrides:
        return format_options(record.overrides[key]) if key in MULTIPLE else record.overrides[key]
    if record.config.get(key, {}) != {}:
        return format_value(record.config[key])
    if key in record.choices:
        return NONE if record.choices[key] == "None" else record.choices[key]
    options = [path.split(".")[1] for path in record.config if path.startswith(f"{key}.")]
    if key in MULTIPLE:  # which Hydra's choices do not name
        return format_options(",".join(dict.fromkeys(options)) or "none")
    return NONE


def format_options(options: str) -> str:
    """Options as one types them: none, [masking,gaussian]."""
    inner = options.strip("[] ")
    return f"[{inner}]" if "," in inner else inner


def format_value(value: Any) -> str:
    """As a user would type it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(format_value, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def parse_value(text: str) -> float | str:
    """What is meant: 1e-3 is 0.001."""
    try:
        return float(text)
    except ValueError:
        return text.replace(" ", "")


def list_common(records: Iterable[Record]) -> list[str]:
    """Overrides that all runs share, as typed."""
    rows = [[f"{key}={value}" for key, value in record.overrides.items() if changes_result(key)] for record in records]
    return [override for override in rows[0] if all(override in row for row in rows)] if rows else []

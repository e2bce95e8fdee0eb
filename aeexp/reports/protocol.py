"""Whether runs were measured alike: on the same rows, in the same units, by the same metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from aeexp.reports.declarations import Declarations
from aeexp.reports.grouping import ASIDE, Group, format_value
from aeexp.reports.records import SPLIT, Record

# What a sweep may well change: other training rows or labels for the same test rows.
OF_TRAINING = ("dataset.limit", "dataset.labelled", "dataset.unlabelled", "dataset.split.val")


class Difference(NamedTuple):
    """Runs that do not compare: what differs, and the paths of the configuration that say so."""

    text: str
    paths: tuple[str, ...]


def find_differences(records: Sequence[Record], declarations: Declarations) -> list[Difference]:
    """What keeps the runs' numbers from being compared: other data, other test rows, other options of metrics."""
    return [*_compare_data(records), *_compare_test_rows(records), *_compare_measuring(records, declarations)]


def _compare_data(records: Sequence[Record]) -> list[Difference]:
    """Another data set, split or preprocessing. Equal fingerprints are equal rows, whatever the configuration says."""
    prints: dict[tuple, dict[tuple, set[str]]] = defaultdict(lambda: defaultdict(set))
    for record in records:
        own = {k: v for k, v in record.config.items() if k.startswith("dataset.") and k not in ASIDE}
        place = tuple(repr(own.pop(key, None)) for key in (*SPLIT, *OF_TRAINING))
        prints[tuple(sorted((k, repr(v)) for k, v in own.items()))][place].add(
            str(record.metrics["data"].get("fingerprint"))
        )
    differences = []
    for places in prints.values():
        if several := [fingerprints for fingerprints in places.values() if len(fingerprints) > 1]:
            text = f"the rows of the data changed between runs (fingerprints {', '.join(sorted(several[0]))})"
            differences.append(Difference(text, ()))
    unlike: dict[str, None] = {}  # their keys, each once: every run is asked for its values
    for settings, places in list(prints.items())[1:]:
        first, known = next(iter(prints.items()))
        shared = places.keys() & known.keys()
        if shared and all(places[place] == known[place] for place in shared):
            continue
        names = dict.fromkeys(key for key, _ in sorted(set(first) ^ set(settings)))
        # the name of the data set says more than all that goes with it
        unlike |= dict.fromkeys(key for key in names if key == "dataset.name" or "dataset.name" not in names)
    return list(dict.fromkeys([*differences, *(_describe_values(records, key) for key in unlike)]))


def _describe_values(records: Sequence[Record], key: str) -> Difference:
    values: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        values[format_value(record.config[key]) if key in record.config else "absent"].append(record)
    text = ", ".join(f"{key}={value} ({_describe_runs(runs)})" for value, runs in list(values.items())[:3])
    return Difference(text, (key, *(k for k in ("dataset._target_",) if key == "dataset.name")))


def _describe_runs(runs: Sequence[Record]) -> str:
    return str(runs[0].folder) if len(runs) == 1 else f"{len(runs)} runs, as {runs[0].folder}"


def _compare_test_rows(records: Sequence[Record]) -> list[Difference]:
    """A limit that cuts the test split too; codes and probes of a sample of it."""
    places: dict[tuple, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        data = record.metrics["data"]
        rows = (data.get("sample") or data.get("rows") or {}).get("test") or (data.get("rows") or {}).get("test")
        places[tuple(record.config.get(key) for key in SPLIT)][str(rows)].append(record)
    for counts in places.values():
        if len(counts) > 1:
            text = ", ".join(f"{count} ({_describe_runs(runs)})" for count, runs in list(counts.items())[:3])
            return [Difference(f"test rows: {text}", ("dataset.limit",))]
    return []


def _compare_measuring(records: Sequence[Record], declarations: Declarations) -> list[Difference]:
    """Options of a metric that several runs have; K of importance sampling."""
    differences, settled = [], list_settled_options(records)
    for path in dict.fromkeys(path for r in records for path in r.config if path.startswith("metric.")):
        having = [record for record in records if path in record.config]
        if path not in settled and len({repr(record.config[path]) for record in having}) > 1:
            differences.append(_describe_values(having, path))
    for key in dict.fromkeys(key for r in records for key in r.metrics["test"] if declarations.is_count(key)):
        counts: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            if (count := record.value(key)) is not None:
                counts[f"{count:g}"].append(record)
        if len(counts) > 1:
            text = ", ".join(f"{key}={count} ({_describe_runs(runs)})" for count, runs in counts.items())
            differences.append(Difference(text, ("metric.generation.samples",)))
    return differences


def list_settled_options(records: Iterable[Record]) -> set[str]:
    """Paths of options of metrics that may differ between runs: their values stand in the keys, or change no number."""
    paths = set()
    for record in records:
        for metric, options in (record.metrics.get("metrics") or {}).items():
            paths |= {f"metric.{metric}.{name}" for kind in ("in_keys", "harmless") for name in options.get(kind) or ()}
    return paths


def find_unshared_rows(groups: Sequence[Group]) -> list[Difference]:
    """Groups without a fold and seed of the split in common were tested on different rows."""
    sets = [{_describe_rows(record): record for record in group.records} for group in groups]
    for places in sets[1:]:
        if places.keys().isdisjoint(sets[0]):
            firsts = (next(iter(runs.items())) for runs in (sets[0], places))
            text = ", ".join(f"{place} ({record.folder})" for place, record in firsts)
            return [Difference(text, ())]
    return []


def _describe_rows(record: Record) -> str:
    """Which rows are tested, as text; the official test set is one, whatever seed draws the validation rows."""
    if str(record.config.get("dataset.split._target_")).endswith(".Official"):
        return "official"
    return " ".join(f"{key}={record.config[key]}" for key in SPLIT if key in record.config)


def describe_protocol(records: Sequence[Record], declarations: Declarations) -> dict[str, str]:
    """What all runs were measured by, as name -> text; what differs is left out."""
    facts = _collect_facts(records, declarations)
    protocol = {key: next(iter(values)) for key, values in facts.items() if len(values) == 1 and "" not in values}
    seeds = sorted({str(record.config.get("seed")) for record in records}, key=lambda s: (len(s), s))
    protocol["seeds"] = ", ".join(seeds)
    folds = {str(fold) for record in records if (fold := record.config.get("dataset.split.fold")) is not None}
    return protocol | ({"folds": ", ".join(sorted(folds, key=lambda s: (len(s), s)))} if folds else {})


def _collect_facts(records: Sequence[Record], declarations: Declarations) -> dict[str, set[str]]:
    facts: dict[str, set[str]] = defaultdict(set)
    for record in records:
        data, config = record.metrics["data"], record.config
        facts["data"].add(str(data.get("name")))
        facts["rows"].add(", ".join(f"{count} {name}" for name, count in (data.get("rows") or {}).items()))
        facts["fingerprint"].add(str(data.get("fingerprint")))
        split = str(config.get("dataset.split._target_", "")).rpartition(".")[2]
        options = (f"{name}={format_value(config[key])}" for name in ("fractions", "folds", "val", "seed")
                   if (key := f"dataset.split.{name}") in config)  # fmt: skip
        facts["split"].add(f"{split} {' '.join(options)}".strip())
        for name in ("binarise", "scale", "standardise", "classes", "normal_classes", "labelled"):
            value = config.get(f"dataset.{name}")
            facts[name].add("" if value in (None, False, "none") else format_value(value))
        for key, value in record.metrics["test"].items():
            if declarations.is_count(key):
                facts["K"].add(f"{value:g}")
    return facts

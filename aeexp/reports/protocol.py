"""Whether runs were measured alike: on the same rows, in the same units, by the same metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from aeexp.reports.declarations import Declarations
from aeexp.reports.grouping import ASIDE, Group, text
from aeexp.reports.records import SPLIT, Record

# What a sweep may well change: other training rows or labels for the same test rows.
OF_TRAINING = ("dataset.limit", "dataset.labelled", "dataset.unlabelled", "dataset.split.val")


class Unlike(NamedTuple):
    """Runs that do not compare: what differs in words, and the paths of the configuration that say so."""

    words: str
    paths: tuple[str, ...]


def unlike(records: Sequence[Record], declared: Declarations) -> list[Unlike]:
    return [*_data(records), *_tested(records), *_measured(records, declared)]


def _data(records: Sequence[Record]) -> list[Unlike]:
    """Another data set, split or preprocessing. Equal fingerprints are equal rows, whatever the configuration says."""
    prints: dict[tuple, dict[tuple, set[str]]] = defaultdict(lambda: defaultdict(set))
    for record in records:
        own = {k: v for k, v in record.config.items() if k.startswith("dataset.") and k not in ASIDE}
        place = tuple(repr(own.pop(key, None)) for key in (*SPLIT, *OF_TRAINING))
        prints[tuple(sorted((k, repr(v)) for k, v in own.items()))][place].add(
            str(record.metrics["data"].get("fingerprint"))
        )
    found = []
    for places in prints.values():
        if several := [known for known in places.values() if len(known) > 1]:
            words = f"the rows of the data changed between runs (fingerprints {', '.join(sorted(several[0]))})"
            found.append(Unlike(words, ()))
    (first, known), *others = prints.items() if prints else [((), {})]
    for settings, places in others:
        shared = places.keys() & known.keys()
        if shared and all(places[place] == known[place] for place in shared):
            continue
        names = [key for key, _ in sorted(set(first) ^ set(settings))]
        found += [_differs(records, key) for key in _plainest(dict.fromkeys(names))]
    return list(dict.fromkeys(found))


def _plainest(names: Sequence[str] | dict[str, None]) -> list[str]:
    """The name of the data set says more than all that goes with it."""
    return ["dataset.name"] if "dataset.name" in names else list(names)


def _differs(records: Sequence[Record], key: str) -> Unlike:
    values: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        values[text(record.config[key]) if key in record.config else "absent"].append(record)
    words = ", ".join(f"{key}={value} ({_where(runs)})" for value, runs in list(values.items())[:3])
    return Unlike(words, (key, *(k for k in ("dataset._target_",) if key == "dataset.name")))


def _where(runs: Sequence[Record]) -> str:
    return str(runs[0].folder) if len(runs) == 1 else f"{len(runs)} runs, as {runs[0].folder}"


def _tested(records: Sequence[Record]) -> list[Unlike]:
    """A limit that cuts the test split too; codes and probes of a sample of it."""
    found: dict[tuple, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        data = record.metrics["data"]
        rows = (data.get("sample") or data.get("rows") or {}).get("test") or (data.get("rows") or {}).get("test")
        found[tuple(record.config.get(key) for key in SPLIT)][str(rows)].append(record)
    for counts in found.values():
        if len(counts) > 1:
            words = ", ".join(f"{count} ({_where(runs)})" for count, runs in list(counts.items())[:3])
            return [Unlike(f"test rows: {words}", ("dataset.limit",))]
    return []


def _measured(records: Sequence[Record], declared: Declarations) -> list[Unlike]:
    """Options of a metric that several runs have; K of importance sampling."""
    found, settled = [], settled_options(records)
    for path in dict.fromkeys(path for r in records for path in r.config if path.startswith("metric.")):
        having = [record for record in records if path in record.config]
        if path not in settled and len({repr(record.config[path]) for record in having}) > 1:
            found.append(_differs(having, path))
    for key in dict.fromkeys(key for r in records for key in r.metrics["test"] if declared.is_count(key)):
        counts: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            if record.value(key) is not None:
                counts[f"{record.value(key):g}"].append(record)
        if len(counts) > 1:
            words = ", ".join(f"{key}={count} ({_where(runs)})" for count, runs in counts.items())
            found.append(Unlike(words, ("metric.generation.samples",)))
    return found


def settled_options(records: Iterable[Record]) -> set[str]:
    """Paths of options of metrics that may differ between runs: their values stand in the keys, or change no number."""
    paths = set()
    for record in records:
        for metric, options in (record.metrics.get("metrics") or {}).items():
            paths |= {f"metric.{metric}.{name}" for kind in ("in_keys", "harmless") for name in options.get(kind) or ()}
    return paths


def unshared(groups: Sequence[Group]) -> list[Unlike]:
    """Groups without a fold and seed of the split in common were tested on different rows."""
    sets = [{_place(record): record for record in group.records} for group in groups]
    for places in sets[1:]:
        if places.keys().isdisjoint(sets[0]):
            firsts = (next(iter(runs.items())) for runs in (sets[0], places))
            words = ", ".join(f"{place} ({record.folder})" for place, record in firsts)
            return [Unlike(words, ())]
    return []


def _place(record: Record) -> str:
    """Which rows are tested, as words; the official test set is one, whatever seed draws the validation rows."""
    if str(record.config.get("dataset.split._target_")).endswith(".Official"):
        return "official"
    return " ".join(f"{key}={record.config[key]}" for key in SPLIT if key in record.config)


def described(records: Sequence[Record], declared: Declarations) -> dict[str, str]:
    """What all runs were measured by, as name -> words; what differs is left out."""
    found = {}
    for key, words in _facts(records, declared).items():
        if len(words) == 1 and (word := words.pop()):
            found[key] = word
    seeds = sorted({str(record.config.get("seed")) for record in records}, key=lambda s: (len(s), s))
    found["seeds"] = ", ".join(seeds)
    folds = sorted({record.config.get("dataset.split.fold") for record in records} - {None})
    return found | ({"folds": ", ".join(map(str, folds))} if folds else {})


def _facts(records: Sequence[Record], declared: Declarations) -> dict[str, set[str]]:
    facts: dict[str, set[str]] = defaultdict(set)
    for record in records:
        data, config = record.metrics["data"], record.config
        facts["data"].add(str(data.get("name")))
        facts["rows"].add(", ".join(f"{count} {name}" for name, count in (data.get("rows") or {}).items()))
        facts["fingerprint"].add(str(data.get("fingerprint")))
        split = str(config.get("dataset.split._target_", "")).rpartition(".")[2]
        options = (f"{name}={text(config[key])}" for name in ("fractions", "folds", "val", "seed")
                   if (key := f"dataset.split.{name}") in config)  # fmt: skip
        facts["split"].add(f"{split} {' '.join(options)}".strip())
        for name in ("binarise", "scale", "standardise", "classes", "normal_classes", "labelled"):
            value = config.get(f"dataset.{name}")
            facts[name].add("" if value in (None, False, "none") else text(value))
        for key, value in record.metrics["test"].items():
            if declared.is_count(key):
                facts["K"].add(f"{value:g}")
    return facts

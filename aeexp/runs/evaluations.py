"""Numbers that `aeexp-evaluate` added to metrics.json: its list `evaluations`, beside the run's own val and test.

An entry is one metric with one set of options: {"metric": "probe", "options": {...}, "differs": "draws=9",
"when", "seconds", "protocol": {...}, "val": {...}, "test": {...}, "baseline": {"pca": {...}, ...}}. `differs` is ""
where the numbers are those that the run itself would have told under the same names, else what is other than in the
metric's YAML: the same words in every run, and so a name for a column.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aeexp.runs.folder import RunFolder
from aeexp.runs.locks import hold


def add_evaluation(folder: RunFolder, entry: Mapping[str, Any]) -> None:
    """Into metrics.json, in the place of an equal evaluation; the rest of the file stays as it is."""
    with hold(folder.path, wait=True):  # two commands at once would lose one's numbers
        metrics = folder.read_metrics()
        known = metrics.get("evaluations", [])
        places = [i for i, old in enumerate(known) if _is_equal(old, entry)] or [len(known)]
        known = [old for i, old in enumerate(known) if i not in places[1:]]
        known[places[0] : places[0] + 1] = [dict(entry)]
        folder.write_metrics({**metrics, "evaluations": known})


def _is_equal(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Of equal options; or of equal names for other numbers, where a default changed between two versions."""
    if old["metric"] != new["metric"] or old["options"] == new["options"]:
        return old["metric"] == new["metric"]
    in_keys = new["metrics"][new["metric"]]["in_keys"]
    rest = [{key: value for key, value in entry["options"].items() if key not in in_keys} for entry in (old, new)]
    return old.get("differs", "?") == new.get("differs") and rest[0] != rest[1]


def merge_evaluations(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The content of metrics.json with added numbers among the run's own, in val, test and each row of baseline.

    Under their own names, as probe/linear, where `differs` is "" (a number of the run itself stays then); else as
    ``probe/linear_n10 [draws=9]``.
    """
    merged = {**copy.deepcopy(dict(metrics)), "evaluations": []}
    for entry in metrics.get("evaluations", []):
        merged["warnings"] = list(dict.fromkeys([*merged.get("warnings", []), *entry.get("warnings", [])]))
        # what rows are called, what the keys without options are, and which options may differ
        for part in ("baseline_names", "numbers", "metrics"):
            if part in entry:
                merged[part] = {**entry[part], **merged.get(part, {})}
        for path in (("val",), ("test",), *(("baseline", name) for name in entry["baseline"])):
            source, place = entry, merged
            for name in path:
                source, place = source[name], place.setdefault(name, {})
            known, own = entry.get("intervals") or {}, merged.setdefault("intervals", {})
            for name in path:
                known, own = known.get(name) or {}, own.setdefault(name, {})
            for key, value in source.items():
                named = f"{key} [{entry['differs']}]" if entry["differs"] else key
                if place.setdefault(named, value) is value and key in known:
                    own[named] = known[key]
    return merged


def describe_difference(
    in_keys: Sequence[str], options: Mapping[str, Any], default: Mapping[str, Any], own: Mapping[str, Any] | None
) -> str:
    """What an entry is called by: its options against those of the YAML, "" where they are the run's `own`.

    Options `in_keys` do not count: with others there are other keys, and equal keys are equal numbers. `own` is None
    where the run itself did not measure it.
    """
    options, usual = ({key: value for key, value in node.items() if key not in in_keys}
                      for node in (options, default if own is None else own))  # fmt: skip
    if options == usual:
        return ""
    other = {key: value for key, value in options.items() if key not in default or default[key] != value}
    return " ".join(f"{key}={_format(value)}" for key, value in other.items()) or "defaults"


def _format(value: Any) -> str:
    """As on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(_format, value))}]"
    return value if isinstance(value, str) else json.dumps(value)

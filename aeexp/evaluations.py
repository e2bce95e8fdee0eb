"""Numbers that `aeexp-evaluate` added to metrics.json: its list `evaluations`, beside the run's own val and test.

An entry is one metric with one set of options: {"metric": "probe", "options": {...}, "differs": "budgets=[10,100]",
"when", "seconds", "protocol": {...}, "val": {...}, "test": {...}, "baseline": {"pca": {...}, ...}}. `differs` is ""
where the numbers are those that the run itself would have told under the same names, else what is other than in the
metric's YAML: the same words in every run, and so a name for a column.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aeexp import files


def put(path: Path, entry: Mapping[str, Any]) -> None:
    """Into the metrics.json at `path`, in the place of an equal evaluation; the rest of the file stays as it is."""
    with files.alone(path.parent):  # two commands at once would lose one's numbers
        metrics = json.loads(path.read_text())
        known = metrics.get("evaluations", [])
        places = [i for i, old in enumerate(known) if _same(old, entry)] or [len(known)]
        known = [old for i, old in enumerate(known) if i not in places[1:]]
        known[places[0] : places[0] + 1] = [dict(entry)]
        files.write_json(path, {**metrics, "evaluations": known})


def _same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """`differs` names the columns: where a default changed between two versions, the newest evaluation has them."""
    named = old.get("differs", "?") == new.get("differs")
    return old["metric"] == new["metric"] and (named or old["options"] == new["options"])


def merged(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The content of metrics.json with added numbers among the run's own, in val, test and each row of baseline.

    Under their own names, as probe/linear, where `differs` is "" (a number of the run itself stays then); else as
    ``probe/linear [budgets=[10,100]]``.
    """
    found = {**copy.deepcopy(dict(metrics)), "evaluations": []}
    for entry in metrics.get("evaluations", []):
        for path in (("val",), ("test",), *(("baseline", name) for name in entry["baseline"])):
            source, place = entry, found
            for name in path:
                source, place = source[name], place.setdefault(name, {})
            for key, value in source.items():
                place.setdefault(f"{key} [{entry['differs']}]" if entry["differs"] else key, value)
    return found


def differs(options: Mapping[str, Any], default: Mapping[str, Any], own: Mapping[str, Any] | None) -> str:
    """What an entry is called by: its options against those of the YAML, "" where they are the run's `own`.

    None: the run itself did not measure it.
    """
    if options == (default if own is None else own):
        return ""
    other = {key: value for key, value in options.items() if key not in default or default[key] != value}
    return " ".join(f"{key}={_typed(value)}" for key, value in other.items()) or "defaults"


def _typed(value: Any) -> str:
    """As on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(_typed, value))}]"
    return value if isinstance(value, str) else json.dumps(value)

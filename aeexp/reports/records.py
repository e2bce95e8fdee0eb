"""Finished runs read back: what each was asked for, what it measured, what became of it. Without torch."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aeexp import files
from aeexp.errors import UsageError
from aeexp.runs.evaluations import merge_evaluations
from aeexp.runs.flat import flatten
from aeexp.runs.folder import MEASURED, UNREADABLE, RunFolder, find_runs

LARGEST = 1e150  # its square is a number
SPLIT = ("dataset.split.fold", "dataset.split.seed")  # which rows are tested


class Record(NamedTuple):
    """A finished run. `config` is as composed: what interpolates is the text `${...}`, equal where its source is."""

    folder: Path
    overrides: dict[str, str]  # key -> text, as the user typed it
    config: dict[str, Any]  # dotted path -> value
    choices: dict[str, str]  # group -> option
    metrics: dict[str, Any]  # metrics.json
    status: dict[str, Any]  # status.json
    typed: tuple[str, ...] = ()  # the overrides, word by word

    def value(self, key: str, *part: str) -> float | None:
        """A number on the test split, or in another `part` of metrics.json, such as "baseline", "pca"."""
        node: Any = self.metrics
        for name in part or ("test",):
            node = node.get(name) or {}
        number = node.get(key)
        return None if number is None else float(number)

    def baseline_name(self, row: str) -> str | None:
        """What the run calls a row of `baseline`; None where it does not say."""
        names = self.metrics.get("baseline_names")
        name = names.get(row) if isinstance(names, dict) else None
        return name if isinstance(name, str) else None

    def interval(self, key: str, *part: str) -> float | None:
        """Half of a number's 95 % interval over the rows of its split; None where it has none."""
        node: Any = self.metrics.get("intervals") or {}
        for name in part or ("test",):
            node = node.get(name) or {}
        ends = node.get(key)
        return None if ends is None else (ends[1] - ends[0]) / 2


class Failure(NamedTuple):
    """A run that has no numbers: failed, interrupted, running, or with files that cannot be read."""

    folder: Path
    status: str
    message: str  # its last line


def read(roots: Iterable[Path]) -> tuple[list[Record], list[Failure]]:
    """Every run at or below `roots`, each once, in the order of the jobs. Raises UsageError where there is none."""
    records, failures = [], []
    for folder in find_folders(roots):
        result = read_run(folder)
        (records if isinstance(result, Record) else failures).append(result)
    return records, failures


def find_folders(roots: Iterable[Path]) -> list[RunFolder]:
    """Run folders at or below `roots`, each once. Raises UsageError for a root without any."""
    folders: dict[Path, RunFolder] = {}
    for root in roots:
        if not root.is_dir():
            raise UsageError(f"{root} is no folder: give run folders, or folders above them")
        below = find_runs(root)
        if not below:
            raise UsageError(f"{root} holds no run (no status.json in it or below): give folders that aeexp wrote")
        for folder in below:
            measured = (RunFolder(path.parent) for path in sorted(folder.path.glob(f"{MEASURED}/*/status.json")))
            for each in (folder, *measured):  # and what it was measured on beside its own data
                folders.setdefault(each.path.resolve(), each)
    return list(folders.values())


def read_run(folder: RunFolder) -> Record | Failure:
    """What lies in a run folder, or why it cannot be compared; never an exception for what is in it."""
    try:
        status = folder.read_status()
    except (OSError, ValueError) as error:
        return Failure(folder.path, UNREADABLE, _describe_error("status.json", error))
    if status.get("status") != "finished":
        return Failure(folder.path, str(status.get("status")), _find_last_line(folder, status))
    try:
        metrics = folder.read_metrics()
        _check(metrics)
        merged = _share_parts(_merge_evaluations(metrics))
        composed, words, choices = folder.read_asked(status)
        config = _settle_split({sys.intern(key): value for key, value in flatten(composed)})
        if config.get("init.from") is None:  # as in runs of before there was such a key
            config = {key: value for key, value in config.items() if not key.startswith("init.")}
        _require_plain_repeats(config)
        config |= _list_added_options(metrics, config)
        if isinstance(extends := metrics.get("extends"), dict):  # another schedule than that of a run in one go
            config["extends.step"] = str(extends.get("step"))
        # of an interpolation that a sweep passes on to its jobs Hydra writes `$\{seed\}`
        typed = [re.sub(r"\\([{}])", r"\1", word) for word in words]
        overrides = dict(map(split_override, typed))
        return Record(folder.path, overrides, config, choices, merged, status, tuple(typed))
    except (OSError, ValueError, TypeError) as error:
        name = Path(error.filename or "").name if isinstance(error, OSError) else ""
        return Failure(folder.path, UNREADABLE, _describe_error(name, error))


def _check(metrics: Mapping[str, Any]) -> None:
    """A file that someone wrote into may hold anything: what a report reads is a table, and of numbers."""
    for part in ("test", "data"):
        if not isinstance(metrics.get(part), dict):
            raise ValueError(f"metrics.json has no `{part}`")
    tables = {part: metrics.get(part) or {} for part in ("test", "val", "train")}
    _require_tables({"baseline": metrics.get("baseline") or {}, **tables})
    tables |= {f"baseline {name}": row for name, row in (metrics.get("baseline") or {}).items()}
    tables |= {"data labelled": metrics["data"].get("labelled") or {}}
    _require_tables({**tables, **{name: metrics["data"].get(name) or {} for name in ("rows", "sample")}})
    for part, table in tables.items():
        for key, value in table.items():
            if value is not None and not isinstance(value, int | float):
                raise ValueError(f"metrics.json: {part} {key} is {value!r}, no number")
            if value is not None and abs(value) > LARGEST:
                raise ValueError(f"metrics.json: {part} {key} is {value:.3g}, too large for a mean")
    _check_intervals(metrics.get("intervals") or {})
    declarations = {part: metrics.get(part) or {} for part in ("numbers", "metrics")}
    _require_tables(declarations)
    for part, table in declarations.items():
        _require_tables({f"{part} {name}": values for name, values in table.items()})
        for name, values in table.items():
            if not all(isinstance(values.get(key) or [], list) for key in ("alike", "in_keys", "harmless")):
                raise ValueError(f"metrics.json: {part} {name} holds no list where one is meant")


def _require_plain_repeats(config: Mapping[str, Any]) -> None:
    """Seed and fold pair runs: a table or a list is neither."""
    for key in ("seed", *SPLIT):
        if not isinstance(config.get(key), str | int | float | None):
            raise ValueError(f"config.yaml: {key}={config[key]} is no number")


def _check_intervals(intervals: Any) -> None:
    _require_tables({"intervals": intervals})
    tables = {part: table for part, table in intervals.items() if part != "baseline"}
    _require_tables({"intervals baseline": intervals.get("baseline") or {}})
    tables |= {f"baseline {name}": row for name, row in (intervals.get("baseline") or {}).items()}
    _require_tables({f"intervals {part}": table for part, table in tables.items()})
    for part, table in tables.items():
        for key, ends in table.items():
            if not (isinstance(ends, list) and len(ends) == 2 and all(isinstance(end, int | float) for end in ends)):
                raise ValueError(f"metrics.json: intervals {part} {key} is {ends!r}, no pair of numbers")


def _require_tables(parts: Mapping[str, Any]) -> None:
    for name, part in parts.items():
        if not isinstance(part, dict):
            raise ValueError(f"metrics.json: {name} is no table of names and values")


def _settle_split(config: dict[str, Any]) -> dict[str, Any]:
    """With the fold and seed of the split as numbers."""
    for key in SPLIT:
        source = re.fullmatch(r"\$\{([\w.]+)\}", str(config.get(key)))
        config |= {key: config[source[1]]} if source and source[1] in config else {}
    return config


def _list_added_options(metrics: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Options of metrics that aeexp-evaluate added, under the paths that the run's own would have."""
    added = {}
    for entry in metrics.get("evaluations", []):
        if isinstance(entry, dict) and entry.get("differs") == "" and isinstance(entry.get("options"), dict):
            options = flatten({f"metric.{entry.get('metric')}": entry["options"]})
            added |= {key: value for key, value in options if key not in config and key not in added}
    return added


def _merge_evaluations(metrics: dict[str, Any]) -> dict[str, Any]:
    if "evaluations" not in metrics:
        return metrics
    try:
        merged = merge_evaluations(metrics)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("metrics.json: evaluations are not as aeexp-evaluate writes them") from error
    _check(merged)
    return merged


def _share_parts(metrics: dict[str, Any]) -> dict[str, Any]:
    """The same, with what other runs have as well kept once: of thousands of runs of a sweep most of metrics.json says
    what the numbers mean. Who reads records changes none."""
    return {key: files.share(part) if isinstance(part, dict) else part for key, part in metrics.items()}


def _find_last_line(folder: RunFolder, status: Mapping[str, Any]) -> str:
    if message := str(status.get("message") or "").strip():
        return message.splitlines()[0]
    try:
        lines = [line for line in folder.read_log_end().splitlines() if line.strip()]
    except (OSError, ValueError):
        lines = []
    return re.sub(r"^(\[[^]]*\])+ ", "", lines[-1]).strip() if lines else "it left no word"


def _describe_error(name: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{name} is missing"
    message = f"{error}\n".splitlines()[0]
    return message if isinstance(error, ValueError) else f"{name or 'a file'} cannot be read: {message}"


def split_override(override: str) -> tuple[str, str]:
    """`+key=value` -> key, value."""
    key, _, value = override.lstrip("+").partition("=")
    return key, value

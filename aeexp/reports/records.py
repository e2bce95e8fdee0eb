"""Run folders as they lie on disk: what each was asked for, what it measured, what became of it. Without torch."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from aeexp.errors import UsageError
from aeexp.runs import evaluations

SPLIT = ("dataset.split.fold", "dataset.split.seed")  # which rows are tested
INSIDE = {"checkpoints", "tensorboard", "figures", ".hydra"}  # of a run folder; no other run lies there
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as fast


class Record(NamedTuple):
    """A finished run. `config` is as composed: what interpolates is the text `${...}`, equal where its source is."""

    folder: Path
    overrides: dict[str, str]  # key -> text, as the user typed it
    config: dict[str, Any]  # dotted path -> value
    choices: dict[str, str]  # group -> option
    metrics: dict[str, Any]  # metrics.json
    status: dict[str, Any]  # status.json

    def value(self, key: str, *part: str) -> float | None:
        """A number on the test split, or in another `part` of metrics.json, such as "baseline", "pca"."""
        node: Any = self.metrics
        for name in part or ("test",):
            node = node.get(name) or {}
        found = node.get(key)
        return None if found is None else float(found)


class Failure(NamedTuple):
    """A run that has no numbers: failed, interrupted, running, or with files that cannot be read."""

    folder: Path
    status: str
    message: str  # its last line


def read(roots: Iterable[Path]) -> tuple[list[Record], list[Failure]]:
    """Every run at or below `roots`, each once, in the order of the jobs. Raises UsageError where there is none."""
    records, failures = [], []
    for folder in folders(roots):
        found = run(folder)
        (records if isinstance(found, Record) else failures).append(found)
    return records, failures


def folders(roots: Iterable[Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for root in roots:
        if not root.is_dir():
            raise UsageError(f"{root} is no folder: give run folders, or folders above them")
        below = sorted(_below(root), key=_order)
        if not below:
            raise UsageError(f"{root} holds no run (no status.json in it or below): give folders that aeexp wrote")
        for folder in below:
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def _below(root: Path) -> Iterator[Path]:
    for name, inside, files in os.walk(root):
        if "status.json" in files or (".hydra" in inside and "multirun.yaml" not in files):
            yield Path(name)
        inside[:] = [folder for folder in inside if folder not in INSIDE]


def _order(folder: Path) -> list[tuple[int, int, str]]:
    """2 before 10, numbers before words, on each level."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in folder.parts]


def run(folder: Path) -> Record | Failure:
    """What lies in a run folder, or why it cannot be compared; never an exception for what is in it."""
    try:
        status = _object(folder / "status.json")
    except (OSError, ValueError) as error:
        return Failure(folder, "failed", _why("status.json", error))
    if status.get("status") != "finished":
        return Failure(folder, str(status.get("status")), _last_line(folder, status))
    try:
        metrics = _object(folder / "metrics.json")
        _check(metrics)
        told = _merged(metrics)
        config = _settled(dict(flat(_object(folder / ".hydra" / "config.yaml"))), metrics)
        words = _yaml(folder / ".hydra" / "overrides.yaml") or []
        given = dict(pair(str(word)) for word in words)
        return Record(folder, given, config, _choices(folder), told, status)
    except (OSError, ValueError, yaml.YAMLError, TypeError) as error:
        return Failure(folder, "unreadable", _why(Path(getattr(error, "filename", None) or "").name, error))


def _check(metrics: Mapping[str, Any]) -> None:
    """A file that someone wrote into may hold anything: what a report reads is a table, and of numbers."""
    for part in ("test", "data"):
        if not isinstance(metrics.get(part), dict):
            raise ValueError(f"metrics.json has no `{part}`")
    tables = {part: metrics.get(part) or {} for part in ("test", "val", "train")}
    _tables({"baseline": metrics.get("baseline") or {}, **tables})
    tables |= metrics.get("baseline") or {}
    _tables({**tables, **{name: metrics["data"].get(name) or {} for name in ("rows", "sample")}})
    for part, table in tables.items():
        for key, value in table.items():
            if value is not None and not isinstance(value, int | float):
                raise ValueError(f"metrics.json: {part} {key} is {value!r}, no number")


def _tables(parts: Mapping[str, Any]) -> None:
    for name, part in parts.items():
        if not isinstance(part, dict):
            raise ValueError(f"metrics.json: {name} is no table of names and numbers")


def _settled(config: dict[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """With the fold and seed of the split as numbers, and the options of metrics that aeexp-evaluate added under the
    names that the run's own would have."""
    for key in SPLIT:
        found = re.fullmatch(r"\$\{([\w.]+)\}", str(config.get(key)))
        config |= {key: config[found[1]]} if found and found[1] in config else {}
    for entry in metrics.get("evaluations", []):
        if isinstance(entry, dict) and entry.get("differs") == "" and isinstance(entry.get("options"), dict):
            added = flat({f"metric.{entry.get('metric')}": entry["options"]})
            config |= {key: value for key, value in added if key not in config}
    return config


def _merged(metrics: dict[str, Any]) -> dict[str, Any]:
    if "evaluations" not in metrics:
        return metrics
    try:
        found = evaluations.merge_evaluations(metrics)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("metrics.json: evaluations are not as aeexp-evaluate writes them") from error
    _check(found)
    return found


def _object(path: Path) -> dict[str, Any]:
    node = _json(path) if path.suffix == ".json" else _yaml(path)
    if not isinstance(node, dict):
        raise ValueError(f"{path.name} holds no table of keys and values")
    return node


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # cut off, or no text at all
        raise ValueError(f"{path.name}: {str(error).splitlines()[0]}") from error


def _yaml(path: Path) -> Any:
    try:
        return yaml.load(path.read_bytes(), LOADER)
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name}: {str(error).splitlines()[0]}") from error


def _choices(folder: Path) -> dict[str, str]:
    """The option of each group. Of hydra.yaml this part alone is read: the rest is 10 kB of Hydra's own."""
    text = (folder / ".hydra" / "hydra.yaml").read_text(encoding="utf-8")
    block = re.search(r"^    choices:\n((?:      .*\n)+)", text, re.MULTILINE)
    found = yaml.load(block[1], LOADER) if block else {}
    return {str(group): str(option) for group, option in found.items() if not str(group).startswith("hydra/")}


def _last_line(folder: Path, status: Mapping[str, Any]) -> str:
    if status.get("message"):
        return str(status["message"]).strip().splitlines()[0]
    try:
        with open(folder / "train.log", "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return re.sub(r"^(\[[^]]*\])+ ", "", lines[-1]).strip() if lines else "it left no word"


def _why(name: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{name} is missing"
    words = str(error).splitlines()[0]
    return words if isinstance(error, ValueError) else f"{name or 'a file'} cannot be read: {words}"


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of every leaf; an empty table is a leaf."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def pair(word: str) -> tuple[str, str]:
    """`+key=value` -> key, value."""
    key, _, value = word.lstrip("+").partition("=")
    return key, value

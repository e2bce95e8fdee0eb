"""A file of new rows, through the loader of its kind and as the run's own file was read."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from aeexp.conditions import Attribute, Label
from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Source
from aeexp.datasets.formats.csv import csv
from aeexp.datasets.formats.folder import folder
from aeexp.datasets.formats.idx import idx
from aeexp.datasets.formats.npy import npy
from aeexp.datasets.formats.npz import npz
from aeexp.errors import UsageError
from aeexp.runs.config import check_node
from aeexp.runs.finished import Finished

LOADERS: dict[str, DataSet[...]] = {"npz": npz, "npy": npy, "csv": csv, "folder": folder, "idx": idx}
# Of the run's own keys those that say how a file of its kind is read; the others name files, or rows to take.
READING = {
    "npz": ("x", "offsets", "unpack", "parts", "sequences", "shape"),
    "npy": (),
    "idx": (),
    "folder": ("mode", "size"),
    "csv": ("label", "attributes", "drop", "categorical", "missing", "missing_values", "delimiter", "max_categories"),
}


def read(run: Finished, path: str, words: Sequence[str] = ()) -> Source:
    """What the loader finds in a file or folder; `words` are its keys, as in ["y=label", "shape=[1,8,8]"]."""
    kind = _kind(path)
    keys = {**_own(run, kind), **_keys(words)}
    return _table(run, path, keys) if kind == "csv" else _source(kind, {**keys, "path": path})


def _kind(path: str) -> str:
    """The loader for a path, by its ending."""
    place = Path(path)
    if not place.exists():
        raise UsageError(f"{path}: there is no such file or folder")
    if place.is_dir():
        return "idx" if any(place.glob("train-images-idx3-ubyte*")) else "folder"
    endings = {".npz": "npz", ".npy": "npy", ".csv": "csv", ".tsv": "csv"}
    kind = "idx" if "-ubyte" in place.name or "idx" in place.name else endings.get(place.suffix.lower())
    ways = "give an .npz, .npy or .csv file, an IDX file (...-ubyte), or a folder of pictures"
    if kind is None:
        raise UsageError(f"{path}: rows of this kind are not known: {ways}")
    return kind


def _keys(words: Sequence[str]) -> dict[str, Any]:
    for word in words:
        if "=" not in word:
            raise UsageError(f"{word}: what follows the data are keys of its loader, as in y=label or shape=[1,8,8]")
    try:
        return OmegaConf.to_container(OmegaConf.from_dotlist(list(words)))
    except (OmegaConfBaseException, YAMLError) as error:
        raise UsageError(f"{' '.join(words)}: {str(error).splitlines()[0]}") from error


def _own(run: Finished, kind: str) -> dict[str, Any]:
    """How the run's own file was read, where it is of this kind."""
    node = run.config["dataset"]
    keys: dict[str, Any] = {}
    if node["_target_"] == _target(kind):
        keys = {key: node[key] for key in READING[kind] if key in node}
        if kind == "npz" and isinstance(run.model.condition, Label | Attribute):
            keys |= {key: node[key] for key in ("y", "s")}
    if kind == "npz" and len(run.saved["facts"]["shape"]) == 2 and not keys.get("offsets"):
        keys["sequences"] = True
    return keys


def _target(kind: str) -> str:
    return f"aeexp.datasets.{kind}"


def _source(kind: str, keys: dict[str, Any]) -> Source:
    """What the loader finds, with its own keys alone."""
    load = LOADERS[kind].load
    if keys.get("offsets"):
        keys = {key: value for key, value in keys.items() if key != "sequences"}
    known = {key: value for key, value in keys.items() if key in _parameters(load)}
    wrong = next((key for key in keys if key not in known), None)
    if wrong is not None:
        near = difflib.get_close_matches(wrong, _parameters(load), n=1)
        listed = ", ".join(name for name in _parameters(load) if name != "path")
        raise UsageError(f"{wrong}={keys[wrong]}: did you mean {near[0]}?" if near else
                         f"{wrong}={keys[wrong]}: rows of {kind} have the keys {listed or 'none'}")  # fmt: skip
    shared = {"name": kind, "split": {"_target_": "aeexp.datasets.Fractions", "fractions": [8, 1, 1]}}
    check_node("dataset", {"_target_": _target(kind), **known, **shared})  # types, as on aeexp's command line
    try:
        return load(**known)
    except UsageError as error:
        raise UsageError(str(error).replace("dataset.", "")) from error


def _parameters(load: Callable[..., Source]) -> list[str]:
    return list(inspect.signature(load).parameters)


def _table(run: Finished, path: str, keys: dict[str, Any]) -> Source:
    """Rows of a table as features: categories and fillings are those of the run's own file, which is read again."""
    node = run.config["dataset"]
    own = f"{run.folder} was trained on {node['name']}, whose features are no columns of a table"
    if node["_target_"] != _target("csv"):
        raise UsageError(f"{path}: {own}: give its rows as .npz or .npy")
    train = run.data()["train"].ids
    source = _source("csv", {**keys, "path": node["path"], "test": path})
    transform = source.fit(source.rows.x[train])
    rows = source.test._replace(x=transform(source.test.x))
    return source._replace(rows=rows, test=None, fit=None)

"""A file of new rows, through the loader of its kind and as the run's own file was read."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
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
from aeexp.files import TABLES
from aeexp.runs.config import check_values, to_dict
from aeexp.runs.loading import LoadedRun

LOADERS: dict[str, DataSet[...]] = {"npz": npz, "npy": npy, "csv": csv, "folder": folder, "idx": idx}
# Of the run's own keys those that say how a file of its kind is read; the others name files, or rows to take.
READING = {
    "npz": ("x", "offsets", "unpack", "parts", "sequences", "shape"),
    "npy": (),
    "idx": (),
    "folder": ("mode", "size"),
    "csv": (
        "label",
        "attributes",
        "columns",
        "drop",
        "categorical",
        "missing",
        "missing_values",
        "delimiter",
        "decimal",
        "thousands",
        "max_categories",
    ),
}


def read_rows(run: LoadedRun, path: str, overrides: Sequence[str] = ()) -> Source:
    """What the loader finds in a file or folder; `overrides` are its keys, as in ["y=label", "shape=[1,8,8]"]."""
    kind = _recognise(path)
    keys = {**_select_own_keys(run, kind), **_parse_keys(overrides)}
    return _read_table(run, path, keys) if kind == "csv" else _load(kind, {**keys, "path": path})


def _recognise(path: str) -> str:
    """The loader for a path, by its ending."""
    place = Path(path)
    if not place.exists():
        raise UsageError(f"{path}: there is no such file or folder")
    if place.is_dir():
        return "idx" if any(place.glob("train-images-idx3-ubyte*")) else "folder"
    endings = {".npz": "npz", ".npy": "npy", **dict.fromkeys(TABLES, "csv")}
    kind = "idx" if "-ubyte" in place.name or "idx" in place.name else endings.get(place.suffix.lower())
    if kind is None:
        raise UsageError(
            f"{path}: rows of this kind are not known: give an .npz, .npy or .csv file, an IDX file (...-ubyte), or a "
            "folder of pictures"
        )
    return kind


def _parse_keys(overrides: Sequence[str]) -> dict[str, Any]:
    for override in overrides:
        if "=" not in override:
            raise UsageError(
                f"{override}: what follows the data are keys of its loader, as in y=label or shape=[1,8,8]"
            )
    try:
        return to_dict(OmegaConf.from_dotlist(list(overrides)))
    except (OmegaConfBaseException, YAMLError) as error:
        raise UsageError(f"{' '.join(overrides)}: {str(error).splitlines()[0]}") from error


def _select_own_keys(run: LoadedRun, kind: str) -> dict[str, Any]:
    """How the run's own file was read, where it is of this kind."""
    node = run.config["dataset"]
    keys: dict[str, Any] = {}
    if node["_target_"] == _name_target(kind):
        keys = {key: node[key] for key in READING[kind] if key in node}
        if kind == "npz" and isinstance(run.model.condition, Label | Attribute):
            keys |= {key: node[key] for key in ("y", "s")}
    if kind == "npz" and len(run.saved["facts"]["shape"]) == 2 and not keys.get("offsets"):
        keys["sequences"] = True
    return keys


def _name_target(kind: str) -> str:
    return f"aeexp.datasets.{kind}"


def _load(kind: str, keys: dict[str, Any]) -> Source:
    """What the loader finds, with its own keys alone."""
    load: Callable[..., Source] = LOADERS[kind].load
    known = list(inspect.signature(load).parameters)
    if keys.get("offsets"):
        keys = {key: value for key, value in keys.items() if key != "sequences"}
    for key, value in keys.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            listed = ", ".join(name for name in known if name != "path")
            raise UsageError(
                f"{key}={value}: did you mean {near[0]}?"
                if near
                else f"{key}={value}: rows of {kind} have the keys {listed or 'none'}"
            )
    check_values("dataset", load, keys)  # types, as on aeexp's command line
    try:
        return load(**keys)
    except UsageError as error:
        raise UsageError(str(error).replace("dataset.", "")) from error


def _read_table(run: LoadedRun, path: str, keys: dict[str, Any]) -> Source:
    """Rows of a table as features: categories and fillings are those of the run's own file, which is read again."""
    node = run.config["dataset"]
    own = f"{run.folder} was trained on {node['name'] or node.get('path')}, whose features are no columns of a table"
    if node["_target_"] != _name_target("csv"):
        raise UsageError(f"{path}: {own}: give its rows as .npz or .npy")
    train = run.load_data()["train"].ids
    source = _load("csv", {**keys, "path": node["path"], "test": path})
    old, new = source.rows.x, source.test
    assert isinstance(old, np.ndarray) and source.fit is not None
    assert new is not None and isinstance(new.x, np.ndarray)
    rows = new._replace(x=source.fit(old[train])(new.x))
    return source._replace(rows=rows, test=None, fit=None)

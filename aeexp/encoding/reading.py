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
from aeexp.datasets.formats.folder import folder
from aeexp.datasets.formats.idx import idx
from aeexp.datasets.formats.new_table import read_new_rows
from aeexp.datasets.formats.npy import npy
from aeexp.datasets.formats.npz import npz
from aeexp.datasets.formats.text import text
from aeexp.errors import UsageError
from aeexp.files import TABLES
from aeexp.runs.config import check_values, to_dict
from aeexp.runs.loading import LoadedRun

LOADERS: dict[str, DataSet[...]] = {"npz": npz, "npy": npy, "folder": folder, "idx": idx, "text": text}
TABLE_TARGETS = ("aeexp.datasets.csv", "aeexp.datasets.huggingface")
# Of the run's own keys those that say how a file of its kind is read; the others name files, or rows to take.
READING = {
    "npz": ("x", "offsets", "unpack", "parts", "sequences", "shape"),
    "npy": (),
    "idx": (),
    "folder": ("mode", "size"),
    "text": (),  # the checkpoint says how
    "csv": (),  # the checkpoint says how
}


def read_rows(run: LoadedRun, path: str, overrides: Sequence[str] = ()) -> Source:
    """What the loader finds in a file or folder; `overrides` are its keys, as in ["y=label", "shape=[1,8,8]"]."""
    kind = _recognise(path)
    if kind == "csv" and _read_letters(run) is not None:
        kind = "text"
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
    if kind == "text":
        keys = {"unit": "characters" if _read_letters(run) else "bytes", "longest": run.saved["facts"]["shape"][0] - 1}
    if kind == "npz" and len(run.saved["facts"]["shape"]) == 2 and not keys.get("offsets"):
        keys["sequences"] = True
    return keys


def _read_letters(run: LoadedRun) -> str | None:
    """Those of a run on text, "" where its tokens are bytes; None of a run on anything else."""
    return (run.saved.get("data") or {}).get("letters")


def _name_target(kind: str) -> str:
    return f"aeexp.datasets.{kind}"


def _load(kind: str, keys: dict[str, Any]) -> Source:
    """What the loader finds, with its own keys alone."""
    load: Callable[..., Source] = LOADERS[kind].load
    known = list(inspect.signature(load).parameters)
    if keys.get("offsets"):
        keys = {key: value for key, value in keys.items() if key != "sequences"}
    _check_keys(kind, keys, known)
    check_values("dataset", load, keys)  # types, as on aeexp's command line
    try:
        return load(**keys)
    except UsageError as error:
        raise UsageError(str(error).replace("dataset.", "")) from error


def _read_table(run: LoadedRun, path: str, keys: dict[str, Any]) -> Source:
    """Rows of a table as features: columns, categories and fillings are those that the checkpoint holds."""
    account = run.header.data
    if account is None or account.table is None:
        node = run.config["dataset"]
        if node["_target_"] in TABLE_TARGETS:
            raise UsageError(f"{run.folder} does not say how the columns of its table were read: train it again")
        own = (
            f"{run.folder} was trained on {node['name'] or node.get('path')}, whose features are no columns of a table"
        )
        raise UsageError(f"{path}: {own}: give its rows as .npz or .npy")
    known = inspect.signature(read_new_rows).parameters
    _check_keys("csv", keys, list(known)[list(known).index("label") :])
    check_values("dataset", read_new_rows, keys)
    need = isinstance(run.model.condition, Attribute)
    try:
        return read_new_rows(path, account.table, account.classes, need, **keys)
    except UsageError as error:
        raise UsageError(str(error).replace("dataset.", "")) from error


def _check_keys(kind: str, keys: dict[str, Any], known: list[str]) -> None:
    for key, value in keys.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            listed = ", ".join(name for name in known if name != "path")
            raise UsageError(
                f"{key}={value}: did you mean {near[0]}?"
                if near
                else f"{key}={value}: rows of {kind} have the keys {listed or 'none'}"
            )

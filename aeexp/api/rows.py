"""Rows that Python holds, as files of a run: what the run reads, a later evaluation reads again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from aeexp import files
from aeexp.api.frames import is_naming, is_table, write_tables
from aeexp.datasets.formats import arrays
from aeexp.datasets.formats.labels import check_labels
from aeexp.errors import UsageError

PARTS = ("train", "val", "test")


class Given(NamedTuple):
    """Rows by the name of the file that they belong into, and the words by which that file is read."""

    content: dict[str, Callable[[IO[bytes]], Any]]
    words: list[str]  # overrides of the configuration but for paths
    keys: dict[str, str]  # of the configuration that name a file -> its name

    def write(self, folder: Path) -> None:
        """The files, where they are not there yet: a name says what is in it."""
        for name, fill in self.content.items():
            if not (folder / name).is_file():
                files.write(folder / name, fill)


def give(data: Any, labels: Any = None, attributes: Any = None) -> Given:
    """Arrays, tensors, a list, a Dataset of torch or a frame of pandas, with labels (N,) and attributes (N,) or (N, F).

    All may come as a mapping of train, test and perhaps val. Of a frame, labels may be the name of a column and
    attributes the names of some. Raises UsageError for what is no rows.
    """
    parts = _part(data, "data")
    several = set(parts) != {""}
    ys, ss = (_match(field, parts, name) for field, name in ((labels, "labels"), (attributes, "attributes")))
    frames = [is_table(x) for x in parts.values()]
    if all(frames):
        content, words, keys = write_tables(parts, ys, ss)
        return Given(content, words + _choose_split(several), keys)
    if any(frames):
        raise UsageError("data: some parts are frames and others are not: give all as frames, or all as arrays")
    found: dict[str, np.ndarray] = {}
    rows = {part: read_rows(each) for part, each in parts.items()}
    given = {part: y if ys[part] is None else to_array(ys[part], "labels") for part, (_, y) in rows.items()}
    key = "target" if arrays.are_numbers([y for y in given.values() if y is not None]) else "y"
    for part, (x, _) in rows.items():
        y, end = given[part], f"_{part}" if part else ""
        found[f"x{end}"] = x
        if y is not None:
            found[f"{key}{end}"] = read_numbers(y, len(x)) if key == "target" else read_labels(y, len(x))
        if ss[part] is not None:
            found[f"s{end}"] = read_attributes(ss[part], len(x))
    end = "_train" if several else ""
    words = ["dataset=npz", "dataset.name=data"]
    words += [f"dataset.{name}={name + end if name + end in found else 'none'}" for name in ("y", "target")]
    words += [f"dataset.s=s{end}"] if f"s{end}" in found else []
    name = f"data_{_digest(found)}.npz"
    arguments: dict[str, Any] = dict(found)
    return Given({name: lambda file: np.savez(file, **arguments)}, words + _choose_split(several), {"path": name})


def read_rows(data: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """(N, ...) numbers, and the labels of a Dataset that has some. Raises UsageError."""
    if isinstance(data, (str, Path)):
        raise UsageError(f"data={data}: a path is no rows: name the file, as in dataset=npz dataset.path=...")
    if isinstance(data, Dataset):
        return _read_dataset(data)
    x = to_array(data, "data")
    if x.ndim < 2 or x.size == 0:
        raise UsageError(f"data has shape {x.shape}, but (N, ...) with rows and values is needed")
    if x.dtype.kind not in "buif":
        raise UsageError(f"data has type {x.dtype}, but numbers are needed: give a table of texts as a frame")
    if x.dtype.kind == "f":
        bad = ~np.isfinite(x.reshape(len(x), -1)).all(1)
        if bad.any():
            raise UsageError(f"data: row {bad.argmax()} holds NaN or infinity ({bad.sum()} such rows)")
    return x, None


def read_numbers(labels: np.ndarray, rows: int) -> np.ndarray:
    """(N,) numbers to predict, NaN where unknown. Raises UsageError."""
    if labels.size != rows:
        raise UsageError(f"labels has shape {labels.shape}, but a number for each of the {rows} rows is needed")
    return arrays.convert_response(labels, "labels")


def read_labels(labels: Any, rows: int) -> np.ndarray:
    """(N,) numbers or texts. Raises UsageError."""
    return check_labels(to_array(labels, "labels"), "labels", rows)


def read_attributes(attributes: Any, rows: int) -> np.ndarray:
    """(N,) or (N, F) numbers. Raises UsageError."""
    return arrays.convert_attributes(to_array(attributes, "attributes"), "attributes", rows)


def to_array(value: Any, name: str) -> np.ndarray:
    """Numbers or texts as numpy has them; a tensor from wherever it lies."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype is torch.bfloat16 else value).numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of unequal lengths
        raise UsageError(f"{name}: {error}: rows of one shape are needed") from error
    if array.dtype != object:
        return array
    if array.size and all(isinstance(each, str) for each in array.flat):
        return array.astype(str)
    kinds = ", ".join(sorted({type(each).__name__ for each in array.flat})[:5])
    raise UsageError(f"{name} holds Python objects ({kinds}): numbers are needed, or texts alone for labels")


def _read_dataset(data: Dataset) -> tuple[np.ndarray, np.ndarray | None]:
    """Every item once, as it comes: what its transforms draw is drawn here and stays."""
    if isinstance(data, TensorDataset):
        items: Any = zip(*data.tensors, strict=True)
    elif isinstance(data, IterableDataset):
        items = iter(data)
    else:
        source: Any = data  # a map-style dataset has a length, which torch's class does not declare
        items = (source[place] for place in range(len(source)))
    xs, ys = [], []
    for item in items:
        pair = tuple(item) if isinstance(item, (tuple, list)) else (item,)
        if isinstance(item, Mapping) or not pair:
            raise UsageError(
                f"data: items of {type(data).__name__} are {type(item).__name__}: x or (x, label) is needed"
            )
        xs.append(to_array(pair[0], "data"))
        ys.append(to_array(pair[1], "labels") if len(pair) > 1 else None)
    if not xs:
        raise UsageError(f"data: {type(data).__name__} has no item")
    shapes = {x.shape for x in xs}
    if len(shapes) > 1:
        raise UsageError(
            f"data: items of {type(data).__name__} have shapes {sorted(shapes)[:3]}: rows of one are needed"
        )
    x, _ = read_rows(np.stack(xs))
    known = [y for y in ys if y is not None and y.size == 1]
    return x, np.array([y.item() for y in known]) if len(known) == len(xs) else None


def _part(data: Any, name: str) -> dict[str, Any]:
    """By the name of the part; "" where all is one."""
    if data is None:
        raise UsageError(f"{name} is None: give rows, or name a data set by dataset=...")
    if not isinstance(data, Mapping):
        return {"": data}
    if not {"train", "test"} <= set(data) <= set(PARTS):
        raise UsageError(f"{name} has {', '.join(map(str, data))}: train and test are needed, and val may be there")
    return {part: data[part] for part in PARTS if part in data}


def _match(field: Any, parts: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Labels or attributes of each part."""
    if field is None or is_naming(field):
        return dict.fromkeys(parts, field)
    given = field if isinstance(field, Mapping) else {"": field}
    if set(given) != set(parts):
        want = ", ".join(parts) if set(parts) != {""} else "one array"
        raise UsageError(f"{name} has other parts than data: give {want}")
    return dict(given)


def _choose_split(several: bool) -> list[str]:
    return ["dataset/split=official"] if several else []


def _digest(content: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for key, array in content.items():
        digest.update(f"{key} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()

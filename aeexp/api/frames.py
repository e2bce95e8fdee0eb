"""Frames of pandas as text tables, which the loader of tables reads: columns keep their names, texts are categories."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

import numpy as np
import torch

from aeexp.datasets.formats.arrays import are_numbers, name_columns
from aeexp.errors import UsageError, quote_value

LABEL, ATTRIBUTE = "label", "attribute"
Content = dict[str, Callable[[IO[bytes]], Any]]  # what fills a file, by its name


def is_table(value: Any) -> bool:
    """Whether it is a frame with names or texts; one of plain numbers, as pandas makes it of an array, is an array."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(value, pandas.DataFrame):
        return False
    numbered = list(value.columns) == list(range(value.shape[1]))
    return not (numbered and all(kind.kind in "buif" for kind in value.dtypes))


def is_naming(field: Any) -> bool:
    """Whether it may name columns of a frame."""
    return isinstance(field, str) or (
        isinstance(field, Sequence) and len(field) > 0 and all(isinstance(each, str) for each in field)
    )


def write_tables(
    parts: Mapping[str, Any], labels: Mapping[str, Any], attributes: Mapping[str, Any]
) -> tuple[Content, list[str], dict[str, str]]:
    """Files, the overrides by which they are read, and the keys that name them; NaN is an empty cell.

    All by the name of the part, "" where there is one. Raises UsageError.
    """
    content: Content = {}
    keys: dict[str, str] = {}
    label, names, categorical = None, [], []
    truth: list[Any] = []
    for part, frame in parts.items():
        table, label, names = _join(frame, labels[part], attributes[part])
        categorical = [name for name in table.columns if str(table.dtypes[name]) == "category"]
        truth += [] if label is None else [np.asarray(table[label])]
        raw = to_csv(table)
        file_name = f"data_{hashlib.blake2b(raw, digest_size=8).hexdigest()}.csv"
        content[file_name] = lambda file, raw=raw: file.write(raw)
        keys[part if part in ("val", "test") else "path"] = file_name
    words = ["dataset=csv", "dataset.name=data", "dataset.missing_values=['']", "dataset.decimal='.'"]
    if label is not None:
        key = "target" if are_numbers(truth) else "label"
        words.append(f"dataset.{key}={quote_value(label)}")
    lists = {"attributes": names, "categorical": [name for name in categorical if name not in (label, *names)]}
    words += [f"dataset.{key}=[{','.join(map(quote_value, given))}]" for key, given in lists.items() if given]
    return content, words, keys


def to_csv(frame: Any) -> bytes:
    """The text of a table; the index is left out, and a column whose name is no text gets one."""
    return frame.rename(columns=_name).to_csv(index=False).encode()


def _name(column: Any) -> str:
    return column if isinstance(column, str) else f"column_{column}"


def _join(frame: Any, labels: Any, attributes: Any) -> tuple[Any, str | None, list[str]]:
    """The frame with labels and attributes among its columns, and their names."""
    frame = frame.rename(columns=_name)
    own = list(frame.columns)
    label = labels if isinstance(labels, str) else None
    if labels is not None and label is None:
        label = _free(LABEL, own)
        frame = frame.assign(**{label: _list(labels, "labels", len(frame))})
    names: list[str] = []
    if attributes is not None and is_naming(attributes):
        names = [attributes] if isinstance(attributes, str) else list(attributes)
    elif attributes is not None:
        table = np.asarray(attributes)
        given = list(map(_name, attributes.columns)) if is_table(attributes) else name_columns(ATTRIBUTE, table)
        names = [_free(name, own) for name in given]
        columns = (_list(column, "attributes", len(frame)) for column in table.reshape(len(table), -1).T)
        frame = frame.assign(**dict(zip(names, columns, strict=True)))
    for name in [*([] if label is None else [label]), *names]:
        if name not in frame.columns:
            raise UsageError(f"data has no column {name}: it has {', '.join(own[:20])}")
    return frame, label, names


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _list(values: Any, name: str, rows: int) -> list[Any]:
    column = values.detach().cpu().tolist() if isinstance(values, torch.Tensor) else list(values)
    if len(column) != rows:
        raise UsageError(f"{name}: {len(column)} values do not fit the {rows} rows of data")
    return column

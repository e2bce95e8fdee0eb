"""The user's own table: a text file with a header, of numbers and categories, some of them missing."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.formats import table
from aeexp.datasets.formats.columns import (
    Column,
    check_count,
    check_texts,
    number_classes,
    parse_column,
    stack_attributes,
)
from aeexp.datasets.formats.features import Features
from aeexp.datasets.formats.table import Table, join_names, quote, write_option
from aeexp.errors import UsageError
from aeexp.ranges import Count

log = logging.getLogger(__name__)

MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "None")
Missing = Literal["error", "drop", "mean", "median", "most_frequent"]


class Roles(NamedTuple):
    """Which column is what."""

    label: str | None
    attributes: tuple[str, ...]
    features: tuple[str, ...]  # in the order of the file


@DataSet
def csv(
    path: str,
    test: str | None = None,
    val: str | None = None,
    label: str | None = None,
    attributes: tuple[str, ...] = (),
    drop: tuple[str, ...] = (),
    categorical: tuple[str, ...] = (),
    missing: Missing = "error",
    missing_values: tuple[str | float, ...] = MISSING,
    delimiter: str = ",",
    max_categories: Count = 100,
) -> Source:
    """Columns of which every cell is a number are numbers, others categories, one-hot; in the order of the file.

    `test` and `val` are files with the same header. `attributes` become s, categories as codes 0, 1, ... in sorted
    order. A row without label is unlabelled under each `missing`; `missing=drop` leaves out rows that lack a feature
    or an attribute. Fillings are fitted on the training split: until then x is (N, C) float64 with NaN.
    """
    if missing not in get_args(Missing):
        raise UsageError(f"missing={missing} must be one of {', '.join(get_args(Missing))}")
    sign = table.parse_delimiter(delimiter)
    files = {"path": path, "test": test, "val": val}
    rows = table.join([table.read(key, file, sign) for key, file in files.items() if file is not None])
    roles = _assign_roles(rows, label, attributes, drop, categorical)
    empty = rows.find_empty({str(text).strip() for text in missing_values})
    rows, empty = _complete(rows, empty, roles, missing)
    columns = {
        name: parse_column(rows, name, empty, name in categorical)
        for name in (*roles.features, *roles.attributes, *([label] if label is not None else []))
    }
    for name in (*roles.features, *roles.attributes):
        check_texts(rows, columns[name], categorical, drop if name in roles.features else None)
        check_count(rows, columns[name], max_categories)
    features = Features([columns[name] for name in roles.features], missing)
    y, names = (None, ()) if label is None else number_classes(columns[label], max_categories)
    s = stack_attributes([columns[name] for name in roles.attributes])
    _log_columns(columns, roles)
    x = np.stack([columns[name].values for name in roles.features], 1)
    keys = [key for key, file in files.items() if file is not None]
    parts = {key: Rows(x, y, s).take(np.flatnonzero(rows.file == place)) for place, key in enumerate(keys)}
    return Source(
        parts["path"], parts.get("test"), 1.0, names, parts.get("val"),
        attributes=roles.attributes, fit=features.fit, continuous=features.continuous,
    )  # fmt: skip


def _assign_roles(
    rows: Table, label: str | None, attributes: Sequence[str], drop: Sequence[str], categorical: Sequence[str]
) -> Roles:
    """The columns by what they are for. Raises UsageError for a name that is not there or is there twice."""
    roles = {"label": [] if label is None else [label], "attributes": attributes, "drop": drop}
    for key, names in {**roles, "categorical": categorical}.items():
        for name in names:
            if name not in rows.header:
                near = difflib.get_close_matches(name, rows.header, n=1)
                way = f"did you mean {quote(near[0])}?" if near else f"there are {join_names(rows.header)}"
                file = Path(rows.files[0]).name
                raise UsageError(f"{_format_key(key, names)}: {file} has no column {quote(name)}; {way}")
    seen: dict[str, str] = {}
    for key, names in roles.items():
        for name in names:
            if name in seen:
                where = f"also in {seen[name]}" if seen[name] != key else "twice"
                raise UsageError(f"{_format_key(key, names)}: column {quote(name)} is named {where}; name it once")
            seen[name] = key
    features = tuple(name for name in rows.header if name not in seen)
    if not features:
        raise UsageError(
            f"{rows.files[0]}: no column is left as a feature: all are named in dataset.label, dataset.attributes or "
            "dataset.drop; take one out of there"
        )
    return Roles(label, tuple(attributes), features)


def _format_key(key: str, names: Sequence[str]) -> str:
    return f"label={join_names(names)}" if key == "label" else f"{key}=[{join_names(names)}]"


def _complete(rows: Table, empty: np.ndarray, roles: Roles, missing: Missing) -> tuple[Table, np.ndarray]:
    """The rows to use and their empty cells: under `error` all of them or a UsageError, under `drop` the full ones."""
    places = {name: rows.header.index(name) for name in (*roles.features, *roles.attributes)}
    if missing == "drop":
        kept = _find_full(rows, empty[:, list(places.values())], list(places))
        return rows.take(kept), empty[kept]
    for name in places if missing == "error" else roles.attributes:
        gaps = np.flatnonzero(empty[:, places[name]])
        if len(gaps) == 0:
            continue
        what = f"column {quote(name)} has no value ({rows.locate(gaps[0])}; {len(gaps)} in all)"
        if name in roles.attributes:
            raise UsageError(
                f"attributes=[{join_names(roles.attributes)}]: {what}; attributes are not filled: "
                "set dataset.missing=drop"
            )
        raise UsageError(
            f"missing=error: {what}.\nSet dataset.missing=most_frequent, mean or median to fill it, "
            f"dataset.missing=drop to leave such rows out, or {write_option('drop', [name])}."
        )
    return rows, empty


def _find_full(rows: Table, empty: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Places of the rows that lack none of these columns. Raises UsageError where a file has none."""
    kept = np.flatnonzero(~empty.any(1))
    for number, file in enumerate(rows.files):
        if not (rows.file[kept] == number).any():
            worst = names[int(empty[rows.file == number].sum(0).argmax())]
            raise UsageError(
                f"missing=drop leaves no row of {file}; column {quote(worst)} lacks most: set "
                f"{write_option('drop', [worst])} or dataset.missing=most_frequent"
            )
    if len(kept) < len(empty):
        log.info("missing=drop leaves out %d of %d rows", len(empty) - len(kept), len(empty))
    return kept


def _log_columns(columns: dict[str, Column], roles: Roles) -> None:
    """What cannot be seen from outside: which columns are categories, columns of one value, codes of attributes."""
    categories = {name: columns[name].categories for name in (*roles.features, *roles.attributes)}
    counts = [f"{name} ({len(texts)} values)" for name, texts in categories.items() if texts is not None]
    if counts:
        log.info("columns taken as categories: %s", join_names(counts))
    features = [columns[name] for name in roles.features if not columns[name].missing.any()]
    constant = [column.name for column in features if len(np.unique(column.values)) == 1]
    if constant:
        log.info("columns with one value only: %s", join_names(constant))
    for name in roles.attributes:
        texts = categories[name]
        if texts is not None:
            log.info(
                "attribute %s: %s",
                join_names([name]),
                join_names([f"{code} {text}" for code, text in enumerate(texts)]),
            )

"""From a table of cells to rows: columns are read, gaps found, and all that is wrong is told at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.tabular import TableColumn, Tabular
from aeexp.datasets.formats.columns import (
    Column,
    check_count,
    check_numbers,
    check_texts,
    number_classes,
    parse_column,
    read_numbers,
    stack_attributes,
)  # fmt: skip
from aeexp.datasets.formats.features import Features
from aeexp.datasets.formats.numerals import Numerals, find_numerals
from aeexp.datasets.formats.roles import Roles, assign_roles
from aeexp.datasets.formats.table import Table, join
from aeexp.datasets.formats.wording import Problem, Problems, join_names, quote, write_option
from aeexp.errors import UsageError

log = logging.getLogger(__name__)

MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "None")
Missing = Literal["error", "drop", "mean", "median", "most_frequent"]


class Reading(NamedTuple):
    """How a table is read: the keys of dataset=csv that say so."""

    label: str | None = None
    attributes: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    missing: Missing = "error"
    missing_values: tuple[str | float, ...] = MISSING
    numerals: Numerals | None = None  # None: to be found
    max_categories: int = 100
    target: str | None = None
    delimiter: str = ","

    @property
    def empty(self) -> tuple[str, ...]:
        """What cells hold that count as empty."""
        return tuple(dict.fromkeys(str(text).strip() for text in self.missing_values))


def make_source(tables: Mapping[str, Table], how: Reading) -> Source:
    """Rows of "path" and perhaps "test" and "val", as `csv` describes them. Raises UsageError."""
    table = join(list(tables.values()))
    roles = assign_roles(table, how.label, how.attributes, how.drop, how.categorical, how.columns, how.target)
    problems = Problems(table.files[0], {"drop": how.drop, "categorical": how.categorical})
    read = _read_columns(table, roles, how, problems)
    problems.raise_all()
    table, columns, (y, classes), numerals = read
    _log_columns(columns, roles)
    attributes = tuple(TableColumn(name, columns[name].categories) for name in roles.attributes)
    rest = Tabular(
        (), attributes, how.label, how.target, how.missing, how.empty, how.delimiter, numerals.decimal,
        numerals.thousands,
    )  # fmt: skip
    features = Features([columns[name] for name in roles.features], how.missing, rest)
    s = stack_attributes([columns[name] for name in roles.attributes])
    x = np.stack([columns[name].values for name in roles.features], 1)
    response = None if how.target is None else read_numbers(columns[how.target])
    whole = Rows(x, y, s, response=response)
    parts = {key: whole.take(np.flatnonzero(table.file == place)) for place, key in enumerate(tables)}
    return Source(
        parts["path"], parts.get("test"), 1.0, classes, parts.get("val"),
        attributes=roles.attributes, fit=features.fit, continuous=features.continuous, variables=features.variables,
        groups=tuple(columns[name].categories or () for name in roles.attributes), response=how.target or "",
    )  # fmt: skip


def find_problems(table: Table, how: Reading) -> Problems:
    """What `make_source` would refuse."""
    roles = assign_roles(table, how.label, how.attributes, how.drop, how.categorical, how.columns, how.target)
    problems = Problems(table.files[0], {"drop": how.drop, "categorical": how.categorical})
    _read_columns(table, roles, how, problems)
    return problems


def _read_columns(
    table: Table, roles: Roles, how: Reading, problems: Problems
) -> tuple[Table, dict[str, Column], tuple[np.ndarray | None, tuple[str, ...]], Numerals]:
    """The rows that are used, all columns but those left out, class numbers and names of the classes, and how numbers
    are written."""
    problems.found += table.problems
    targets = () if roles.target is None else (roles.target,)
    wanted = [*roles.beside_label, *([roles.label] if roles.label is not None else []), *targets]
    for name in wanted:
        with problems.collect():
            _check_readable(table, name, roles)
    empty = table.find_empty(set(how.empty))
    table, empty = _complete(table, empty, roles, how.missing, problems)
    numerals = how.numerals or Numerals()
    if how.numerals is None:
        numbers = {name: set(table.get_column(name)[~empty[:, table.header.index(name)]])
                   for name in (*roles.beside_label, *targets) if name not in roles.categorical}  # fmt: skip
        with problems.collect():
            numerals = find_numerals(numbers, table.files[0])
    columns: dict[str, Column] = {}
    for name in wanted:
        with problems.collect():
            columns[name] = parse_column(table, name, empty, name in roles.categorical, numerals)
    for name in roles.beside_label:
        if name in columns:
            with problems.collect():
                check_texts(table, columns[name], roles.categorical, roles.drop if name in roles.features else None)
                check_count(table, columns[name], how.max_categories)
    for name in targets:
        with problems.collect():
            check_numbers(table, columns[name])
    labels: tuple[np.ndarray | None, tuple[str, ...]] = (None, ())
    if roles.label is not None and roles.label in columns:
        with problems.collect():
            labels = number_classes(columns[roles.label], how.max_categories)
    return table, columns, labels, numerals


def _check_readable(table: Table, name: str, roles: Roles) -> None:
    if name in table.unreadable:
        in_features = name in roles.features
        way = f"set {write_option('drop', [*roles.drop, name])}" if in_features else "name another"
        raise Problem(
            f"{table.files[0]}: column {quote(name)} is {table.unreadable[name]}, no number and no text.\n"
            f"Arrays and pictures are read by dataset=huggingface; here, {way}.",
            {"drop": name} if in_features else {},
        )


def _complete(
    table: Table, empty: np.ndarray, roles: Roles, missing: Missing, problems: Problems
) -> tuple[Table, np.ndarray]:
    """The rows to use and their empty cells: under `drop` those that are full, else all of them."""
    places = {name: table.header.index(name) for name in roles.beside_label if name not in table.unreadable}
    if missing == "drop":
        kept = np.flatnonzero(~empty[:, list(places.values())].any(1))
        with problems.collect():
            _check_left(table, empty[:, list(places.values())], list(places), kept)
            return table.take(kept), empty[kept]
        return table, empty
    for name in places if missing == "error" else roles.attributes:
        with problems.collect():
            _check_gaps(table, name, empty[:, table.header.index(name)], roles)
    return table, empty


def _check_gaps(table: Table, name: str, empty: np.ndarray, roles: Roles) -> None:
    gaps = np.flatnonzero(empty)
    if len(gaps) == 0:
        return
    what = f"column {quote(name)} has no value ({table.locate(gaps[0])}; {len(gaps)} in all)"
    if name in roles.attributes:
        start = f"attributes=[{join_names(roles.attributes)}]: {what}"
        if len(gaps) == len(empty):
            raise Problem(f"{start}; attributes are not filled: name another")
        raise Problem(f"{start}; attributes are not filled: set dataset.missing=drop", {"missing": "drop"})
    drop = write_option("drop", [*roles.drop, name])
    if len(gaps) == len(empty):
        raise Problem(f"missing=error: {what}, in no row.\nSet {drop}.", {"drop": name})
    raise Problem(
        f"missing=error: {what}.\nSet dataset.missing=most_frequent, mean or median to fill it, "
        f"dataset.missing=drop to leave such rows out, or {drop}.",
        {"missing": "most_frequent"},
    )


def _check_left(table: Table, empty: np.ndarray, names: list[str], kept: np.ndarray) -> None:
    """Raises UsageError where a file has no row that lacks none of these columns."""
    for number, file in enumerate(table.files):
        if not (table.file[kept] == number).any():
            worst = names[int(empty[table.file == number].sum(0).argmax())]
            raise UsageError(
                f"missing=drop leaves no row of {file}; column {quote(worst)} lacks most: set "
                f"{write_option('drop', [worst])} or dataset.missing=most_frequent"
            )
    if len(kept) < len(empty):
        log.info("missing=drop leaves out %d of %d rows", len(empty) - len(kept), len(empty))


def _log_columns(columns: dict[str, Column], roles: Roles) -> None:
    """What cannot be seen from outside: which columns are categories, columns of one value, codes of attributes."""
    categories = {name: columns[name].categories for name in roles.beside_label}
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
            listed = join_names([f"{code} {text}" for code, text in enumerate(texts)])
            log.info("attribute %s: %s", join_names([name]), listed)

"""New rows of a table whose columns are known: by name, in any order, with what is missing or strange told."""

from __future__ import annotations

import difflib
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.tabular import UNKNOWN, TableColumn, Tabular
from aeexp.datasets.formats.columns import (
    LARGEST,
    Column,
    check_numbers,
    number_classes,
    parse_column,
    read_numbers,
    stack_attributes,
)
from aeexp.datasets.formats.csv import read
from aeexp.datasets.formats.numerals import PLAIN, Numerals, choose_numerals, parse_number
from aeexp.datasets.formats.table import Table, parse_delimiter
from aeexp.datasets.formats.wording import Problem, Problems, join_names, quote
from aeexp.errors import UsageError

log = logging.getLogger(__name__)

MOST_CLASSES = 10_000


def read_new_rows(
    path: str,
    known: Tabular,
    classes: Sequence[str],
    need_attributes: bool,
    label: str | None = None,
    target: str | None = None,
    missing: Literal["drop"] | None = None,
    missing_values: tuple[str | float, ...] | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
) -> Source:
    """Features as the columns were in training, and label, target and attributes where the file has them.

    Columns that training did not read are not read. A category that training never saw is named in a warning and
    counts as unknown (`Tabular`); so does an empty cell of a column of categories that nothing fills, under a
    `missing` that fills. `missing=drop` leaves out rows that lack a feature. The keys that are None are as in training.
    """
    table = read("path", path, parse_delimiter(known.delimiter if delimiter is None else delimiter))
    numerals = choose_numerals(decimal, thousands)
    if numerals is None:  # what pandas makes of a .parquet file has points
        numerals = PLAIN if table.unit == "row" else Numerals(known.decimal, known.thousands)
    problems = Problems(table.files[0], {})
    problems.found += table.problems
    with problems.collect():
        _check_there(table, [column.name for column in known.features])
    problems.raise_all()
    texts = known.missing_values if missing_values is None else tuple(str(text).strip() for text in missing_values)
    places = [table.header.index(column.name) for column in known.features]
    empty = table.find_empty(set(texts))
    kept = np.flatnonzero(~empty[:, places].any(1)) if missing == "drop" else np.arange(len(table.cells))
    if len(kept) == 0:
        raise UsageError(f"missing=drop leaves no row of {table.files[0]}")
    table, empty = table.take(kept), empty[kept]
    values = []
    for column in known.features:
        with problems.collect():
            values.append(_read(table, column, empty[:, table.header.index(column.name)], numerals))
            _check_gaps(table, column, values[-1], known.missing)
    problems.raise_all()
    _warn_of_unknown(table, known.features, values)
    y, names = _read_label(table, known.label, label, empty, numerals, classes)
    s = _read_attributes(table, known, empty, numerals, need_attributes)
    response = _read_target(table, known.target, target, empty, numerals)
    return Source(
        Rows(known(np.stack(values, 1)), y, s, kept, response=response),
        classes=names, attributes=tuple(column.name for column in known.attributes),
        response="" if response is None else target or known.target or "",
    )  # fmt: skip


def _check_there(table: Table, names: Sequence[str]) -> None:
    for name in names:
        if name in table.unreadable:
            raise Problem(f"{table.files[0]}: column {quote(name)} is {table.unreadable[name]}, no number and no text")
    lacking = [name for name in names if name not in table.header]
    if lacking:
        spare = [name for name in table.header if name not in names]
        near = {name: found[0] for name in lacking if (found := difflib.get_close_matches(name, spare, n=1))}
        guesses = ", ".join(f"{quote(found)} for {quote(name)}" for name, found in list(near.items())[:5])
        way = f"is it {guesses}?" if near else f"there are {join_names(table.header)}"
        what = f"no column{'s' * (len(lacking) > 1)} {join_names(lacking)}"
        raise Problem(f"{Path(table.files[0]).name} has {what}, which the run was trained on; {way}")


def _read(table: Table, column: TableColumn, empty: np.ndarray, numerals: Numerals) -> np.ndarray:
    """(N,) float64 numbers, or places of categories and `UNKNOWN`; NaN where empty."""
    known = np.flatnonzero(~empty)
    cells: list[str] = table.get_column(column.name)[known].tolist()
    values = np.full(len(empty), np.nan)
    if column.categories is not None:
        places = _place_categories(set(cells), column.categories)
        values[known] = [places.get(cell, UNKNOWN) for cell in cells]
        return values
    for row, cell in zip(known.tolist(), cells, strict=True):
        value = numerals.parse(cell)
        if value is None or not abs(value) <= LARGEST:
            what = "no number" if value is None else "no finite float32 number"
            raise Problem(
                f"{table.locate(row)}: column {quote(column.name)} holds {quote(cell)}, {what}, and it was a "
                "column of numbers; mend it, or add it to missing_values"
            )
        values[row] = value
    return values


def _place_categories(texts: set[str], categories: Sequence[str]) -> dict[str, float]:
    """The place of each text that is a category; numbers written otherwise, 1.0 for 1, are the same."""
    places = {category: float(place) for place, category in enumerate(categories)}
    numbers = {number: place for text, place in places.items() if (number := parse_number(text)) is not None}
    for text in texts - places.keys():
        number = parse_number(text)
        if number is not None and number in numbers:
            places[text] = numbers[number]
    return places


def _check_gaps(table: Table, column: TableColumn, values: np.ndarray, missing: str) -> None:
    gaps = np.flatnonzero(np.isnan(values))
    if len(gaps) == 0 or column.fill is not None or column.gap:
        return
    if column.categories is not None and missing in ("mean", "median"):
        return
    raise Problem(
        f"column {quote(column.name)} has no value ({table.locate(gaps[0])}; {len(gaps)} in all), and the run fills "
        f"nothing (dataset.missing={missing}); missing=drop leaves such rows out"
    )


def _warn_of_unknown(table: Table, columns: Sequence[TableColumn], values: Sequence[np.ndarray]) -> None:
    for column, places in zip(columns, values, strict=True):
        if column.categories is None:
            continue
        cells = table.get_column(column.name)
        strange = Counter(cells[places == UNKNOWN].tolist())
        if not column.gap and column.fill is None and np.isnan(places).any():
            strange["an empty cell"] = int(np.isnan(places).sum())
        if strange:
            counts = [f"{quote(text)} in {rows} row{'s' * (rows != 1)}" for text, rows in strange.most_common(10)]
            more = f" and {len(strange) - 10} more" if len(strange) > 10 else ""
            log.warning(
                "%s: column %s holds what training never saw, which counts as unknown: %s%s",
                table.files[0], quote(column.name), ", ".join(counts), more,
            )  # fmt: skip


def _read_label(
    table: Table, own: str | None, given: str | None, empty: np.ndarray, numerals: Numerals, classes: Sequence[str]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """(N,) class numbers, -1 unlabelled, and their names; (None, ()) where the file has no such column."""
    name = _choose(table, "label", own, given)
    if name is None or empty[:, table.header.index(name)].all():
        return None, ()
    as_text = any(parse_number(each) is None for each in classes)
    return number_classes(parse_column(table, name, empty, as_text, numerals), MOST_CLASSES)


def _read_target(
    table: Table, own: str | None, given: str | None, empty: np.ndarray, numerals: Numerals
) -> np.ndarray | None:
    """(N,) float32, NaN where unknown; None where the file has no such column."""
    name = _choose(table, "target", own, given)
    if name is None or empty[:, table.header.index(name)].all():
        return None
    column = parse_column(table, name, empty, False, numerals)
    try:
        check_numbers(table, column)
    except Problem as problem:
        if given is not None:
            raise
        log.warning("numbers to predict are left out: %s", str(problem).partition("; ")[0])
        return None
    return read_numbers(column)


def _choose(table: Table, key: str, own: str | None, given: str | None) -> str | None:
    """The column that is named, or that of training if the file has it."""
    if given is None:
        return own if own in table.header else None
    if given not in table.header:
        raise UsageError(f"{key}={given}: the table has no such column; there are {join_names(table.header)}")
    return given


def _read_attributes(
    table: Table, known: Tabular, empty: np.ndarray, numerals: Numerals, needed: bool
) -> np.ndarray | None:
    """(N,) or (N, F) as in training; None where the file lacks some that the model does not need."""
    problems, columns = Problems(table.files[0], {}), []
    for column in known.attributes:
        with problems.collect():
            _check_there(table, [column.name])
            values = _read(table, column, empty[:, table.header.index(column.name)], numerals)
            odd = np.flatnonzero(np.isnan(values) | (values == UNKNOWN if column.categories is not None else False))
            if len(odd):
                cell = quote(str(table.get_column(column.name)[odd[0]]))
                raise Problem(f"{table.locate(odd[0])}: attribute {quote(column.name)} holds {cell}, new to the run")
            columns.append(Column(column.name, values, column.categories))
    if problems.found and needed:
        problems.raise_all()
    if problems.found:
        log.info("attributes are left out: %s", problems.found[0])
        return None
    return stack_attributes(columns)

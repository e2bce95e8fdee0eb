"""What the cells of a table mean: numbers, categories, labels."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from aeexp.datasets.formats.labels import refuse_measurements, refuse_names
from aeexp.datasets.formats.numerals import PLAIN, Numerals
from aeexp.datasets.formats.table import Table
from aeexp.datasets.formats.wording import Problem, quote, write_option, write_value

LARGEST = np.finfo(np.float32).max
MOST_TEXTS = 20  # more that differ in most rows are no categories


class Column(NamedTuple):
    """One column of all files together."""

    name: str
    values: np.ndarray  # (N,) float64 numbers, or places in `categories`; NaN: missing
    categories: tuple[str, ...] | None = None  # None: numbers
    numerals: Numerals = PLAIN  # how numbers are written, those among texts too

    @property
    def missing(self) -> np.ndarray:
        """(N,) which cells are empty."""
        return np.isnan(self.values)


def parse_column(table: Table, name: str, empty: np.ndarray, as_text: bool, numerals: Numerals = PLAIN) -> Column:
    """Numbers where every cell but the `empty` (N, C) ones is one and `as_text` is false, else categories.

    Raises `Problem` for a number that float32 cannot hold.
    """
    cells = table.get_column(name)
    known = np.flatnonzero(~empty[:, table.header.index(name)])
    values = np.full(len(cells), np.nan)
    numbers = {text: numerals.parse(text) for text in set(cells[known])}
    if as_text or None in numbers.values():
        names = _sort(numbers)
        places = {category: place for place, category in enumerate(names)}
        values[known] = [places[cell] for cell in cells[known]]
        return Column(name, values, names, numerals)
    values[known] = [numbers[cell] for cell in cells[known]]
    bad = known[~(np.abs(values[known]) <= LARGEST)]  # infinity, numbers that float32 takes for it, and "NAN"
    if len(bad):
        raise Problem(
            f"{table.locate(bad[0])}: column {quote(name)} holds {quote(str(cells[bad[0]]))}, no finite float32 "
            "number; mend it, or add it to dataset.missing_values"
        )
    return Column(name, values, numerals=numerals)


def check_count(table: Table, column: Column, most: int) -> None:
    """Raises `Problem` where the column has more than `most` categories."""
    count = len(column.categories or ())
    if count <= most:
        return
    cells = table.get_column(column.name).tolist()
    parse = column.numerals.parse
    stray = next((row for row in np.flatnonzero(~column.missing).tolist() if parse(cells[row]) is None), None)
    hint = "" if stray is None else f"; the first that is no number is {quote(cells[stray])} ({table.locate(stray)})"
    raise Problem(
        f"max_categories={most}: column {quote(column.name)} has {count} different values{hint}.\n"
        "Mend that cell or add it to dataset.missing_values, or set "
        f"{write_option('drop', [column.name])}, or dataset.max_categories={count}.",
        {"drop": column.name},
    )


def check_texts(table: Table, column: Column, categorical: Sequence[str], drop: Sequence[str] | None) -> None:
    """Refuse texts that look like mistakes: among numbers, or different in most rows; `drop` is None where it cannot.

    A column that was named in `categorical` is what the user says.
    """
    if column.categories is None or column.name in categorical:
        return
    known = np.flatnonzero(~column.missing)
    codes = column.values[known].astype(np.int64)
    is_number = np.array([column.numerals.parse(text) is not None for text in column.categories], bool)[codes]
    if is_number.all():
        return
    row = int(known[is_number.argmin()])
    cell = str(table.get_column(column.name)[row])
    stray = f"{quote(cell)} ({table.unit} {table.line[row]})"
    comma = " (decimal comma?)" if re.fullmatch(r"[+-]?\d+,\d+", cell) else ""
    start = f"{table.files[table.file[row]]}: column {quote(column.name)}"
    as_text = write_option("categorical", [*categorical, column.name])
    if 2 * is_number.sum() > len(known):
        raise Problem(
            f"{start}: {is_number.sum()} of {len(known)} cells are numbers, {stray} is none{comma}.\n"
            f"Mend it or add it to dataset.missing_values, or set {as_text}.",
            {"categorical": column.name},
        )
    count = len(column.categories)
    if count > MOST_TEXTS and 2 * count > len(column.values):
        ways = as_text if drop is None else f"{write_option('drop', [*drop, column.name])} or {as_text}"
        raise Problem(
            f"{start} has {count} different texts in {len(column.values)} rows, such as {stray}{comma}.\n"
            f"Make them numbers, or set {ways}.",
            {"categorical" if drop is None else "drop": column.name},
        )


def check_numbers(table: Table, column: Column) -> None:
    """Raises `Problem` unless all cells of a target are numbers, or empty, and not all are empty."""
    start = f"target={column.name}"
    if column.categories is not None:
        cells = table.get_column(column.name).tolist()
        known = np.flatnonzero(~column.missing).tolist()
        row = next((row for row in known if column.numerals.parse(cells[row]) is None), known[0])
        raise Problem(
            f"{start}: {quote(cells[row])} ({table.locate(row)}) is no number; mend it, add it to "
            f"dataset.missing_values, or take classes: dataset.target=null {write_value('label', column.name)}"
        )
    if column.missing.all():
        raise Problem(f"{start}: the column has no value in any row; name another")


def read_numbers(column: Column) -> np.ndarray:
    """(N,) float32, NaN where a cell is empty."""
    return column.values.astype(np.float32)


def number_classes(column: Column, most: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) class numbers, -1 where missing, and the classes' names in sorted order, numbers by their value."""
    if column.categories is None:
        numbers, y = np.unique(column.values[~column.missing], return_inverse=True)
        names = tuple(_format(value) for value in numbers.tolist())
        ways = f"take them as numbers to predict (dataset.label=null {write_value('target', column.name)})"
        refuse_measurements(f"label={column.name}", numbers, len(y), ways)
    else:
        y, names = column.values[~column.missing], column.categories
    refuse_names(f"label={column.name}", names, len(y), f"set dataset.label=null {write_option('drop', [column.name])}")
    if len(names) > most:
        numbers = column.categories is None
        other = write_value("target", column.name) if numbers else write_option("attributes", [column.name])
        raise Problem(
            f"label={column.name}: {len(names)} different values, above max_categories={most}, are no classes.\n"
            f"Set dataset.label=null {other}, or dataset.max_categories={len(names)}."
        )
    labels = np.full(len(column.values), -1)
    labels[~column.missing] = y
    return labels, names


def stack_attributes(columns: Sequence[Column]) -> np.ndarray | None:
    """(N,) or (N, F) numbers and category codes: int64 where all are codes, else float32."""
    if not columns:
        return None
    kind = np.float32 if any(column.categories is None for column in columns) else np.int64
    s = np.stack([column.values for column in columns], 1).astype(kind)
    return s[:, 0] if len(columns) == 1 else s


def _sort(numbers: Mapping[str, float | None]) -> tuple[str, ...]:
    """The texts by value where all are numbers, else by letter."""
    values = {text: value for text, value in numbers.items() if value is not None and not math.isnan(value)}
    if len(values) < len(numbers):
        return tuple(sorted(numbers))
    return tuple(sorted(values, key=lambda text: (values[text], text)))


def _format(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)

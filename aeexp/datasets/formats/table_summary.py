"""A table at a glance: its columns with types and gaps, and a command to start from that is known to load."""

from __future__ import annotations

import csv
from typing import NamedTuple

import numpy as np

from aeexp.datasets.formats.arrow_table import read_parquet
from aeexp.datasets.formats.columns import MOST_TEXTS, Column, parse_column
from aeexp.datasets.formats.numerals import PLAIN, Numerals, find_numerals
from aeexp.datasets.formats.table import Table, read
from aeexp.datasets.formats.table_source import MISSING, Reading, find_problems
from aeexp.datasets.formats.wording import Problem, Problems, quote, write_option, write_value
from aeexp.errors import UsageError

LABELS = ("label", "y", "class", "target", "labels", "species", "outcome")  # names that people give
FEW = 10  # whole numbers that may be classes


class Summary(NamedTuple):
    """What `aeexp-explain table.csv` says."""

    rows: int
    columns: list[tuple[str, str]]  # name, and what it holds
    problems: list[str]  # one line each
    command: str


def summarise(path: str) -> Summary:
    """Raises UsageError where the file is no table at all."""
    parquet = path.lower().endswith((".parquet", ".pq"))
    delimiter = "," if parquet else find_delimiter(path)
    table = read_parquet("path", path) if parquet else read("path", path, delimiter)
    empty = table.find_empty(set(MISSING))
    how, problems = _solve(table)
    cells = {name: set(table.get_column(name)[~empty[:, place]]) for place, name in enumerate(table.header)}
    try:
        numerals = find_numerals(cells, table.files[0])
    except Problem:
        numerals = PLAIN
    columns = [(name, _describe(table, name, empty, numerals)) for name in table.header]
    listed = [str(error).splitlines()[0].replace(f"{table.files[0]}: ", "").rstrip(".:") for error in problems.found]
    return Summary(len(table.cells), columns, listed, _write_command(path, delimiter, how))


def find_delimiter(path: str) -> str:
    """The sign that cuts the first lines into most cells, as many in each."""
    try:
        with open(path, encoding="utf-8-sig", newline="", errors="replace") as file:
            lines = [line for _, line in zip(range(20), file, strict=False) if line.strip()]
    except OSError as error:
        raise UsageError(f"path={path} cannot be read: {error.strerror}") from error
    widths = {}
    for sign in ",;\t|":
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=sign)]
        except csv.Error:
            continue
        widths[sign] = max(counts, default=0) if len(set(counts)) == 1 else 1
    return max(widths, key=lambda sign: widths[sign], default=",")


def _solve(table: Table) -> tuple[Reading, Problems]:
    """Options under which the table loads, as far as options can help; and what is wrong without them."""
    label = _guess_label(table)
    how = Reading(label, target=_guess_target(table) if label is None else None)
    first = problems = find_problems(table, how)
    if any(str(error).startswith(("label=", "target=")) for error in problems.found):
        how = Reading()
        first = problems = find_problems(table, how)
    while problems.found:
        lists, missing = problems.solve()
        drop = tuple(lists.get("drop", how.drop))
        categorical = tuple(name for name in lists.get("categorical", how.categorical) if name not in drop)
        better = how._replace(drop=drop, categorical=categorical, missing=missing or how.missing)
        if better == how or len(drop) >= len(table.header) - (how.label is not None):
            break
        how = better
        problems = find_problems(table, how)  # a way out may show what stood behind a problem
    return how, first


def _guess_label(table: Table) -> str | None:
    """A column called so, or the last one, that holds a few texts or whole numbers."""
    named = [name for name in table.header if name.lower() in LABELS]
    for name in [*named, table.header[-1]]:
        cells = [cell for cell in table.get_column(name) if cell not in MISSING]
        different = set(cells)
        numbers = [PLAIN.parse(cell) for cell in different]
        whole = all(
            number is not None and number == int(number) for number in numbers if number is None or abs(number) < 1e9
        )
        most = FEW if None not in numbers else MOST_TEXTS
        if 2 <= len(different) <= min(most, len(cells) / 2) and (whole or None in numbers):
            return name
    return None


def _guess_target(table: Table) -> str | None:
    """A column called as labels are that holds numbers alone, too many different ones for classes."""
    for name in table.header:
        different = {cell for cell in table.get_column(name) if cell not in MISSING}
        numbers = all(PLAIN.parse(cell) is not None for cell in different)
        if name.lower() in LABELS and numbers and len(different) > FEW:
            return name
    return None


def _describe(table: Table, name: str, empty: np.ndarray, numerals: Numerals) -> str:
    """Type, values and gaps of a column."""
    if name in table.unreadable:
        return f"{table.unreadable[name]}: no numbers and no texts"
    gaps = int(empty[:, table.header.index(name)].sum())
    end = f"; {gaps} gap{'s' * (gaps > 1)}" if gaps else ""
    if gaps == len(empty):
        return "no value in any row"
    try:
        column = parse_column(table, name, empty, False, numerals)
    except Problem:
        return f"numbers, some of them not finite{end}"
    return _describe_values(column) + end


def _describe_values(column: Column) -> str:
    known = column.values[~column.missing]
    if column.categories is None:
        low, high = float(known.min()), float(known.max())
        kind = "whole numbers" if (known == np.floor(known)).all() else "numbers"
        return f"{kind} from {low:g} to {high:g}" if low < high else f"the number {low:g} in every row"
    texts = column.categories
    listed = ", ".join(map(quote, texts[:3])) + (", ..." if len(texts) > 3 else "")
    strays = [text for text in texts if column.numerals.parse(text) is None]
    share = np.isin(known, [texts.index(text) for text in strays]).mean()
    if share < 0.5:
        return f"numbers but for {len(strays)} text{'s' * (len(strays) > 1)}, such as {quote(strays[0])}"
    if len(texts) > MOST_TEXTS and 2 * len(texts) > len(known):
        return f"texts, {len(texts)} different ones: {listed}"
    return f"{len(texts)} categories: {listed}" if len(texts) > 1 else f"the text {listed} in every row"


def _write_command(path: str, delimiter: str, how: Reading) -> str:
    """As one pastes it."""
    words = ["aeexp dataset=csv", write_value("path", path)]
    words += (
        ["\"dataset.delimiter='{}'\"".format(r"\t" if delimiter == "\t" else delimiter)] if delimiter != "," else []
    )
    words += [write_value("label", how.label)] if how.label is not None else []
    words += [write_value("target", how.target)] if how.target is not None else []
    words += [f"dataset.missing={how.missing}"] if how.missing != "error" else []
    words += [
        write_option(key, names) for key, names in (("drop", how.drop), ("categorical", how.categorical)) if names
    ]
    return " ".join(words)

"""Text tables: a header and rows of as many cells, or words about the lines that are wrong."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aeexp.datasets.formats.numerals import parse_number
from aeexp.datasets.formats.wording import join_names, quote
from aeexp.errors import UsageError

log = logging.getLogger(__name__)


class Table(NamedTuple):
    """Rows of one file or, joined, of several; cells have no whitespace around them."""

    header: tuple[str, ...]
    cells: np.ndarray  # (N, C) str objects
    files: tuple[str, ...]  # as a message begins: "path=adult.csv"
    file: np.ndarray  # (N,) place in `files`
    line: np.ndarray  # (N,) where the row begins in its file, from 1
    problems: tuple[UsageError, ...] = ()  # of rows that are left out
    unreadable: Mapping[str, str] = {}  # columns whose cells are no texts and no numbers: their type
    unit: str = "line"  # that `line` counts

    def get_column(self, name: str) -> np.ndarray:
        """(N,) the cells of this column."""
        return self.cells[:, self.header.index(name)]

    def locate(self, row: int) -> str:
        """`path=adult.csv: line 7`."""
        return f"{self.files[self.file[row]]}: {self.unit} {self.line[row]}"

    def take(self, rows: np.ndarray) -> Table:
        """These rows."""
        return self._replace(cells=self.cells[rows], file=self.file[rows], line=self.line[rows])

    def find_empty(self, missing: Collection[str]) -> np.ndarray:
        """(N, C) which cells hold one of these texts."""
        return np.array([[cell in missing for cell in row] for row in self.cells.tolist()])


def parse_delimiter(delimiter: str) -> str:
    r"""The character meant; `\t`, which no shell makes a tab, is one."""
    delimiter = "\t" if delimiter == r"\t" else delimiter
    if len(delimiter) != 1 or delimiter == '"' or not (delimiter == "\t" or delimiter.isprintable()):
        raise UsageError(
            f"delimiter={delimiter!r} must be one character, as in \"dataset.delimiter=';'\"; '\\t' is a tab"
        )
    return delimiter


def join(tables: Sequence[Table]) -> Table:
    """All rows, the files one after another. Raises UsageError where a header differs from the first."""
    first = tables[0]
    for table in tables[1:]:
        name, width = table.files[0], len(table.header)
        if width != len(first.header):
            raise UsageError(f"{name}: the header has {width} columns, that of {first.files[0]} {len(first.header)}")
        for place, (here, there) in enumerate(zip(table.header, first.header, strict=True), 1):
            if here != there:
                raise UsageError(
                    f"{name}: column {place} of the header is {quote(here)}, but {quote(there)} in {first.files[0]}; "
                    "the headers must be equal"
                )
    cells = np.concatenate([table.cells for table in tables])
    line = np.concatenate([table.line for table in tables])
    file = np.repeat(np.arange(len(tables)), [len(table.cells) for table in tables])
    problems = tuple(problem for table in tables for problem in table.problems)
    names = tuple(table.files[0] for table in tables)
    unreadable = {name: kind for table in tables for name, kind in table.unreadable.items()}
    return Table(first.header, cells, names, file, line, problems, unreadable, first.unit)


def read(key: str, path: str, delimiter: str) -> Table:
    """The table in a file; `key` is the option that named it. Raises UsageError.

    A first column without a name is an index, as pandas and R write it, and is left out, as is one without name and
    cells. Names that stand twice become a, a.1, a.2, as pandas has them.
    """
    name = f"{key}={path}"
    records = _iterate_records(name, _read_text(key, path), delimiter)
    line, header = next((record for record in records if record[1] != [""]), (0, []))
    if not header:
        raise UsageError(f"{name}: the file is empty; a header line and rows are needed")
    _check_header(name, line, header, delimiter)
    rows, lines, odd = [], [], []
    for at, cells in records:
        if cells == [""] and len(header) > 1:
            continue  # a blank line; of one column, "" in quotes is a cell
        if len(cells) == len(header):
            rows.append(cells)
            lines.append(at)
        else:
            odd.append((at, len(cells)))
    problems = _describe_odd(name, odd, len(header), delimiter)
    if not rows:
        raise problems[0] if problems else UsageError(f"{name}: there is a header but no row")
    cells = np.array(rows, object)
    names, kept = _name_columns(name, line, header, cells)
    return Table(names, cells[:, kept], (name,), np.zeros(len(rows), np.int64), np.array(lines), problems)


def _describe_odd(name: str, odd: list[tuple[int, int]], width: int, delimiter: str) -> tuple[UsageError, ...]:
    """Rows (line, cells) that have other than `width` cells."""
    if not odd:
        return ()
    line, count = odd[0]
    also = f"; so have {len(odd) - 1} more, at lines {', '.join(str(at) for at, _ in odd[1:6])}" if odd[1:] else ""
    what = f"line {line} has {count} cell{'s' * (count != 1)}, but the header {width}{also}"
    return (UsageError(f"{name}: {what}; quote cells that hold {quote(delimiter)}"),)


def _name_columns(name: str, line: int, header: list[str], cells: np.ndarray) -> tuple[tuple[str, ...], list[int]]:
    """Names, each once, of the columns that are kept, and their places."""
    kept, names = [], []
    for place, title in enumerate(header):
        index = place == 0 and title in ("", "Unnamed: 0") and len(header) > 1
        if title == "Unnamed: 0" and index:  # what pandas makes of an index that it reads again
            index = len(set(cells[:, 0])) == len(cells)
        if index or (not title and not any(cells[:, place])):
            what = "an index" if index else "empty"
            log.info("%s: column %d without a name is %s and left out", name, place + 1, what)
            continue
        if not title:
            raise UsageError(
                f"{name}: column {place + 1} of {len(header)} has no name in the header (line {line}); name or "
                "delete it"
            )
        number = 0
        while (unique := f"{title}.{number}" if number else title) in names or (number and unique in header):
            number += 1
        kept.append(place)
        names.append(unique)
    renamed = [new for new, place in zip(names, kept, strict=True) if new != header[place]]
    if renamed:
        log.warning("%s: names of columns that stand twice are numbered: %s", name, join_names(renamed))
    return tuple(names), kept


def _iterate_records(name: str, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line at which each row begins, from 1, and its cells without whitespace around them; no empty line."""
    reader = csv.reader(
        io.StringIO(text, newline=""),  # a quoted line break stays as it is
        delimiter=delimiter,
        skipinitialspace=delimiter != " ",  # else the quotes in `1, "a, b"` would be text
        strict=True,
    )
    begin = 1
    try:
        for cells in reader:
            line, begin = begin, reader.line_num + 1
            if cells:
                yield line, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise UsageError(f"{name}: the row at line {begin} cannot be read (a quote left open?): {error}") from error


def _read_text(key: str, path: str) -> str:
    if not path:
        raise UsageError(f"{key} is empty: give the file, as in dataset.{key}=data.csv")
    name = f"{key}={path}"
    file = Path(path)
    try:
        if file.is_dir():
            raise UsageError(f"{name} is a folder: give the file, as in dataset.{key}=data.csv")
        raw = file.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{name}: no such file (looked for {file.resolve()})") from error
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from error
    if raw[:2] == b"PK":
        raise UsageError(f"{name} is a .zip or .npz archive, no text: take dataset=npz, or unpack the table")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = len(raw) - len(error.object) + error.start  # the codec counts from behind a byte order mark
        line = raw.count(b"\n", 0, place) + 1
        raise UsageError(
            f"{name}: byte {place} (0x{raw[place]:02x}, line {line}) is no UTF-8; save the file as UTF-8"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UsageError(f"{name}: line {line} holds a NUL character: no text file, or not UTF-8; save it as UTF-8")
    return text


def _check_header(name: str, line: int, cells: list[str], delimiter: str) -> None:
    if any(cells) and all(parse_number(cell) is not None for cell in cells if cell):
        raise UsageError(f"{name}: line {line} holds numbers only; put a header line with the columns' names above it")
    signs = [sign for sign in ",;\t|" if sign != delimiter and sign in cells[0]]
    if len(cells) == 1 and signs:
        raise UsageError(
            f"{name}: the header is the one name {quote(cells[0])}; are columns set apart by another sign?\n"
            f'Set "dataset.delimiter={quote(signs[0])}", or rename the column.'
        )
    for place, cell in enumerate(cells, 1):
        if cell and cell in cells[: place - 1] and (parse_number(cell) is not None or not cell.strip("?-. ")):
            raise UsageError(
                f"{name}: columns {cells.index(cell) + 1} and {place} are both named {quote(cell)}; rename one, or put "
                "a header line above the rows if there is none"
            )

"""Text tables: a header and rows of as many cells, or words about the line that is wrong."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aeexp.errors import UsageError


class Table(NamedTuple):
    """Rows of one file or, joined, of several; cells have no whitespace around them."""

    header: tuple[str, ...]
    cells: np.ndarray  # (N, C) str objects
    files: tuple[str, ...]  # as a message begins: "path=adult.csv"
    file: np.ndarray  # (N,) place in `files`
    line: np.ndarray  # (N,) where the row begins in its file, from 1

    def column(self, name: str) -> np.ndarray:
        """(N,) the cells of this column."""
        return self.cells[:, self.header.index(name)]

    def where(self, row: int) -> str:
        """`path=adult.csv: line 7`."""
        return f"{self.files[self.file[row]]}: line {self.line[row]}"

    def take(self, rows: np.ndarray) -> Table:
        return self._replace(cells=self.cells[rows], file=self.file[rows], line=self.line[rows])

    def empty(self, missing: Collection[str]) -> np.ndarray:
        """(N, C) which cells hold one of these texts."""
        return np.fromiter((cell in missing for cell in self.cells.flat), bool, self.cells.size).reshape(
            self.cells.shape
        )


def number(text: str) -> float | None:
    """None where the text is no number; 1_000 is none, though Python reads it as one."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def shown(text: str) -> str:
    """In quotes, on one line, cut where it is long."""
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def listed(names: Sequence[str]) -> str:
    """As one writes a list on the command line; the first twenty."""
    plain = [name if name.isprintable() else shown(name) for name in names[:20]]
    return ",".join(plain) + (",..." if len(names) > 20 else "")


def option(key: str, names: Sequence[str]) -> str:
    """As one pastes a list into the command: in quotes for the shell and for Hydra where a name needs them."""
    plain = all(re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) for name in names)
    words = {"null", "true", "false", "nan", "inf"}  # Hydra would read a value
    if plain and not words & {name.lower() for name in names}:
        return f"dataset.{key}=[{','.join(names)}]"
    quoted = (name.replace("\\", "\\\\").replace("'", r"\'") for name in names)
    inner = ",".join(f"'{name}'" if name.isprintable() else shown(name) for name in quoted)  # one line always
    return f'"dataset.{key}=[{inner}]"'


def separator(delimiter: str) -> str:
    r"""The character meant; `\t`, which no shell makes a tab, is one."""
    delimiter = "\t" if delimiter == r"\t" else delimiter
    single = len(delimiter) == 1 and (delimiter == "\t" or delimiter.isprintable()) and delimiter != '"'
    if not single:
        raise UsageError(
            rf"delimiter={delimiter!r} must be one character, as in \"dataset.delimiter=';'\"; '\t' is a tab"
        )
    return delimiter


def join(tables: Sequence[Table]) -> Table:
    """All rows, the files one after another. Raises UsageError where a header differs from the first."""
    first = tables[0]
    for table in tables[1:]:
        name, other = table.files[0], len(table.header)
        same = other == len(first.header)
        if not same:
            raise UsageError(f"{name}: the header has {other} columns, that of {first.files[0]} {len(first.header)}")
        for place, (here, there) in enumerate(zip(table.header, first.header, strict=True), 1):
            words = f"{name}: column {place} of the header is {shown(here)}, but {shown(there)} in {first.files[0]}"
            if here != there:
                raise UsageError(f"{words}; the headers must be equal")
    parts = (np.concatenate([getattr(table, field) for table in tables]) for field in ("cells", "line"))
    cells, line = parts
    file = np.repeat(np.arange(len(tables)), [len(table.cells) for table in tables])
    return Table(first.header, cells, tuple(table.files[0] for table in tables), file, line)


def read(key: str, path: str, delimiter: str) -> Table:
    """The table in a file; `key` is the option that named it. Raises UsageError."""
    name = f"{key}={path}"
    header, rows, lines = None, [], []
    reader = csv.reader(
        io.StringIO(_text(key, path), newline=""),  # a quoted line break stays as it is
        delimiter=delimiter,
        skipinitialspace=delimiter != " ",  # else the quotes in `1, "a, b"` would be text
        strict=True,
    )
    begin = 1
    try:
        for cells in reader:
            line, begin = begin, reader.line_num + 1
            cells = [cell.strip() for cell in cells]
            if not cells or (cells == [""] and (header is None or len(header) > 1)):
                continue  # a blank line, as many files end with; of one column, "" in quotes is a cell
            if header is None:
                header = _header(name, line, cells, delimiter)
                continue
            count = len(cells)
            words = f"{name}: line {line} has {count} cell{'s' * (count != 1)}, but the header {len(header)}"
            if count != len(header):
                raise UsageError(f"{words}; quote cells that hold {shown(delimiter)}")
            rows.append(cells)
            lines.append(line)
    except csv.Error as error:
        raise UsageError(f"{name}: the row at line {begin} cannot be read (a quote left open?): {error}") from error
    if header is None:
        raise UsageError(f"{name}: the file is empty; a header line and rows are needed")
    if len(rows) <= 0:
        raise UsageError(f"{name}: there is a header but no row")
    return Table(tuple(header), np.array(rows, object), (name,), np.zeros(len(rows), np.int64), np.array(lines))


def _text(key: str, path: str) -> str:
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
        words = f"{name}: byte {place} (0x{raw[place]:02x}, line {line}) is no UTF-8"
        raise UsageError(f"{words}; save the file as UTF-8") from error
    place = text.find("\0")
    line = text.count("\n", 0, max(place, 0)) + 1
    if not place < 0:
        raise UsageError(f"{name}: line {line} holds a NUL character: no text file, or not UTF-8; save it as UTF-8")
    return text


def _header(name: str, line: int, cells: list[str], delimiter: str) -> list[str]:
    numbers = all(number(cell) is not None for cell in cells if cell) and any(cells)
    if numbers:
        raise UsageError(f"{name}: line {line} holds numbers only; put a header line with the columns' names above it")
    other = [sign for sign in ",;\t|" if sign != delimiter and sign in cells[0]]
    words = f"{name}: the header is the one name {shown(cells[0])}; are columns set apart by another sign?"
    hint = f'\nSet "dataset.delimiter={shown(other[0])}", or rename the column.' if other else ""
    if len(cells) <= 1 and other:
        raise UsageError(words + hint)
    seen: dict[str, int] = {}
    for place, cell in enumerate(cells, 1):
        if not cell:
            raise UsageError(
                f"{name}: column {place} of {len(cells)} has no name in the header (line {line}); name or delete it"
            )
        words = f"{name}: columns {seen.get(cell)} and {place} are both named {shown(cell)}; rename one"
        if cell in seen:
            raise UsageError(f"{words}, or put a header line above the rows if there is none")
        seen[cell] = place
    return cells

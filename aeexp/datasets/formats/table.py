"""Text tables: a header and rows of as many cells, or words about the line that is wrong."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
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

    def get_column(self, name: str) -> np.ndarray:
        """(N,) the cells of this column."""
        return self.cells[:, self.header.index(name)]

    def locate(self, row: int) -> str:
        """`path=adult.csv: line 7`."""
        return f"{self.files[self.file[row]]}: line {self.line[row]}"

    def take(self, rows: np.ndarray) -> Table:
        """These rows."""
        return self._replace(cells=self.cells[rows], file=self.file[rows], line=self.line[rows])

    def find_empty(self, missing: Collection[str]) -> np.ndarray:
        """(N, C) which cells hold one of these texts."""
        return np.array([[cell in missing for cell in row] for row in self.cells.tolist()])


def parse_number(text: str) -> float | None:
    """None where the text is no number; 1_000 is none, though Python reads it as one."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def quote(text: str) -> str:
    """In quotes, on one line, cut where it is long."""
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def join_names(names: Sequence[str]) -> str:
    """As one writes a list on the command line; the first twenty."""
    plain = [name if name.isprintable() else quote(name) for name in names[:20]]
    return ",".join(plain) + (",..." if len(names) > 20 else "")


def write_option(key: str, names: Sequence[str]) -> str:
    """As one pastes a list into the command: in quotes for the shell and for Hydra where a name needs them."""
    plain = all(re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) for name in names)
    values = {"null", "true", "false", "nan", "inf"}  # Hydra would read them as such
    if plain and not values & {name.lower() for name in names}:
        return f"dataset.{key}=[{','.join(names)}]"
    quoted = (name.replace("\\", "\\\\").replace("'", r"\'") for name in names)
    inner = ",".join(f"'{name}'" if name.isprintable() else quote(name) for name in quoted)  # one line always
    return f'"dataset.{key}=[{inner}]"'


def parse_delimiter(delimiter: str) -> str:
    r"""The character meant; `\t`, which no shell makes a tab, is one."""
    delimiter = "\t" if delimiter == r"\t" else delimiter
    if len(delimiter) != 1 or delimiter == '"' or not (delimiter == "\t" or delimiter.isprintable()):
        raise UsageError(
            rf"delimiter={delimiter!r} must be one character, as in \"dataset.delimiter=';'\"; '\t' is a tab"
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
    return Table(first.header, cells, tuple(table.files[0] for table in tables), file, line)


def read(key: str, path: str, delimiter: str) -> Table:
    """The table in a file; `key` is the option that named it. Raises UsageError."""
    name = f"{key}={path}"
    records = _iterate_records(name, _read_text(key, path), delimiter)
    line, header = next((record for record in records if record[1] != [""]), (0, []))
    if not header:
        raise UsageError(f"{name}: the file is empty; a header line and rows are needed")
    _check_header(name, line, header, delimiter)
    rows, lines = [], []
    for line, cells in records:
        if cells == [""] and len(header) > 1:
            continue  # a blank line; of one column, "" in quotes is a cell
        if len(cells) != len(header):
            count = f"{len(cells)} cell{'s' * (len(cells) != 1)}"
            raise UsageError(
                f"{name}: line {line} has {count}, but the header {len(header)}; "
                f"quote cells that hold {quote(delimiter)}"
            )
        rows.append(cells)
        lines.append(line)
    if not rows:
        raise UsageError(f"{name}: there is a header but no row")
    return Table(tuple(header), np.array(rows, object), (name,), np.zeros(len(rows), np.int64), np.array(lines))


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
    seen: dict[str, int] = {}
    for place, cell in enumerate(cells, 1):
        if not cell:
            raise UsageError(
                f"{name}: column {place} of {len(cells)} has no name in the header (line {line}); name or delete it"
            )
        if cell in seen:
            raise UsageError(
                f"{name}: columns {seen[cell]} and {place} are both named {quote(cell)}; rename one, or put a header "
                "line above the rows if there is none"
            )
        seen[cell] = place

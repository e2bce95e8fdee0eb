"""Text files: a row is a line, token by token."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.spelling import MOST, Spelling, find_letters
from aeexp.errors import UsageError

log = logging.getLogger(__name__)

LARGEST = 1 << 30  # bytes of a file
Unit = Literal["characters", "bytes"]


@DataSet
def text(path: str, unit: Unit = "characters", longest: Annotated[int, Interval(ge=1, le=4096)] = 64) -> Source:
    """Lines of a UTF-8 file as rows (N, longest + 1, 1) of tokens, with a token for the end; empty ones are no rows.

    What stands before the only tab of a line is its label, where every line has one. `unit` says what a token is: a
    character of those in the file, or a byte. Lines of more than `longest` tokens are left out, with a word.
    """
    if not path:
        raise UsageError("path is empty: give the file, as in dataset.path=sentences.txt")
    lines = _read_lines(path)
    parts = [line.split("\t") for line in lines]
    labelled = all(len(part) == 2 for part in parts)
    if not labelled and any("\t" in line for line in lines):
        first = next(number for number, part in enumerate(parts, 1) if len(part) != 2)
        raise UsageError(f"path={path}: row {first} has no label before a tab, others have: {lines[first - 1][:40]!r}")
    try:
        return make_source(
            [part[-1] for part in parts], [part[0] for part in parts] if labelled else None, unit, longest
        )
    except UsageError as error:
        raise UsageError(f"path={path}: {error}") from error


def make_source(texts: Sequence[str], names: Sequence[str] | None, unit: Unit, longest: int) -> Source:
    """Of texts with the names of their classes. Raises UsageError where none is left, or characters are too many."""
    sizes = np.array([len(text) if unit == "characters" else len(text.encode()) for text in texts])
    kept: list[int] = np.flatnonzero((sizes > 0) & (sizes <= longest)).tolist()
    if len(kept) < len(texts):
        log.info(
            "%d of %d lines have more than %d %s and are left out", len(texts) - len(kept), len(texts), longest, unit
        )
    if not kept:
        raise UsageError(f"no line has {longest} {unit} or fewer: take dataset.longest={int(sizes.min())}")
    chosen = [texts[place] for place in kept]
    letters = find_letters(chosen) if unit == "characters" else ""
    if len(letters) > MOST:
        raise UsageError(f"{len(letters)} different characters, and {MOST} have a token each: take dataset.unit=bytes")
    spelling = Spelling(letters)
    x, lengths = spelling.encode(chosen, longest + 1)
    rows = Rows(x, lengths=lengths)
    classes: tuple[str, ...] = ()
    if names is not None:
        classes, y = (part.tolist() for part in np.unique([names[place] for place in kept], return_inverse=True))
        rows = rows._replace(y=np.asarray(y, np.int64))
    return Source(rows, scale=1 / (spelling.size - 1), classes=tuple(classes), spelling=spelling)


def _read_lines(path: str) -> list[str]:
    place = Path(path)
    if not place.is_file():
        raise UsageError(f"path={path}: no such file (looked for {place.resolve()})")
    if place.stat().st_size > LARGEST:
        raise UsageError(f"path={path} has more than 1 GB: give a part of it")
    try:
        content = place.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"path={path} is no UTF-8 (byte {error.start}): save it as UTF-8") from error
    lines = [line.strip(" \r") for line in content.replace("\0", "").split("\n")]
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise UsageError(f"path={path} has no text")
    return lines

"""What a checkpoint says beside its weights, held against the types that it is written with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from typing import Any, final, get_args

from pydantic import InstanceOf, TypeAdapter, ValidationError
from torch import Tensor

from aeexp.datasets.core.preprocessing import Binarise
from aeexp.datasets.core.spelling import MOST as MOST_LETTERS
from aeexp.datasets.core.spelling import Spelling
from aeexp.datasets.core.tabular import Tabular
from aeexp.datasets.formats.numerals import choose_numerals
from aeexp.datasets.formats.table import parse_delimiter
from aeexp.datasets.formats.table_source import Missing
from aeexp.errors import UsageError
from aeexp.runs.provenance import Provenance
from aeexp.trainers.checkpoint import Progress, Saved
from aeexp.types import Facts

LONGEST = 100  # letters of a package, its version or a hash
MOST = 2**31  # of sizes and counts
Numbers = float | InstanceOf[Tensor]


@final
@dataclass
class Units:
    """What `Preprocessing` takes."""

    scale: Numbers
    shift: Numbers
    binarise: Binarise
    clip: bool


@final
@dataclass
class Account:
    """What new rows must go through (`Data.account`)."""

    preprocessing: Units
    dtype: str
    unit: float
    limits: tuple[float, float]
    classes: list[str]
    attributes: list[str]
    response: str = ""
    table: Tabular | None = None  # of a table; older runs do not say
    letters: str | None = None  # of text


@final
@dataclass
class Header:
    """Of a run that was trained to an end, or to a point."""

    run_id: str
    config: dict[str, Any]
    facts: Facts
    progress: Progress
    fingerprint: str | None = None
    data: Account | None = None  # older runs do not say
    init: str | None = None  # digests of what it began with (`runs/origin.py`)
    extends: str | None = None
    foreign: dict[str, Provenance] = field(default_factory=dict)  # parts of other packages by their _target_


def read_header(saved: Saved) -> Header:
    """Raises UsageError for a value of another type than training writes."""
    try:
        header = _adapter().validate_python({key: saved[key] for key in Header.__annotations__ if key in saved})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"{place}: {first['msg']}: no checkpoint of a run holds that") from error
    seed = header.config.get("seed")
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise UsageError("config.seed: no whole number between 0 and 2^32 - 1: no checkpoint of a run holds that")
    shape, classes, codes, columns, target, _, response, tokens = header.facts
    counts = (classes, codes, columns, tokens)
    if not all(0 < size < MOST for size in (*shape, *target)) or not all(0 <= count < MOST for count in counts):
        raise UsageError("facts: no sizes of a data set: no checkpoint of a run holds that")
    if response is not None and not (all(map(math.isfinite, response)) and response[1] > 0):
        raise UsageError("facts.response: no mean and deviation: no checkpoint of a run holds that")
    for each in header.foreign.values():
        texts = (each.package, each.version or "", each.source or "")
        if not all(text.isprintable() and len(text) <= LONGEST for text in texts):
            raise UsageError("foreign: no name or version of a package: no checkpoint of a run holds that")
    if header.data is not None and header.data.table is not None:
        _check_table(header.data.table, shape)
    if header.data is not None and header.data.letters is not None:
        letters = header.data.letters
        if len(set(letters)) != len(letters) or tokens != Spelling(letters).size or tokens > 1 + MOST_LETTERS:
            raise UsageError("data.letters: not those of its tokens: no checkpoint of a run holds that")
    return header


def _check_table(table: Tabular, shape: tuple[int, ...]) -> None:
    """Raises UsageError where a table is none that rows of this shape were made of."""
    if shape != (table.width,):
        raise UsageError(f"data.table: its columns are {table.width} features, and rows have shape {shape}")
    if table.missing not in get_args(Missing):
        raise UsageError("data.table.missing: no checkpoint of a run holds that")
    table.check()
    parse_delimiter(table.delimiter)
    choose_numerals(table.decimal, table.thousands or None)


@cache
def _adapter() -> TypeAdapter[Header]:
    return TypeAdapter(Header)

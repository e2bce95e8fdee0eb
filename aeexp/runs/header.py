"""What a checkpoint says beside its weights, held against the types that it is written with."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, final

from pydantic import InstanceOf, TypeAdapter, ValidationError
from torch import Tensor

from aeexp.datasets.core.preprocessing import Binarise
from aeexp.errors import UsageError
from aeexp.runs.origin import Origin
from aeexp.trainers.checkpoint import Progress, Saved
from aeexp.types import Facts

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
    foreign: dict[str, Origin] = field(default_factory=dict)  # parts of other packages by their _target_


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
    shape, classes, codes, columns, target, _ = header.facts
    counts = (classes, codes, columns)
    if not all(0 < size < MOST for size in (*shape, *target)) or not all(0 <= count < MOST for count in counts):
        raise UsageError("facts: no sizes of a data set: no checkpoint of a run holds that")
    return header


@cache
def _adapter() -> TypeAdapter[Header]:
    return TypeAdapter(Header)

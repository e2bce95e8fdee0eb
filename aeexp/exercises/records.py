"""What an exercise is: a file with functions, and laws that they keep."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple


class Law(NamedTuple):
    """What a right solution keeps."""

    name: str
    points: int
    check: Callable[[ModuleType], str | None]  # what is wrong, to a student; None where nothing is


class Exercise(NamedTuple):
    """What is asked of a file."""

    name: str
    functions: tuple[str, ...]  # that the file must have
    laws: tuple[Law, ...]

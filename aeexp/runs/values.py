"""One value of a configuration against the type and range of the parameter that it is for."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Interval
from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from aeexp.errors import UsageError


def suggestion(word: str, known: Iterable[str]) -> str:
    """`: did you mean ...?`, or the list of what is known."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    if near:
        return f": did you mean {near[0]}?"
    return f"; it has {', '.join(known)}" if known else "; it takes none"


def check_value(path: str, value: Any, hint: Any) -> None:
    """Raises UsageError on a value that is not what its parameter's type and range say."""
    if isinstance(value, int) and abs(value) >= 2**63:
        raise UsageError(f"{path}={value} is larger than any machine counts")
    # JSON's rules, strictly: a list fits a tuple, a whole number fits a float, a string never fits a number.
    try:
        adapter = _build_adapter(hint)
    except PydanticSchemaGenerationError:
        return
    try:
        adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        raise UsageError(f"{path}={value!r} should be {describe_type(hint)}") from error


@cache
def _build_adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False))


def describe_type(hint: Any) -> str:
    """A parameter's type in words, as messages and the reference say it: "a whole number of at least 1"."""
    if get_origin(hint) is Annotated:
        number, interval = get_args(hint)
        return f"{describe_type(number)} {_describe_interval(interval)}"
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    if hint in plain:
        return plain[hint]
    arguments = get_args(hint)
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if get_origin(hint) in (list, tuple, Sequence) and get_origin(arguments[0]) is Literal:
        return f"a list of names out of {describe_type(arguments[0]).removeprefix('one of ')}"
    if get_origin(hint) in (list, tuple, Sequence):
        item = describe_type(arguments[0]).removeprefix("a ")
        return f"a list of {item.replace('number', 'numbers', 1) if 'number' in item else item + 's'}"
    # a tensor, say, cannot be typed on a command line
    return " or ".join(text for argument in arguments if (text := describe_type(argument)))


def _describe_interval(interval: Interval) -> str:
    low, high = interval.ge, interval.le
    if high is not None:
        return f"from {low} to {high}" if low is not None else f"above {interval.gt} and at most {high}"
    start = f"of at least {low}" if low is not None else f"above {interval.gt}"
    return start if interval.lt is None else f"{start} and below {interval.lt}"

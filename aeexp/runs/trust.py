"""What may be built: the options that this installation's conf/ names, in the places that it names them for.

What a run folder says is data of a stranger. A `_target_` in it is compared with those of conf/ before anything is
imported, and what is found under that name must be at home there; nothing else of the text decides what is run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hydra.utils import get_object

from aeexp.errors import UsageError
from aeexp.reference.parts import MULTIPLE, Part, find_parts, find_places

DEPTH, VALUES, LENGTH = 16, 20_000, 20_000  # of a stored configuration: levels, values in all, characters of a text
WIDEST = 2**63  # beyond which no whole number of ours lies
SHOWN = 400  # characters of a line that quotes a stranger


def check_plain(path: str, value: Any) -> None:
    """Refuse what is no plain value, what OmegaConf would resolve (`${...}`), and what is too deep or too much to be a
    configuration, as a list that holds itself. Raises UsageError."""
    left = VALUES

    def walk(path: str, value: Any, depth: int) -> None:
        nonlocal left
        left -= 1
        if depth > DEPTH or left < 0:
            raise UsageError(f"{path}: deeper or larger than any configuration of aeexp")
        if type(value) is dict:
            for key, inner in value.items():
                if type(key) is not str or not key.isprintable() or len(key) > 100:
                    raise UsageError(f"{path}: a key of it is {_quote(key)}")
                walk(f"{path}.{key}", inner, depth + 1)
        elif type(value) in (list, tuple):
            for place, inner in enumerate(value):
                walk(f"{path}[{place}]", inner, depth + 1)
        elif type(value) is str:
            if "${" in value or value == "???" or len(value) > LENGTH:
                raise UsageError(f"{path}={_quote(value)} is no value but something to resolve, or too long")
        elif type(value) is int:
            if abs(value) >= WIDEST:
                raise UsageError(f"{path}: a number of {value.bit_length()} bits")
        elif value is not None and type(value) not in (bool, float):
            raise UsageError(f"{path}: {_quote(type(value).__name__)} is no plain value")

    walk(path, value, 0)


def check_part(path: str, node: Any, group: str) -> None:
    """Refuse a node, or one within it, that no option of its group builds. Raises UsageError."""
    target, partial = _read_target(path, node)
    if Part(target, partial) not in find_parts(group):
        wrong = f"{path}._target_={_quote(target)}" + (" with _partial_" if partial else "")
        raise UsageError(f"{wrong}: no option of {group} builds that: aeexp-explain {group} lists them")
    if not _is_at_home(target, get_object(target)):
        raise UsageError(f"{path}._target_={target}: what this name leads to is something else: reinstall aeexp")
    places = find_places(group)
    for key, value in node.items():
        inner, place = f"{path}.{key}", places.get(key)
        if key in ("_target_", "_partial_") or (place is not None and value is None):
            continue
        if str(key).startswith("_"):
            raise UsageError(f"{inner}={_quote(value)}: there is no such key: leave it out")
        if place in MULTIPLE:
            for option, each in list_options(inner, value):
                check_part(f"{inner}.{option}", each, place)
        elif place is not None and isinstance(value, dict):
            check_part(inner, value, place)
        elif _holds_keys_of_hydra(value):
            raise UsageError(f"{inner}: nothing is built here (_target_): leave it out")


def _read_target(path: str, node: Any) -> tuple[str, bool]:
    """Of a node that builds something."""
    if not isinstance(node, dict) or "_target_" not in node:
        raise UsageError(f"{path}={_quote(node)} names no class to build (_target_)")
    target, partial = node["_target_"], node.get("_partial_", False)
    if type(target) is not str or type(partial) is not bool:
        raise UsageError(f"{path}._target_={_quote(target)}, _partial_={_quote(partial)}: a name and a truth value are")
    return target, partial


def list_options(path: str, node: Any) -> Iterator[tuple[str, Any]]:
    """Options of a group of which several may be named, each under a name of its own."""
    if not isinstance(node, dict):
        raise UsageError(f"{path}={_quote(node)}: options go here, each under its name")
    for option, each in node.items():
        if not isinstance(option, str) or not option.isidentifier() or option.startswith("_"):
            raise UsageError(f"{path}: {_quote(option)} is no name of an option")
        yield option, each


def _holds_keys_of_hydra(value: Any) -> bool:
    """Whether a node, or a word to Hydra, hides in what should be plain."""
    if isinstance(value, dict):
        return any(str(key).startswith("_") for key in value) or any(map(_holds_keys_of_hydra, value.values()))
    return isinstance(value, list | tuple) and any(map(_holds_keys_of_hydra, value))


def _is_at_home(target: str, found: Callable[..., Any]) -> bool:
    """Whether the thing found under a name is defined under that name, in its package or a module below it: not what
    was merely imported there, nor what hangs on a class."""
    package, _, name = target.rpartition(".")
    module = found.__module__
    inside = module == package or module.startswith(f"{package}.")
    return inside and found.__qualname__ == name and getattr(sys.modules.get(module), name, None) is found


@contextmanager
def name_source(source: object) -> Iterator[None]:
    """A UsageError from inside says first where the text came from, and quotes no more than two short lines of it."""
    try:
        yield
    except UsageError as error:
        lines = [_quote(line) for line in str(error).splitlines()[:2]]
        message = "\n".join(lines)
        raise UsageError(message if message.startswith(str(source)) else f"{source}: {message}") from error


def _quote(value: object) -> str:
    """On one line, without control characters."""
    plain = value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < WIDEST)
    text = value if isinstance(value, str) else repr(value) if plain else type(value).__name__
    return _shorten(text if text.isprintable() else ascii(text))


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."

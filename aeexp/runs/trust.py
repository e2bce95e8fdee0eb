"""What may be built: the options that this installation's conf/ names, in the places that it names them for, and parts
of packages that the reader trusts.

What a run folder says is data of a stranger. A `_target_` in it is compared with those of conf/ before anything is
imported, and what is found under that name must be at home there; nothing else of the text decides what is run. Of a
package that the reader trusts, parts of the group are built that it defines, and nothing else of it is called.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from hydra.utils import get_object

from aeexp.errors import UsageError, quote_words
from aeexp.reference.folders import VARIABLE, find_extensions, list_named
from aeexp.reference.parts import MULTIPLE, Part, find_parts, find_places, list_packages
from aeexp.runs.foreign import (
    NEVER,
    find_package,
    is_defined_there,
    list_foreign,
    locate,
    may_be_foreign,
    wants_partial,
)
from aeexp.runs.provenance import Provenance, name_provenance

DEPTH, VALUES, LENGTH = 16, 20_000, 20_000  # of a stored configuration: levels, values in all, characters of a text
WIDEST = 2**63  # beyond which no whole number of ours lies
SHOWN = 400  # characters of a line that quotes a stranger

Trust = frozenset[str]  # names of packages whose parts may be built
NOBODY: Trust = frozenset()


class Place(NamedTuple):
    """A node that builds something, and where it stands."""

    path: str
    target: str
    group: str
    foreign: bool  # no option of aeexp's own conf/


def read_trust(packages: Iterable[str] = ()) -> Trust:
    """Packages whose parts may be built from a run folder: these, those of AEEXP_TRUST, installed extensions, and
    what options in folders that the user named (--config-dir) are made of. Raises UsageError for what is no package."""
    given = [packages] if isinstance(packages, str) else list(packages)
    words = [word.strip() for text in (*given, os.environ.get(VARIABLE, "")) for word in text.split(",")]
    trusted = {word for word in words if word}
    for word in sorted(trusted):
        if find_package(f"{word}.X") != word:
            why = "no part is built of it" if word in NEVER else "name the package alone, as in mypkg"
            raise UsageError(f"trust={word}: {why}")
    named = (package for folder in list_named() for package in list_packages(folder))
    own = (extension.package for extension in find_extensions())
    return frozenset(trusted.union(own, (package for package in named if find_package(f"{package}.X"))))


def trust_own(config: Any) -> Trust:
    """Packages of a configuration that the user composed: what he types, he trusts."""
    return frozenset(target.partition(".")[0] for _, target in list_foreign(config))


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


def check_part(path: str, node: Any, group: str, trust: Trust = NOBODY) -> None:
    """Refuse a node, or one within it, that no option of its group builds, nor a package that is trusted. Raises
    UsageError."""
    check_parts([(path, node, group)], trust)


def check_parts(
    nodes: Sequence[tuple[str, Any, str]], trust: Trust, then: Mapping[str, Provenance] | None = None
) -> None:
    """`check_part` of several nodes (path, node, group): no package of another one is imported before all are known to
    be trusted. `then` is what the run says of them."""
    places = [place for path, node, group in nodes for place in _list_places(path, node, group)]
    _refuse_untrusted([place.target for place in places if place.foreign], trust, then or {})
    for path, target, group, foreign in places:
        if foreign:
            found = locate(path, target, group)
            if get_object(target) is not found:
                raise UsageError(f"{path}._target_={target}: this name leads to two things: rename one of them")
        elif not is_defined_there(target, get_object(target)):
            raise UsageError(f"{path}._target_={target}: what this name leads to is something else: reinstall aeexp")


def _refuse_untrusted(targets: Sequence[str], trust: Trust, then: Mapping[str, Provenance]) -> None:
    strange = sorted({target for target in targets if find_package(target) not in trust})
    if strange:
        packages = ",".join(sorted({str(find_package(target)) for target in strange}))
        names = ", ".join(name_provenance(target, then) for target in strange)
        ways = f"{quote_words('--trust', packages)}, trust={packages.split(',')} in Python, or {VARIABLE}={packages}"
        raise UsageError(f"it is built of {names}: that is no code of aeexp, and runs where you trust it:\n{ways}")


def _list_places(path: str, node: Any, group: str) -> Iterator[Place]:
    """The node and those within it that build something. Raises UsageError for what could be no part."""
    target, partial = _read_target(path, node)
    known = Part(target, partial) in find_parts(group)
    if not known and not may_be_foreign(target, group):
        wrong = f"{path}._target_={_quote(target)}" + (" with _partial_" if partial else "")
        raise UsageError(f"{wrong}: no option of {group} builds that: aeexp-explain {group} lists them")
    if not known and wants_partial(group) not in (partial, None):
        way = "leave it out" if partial else "its YAML needs _partial_: true, as it is given more at run time"
        raise UsageError(f"{path}._partial_={partial}: {way}")
    yield Place(path, target, group, not known)
    places = find_places(group)
    for key, value in node.items():
        inner, place = f"{path}.{key}", places.get(key)
        if key in ("_target_", "_partial_") or (place is not None and value is None):
            continue
        if str(key).startswith("_"):
            raise UsageError(f"{inner}={_quote(value)}: there is no such key: leave it out")
        if place in MULTIPLE:
            for option, each in list_options(inner, value):
                yield from _list_places(f"{inner}.{option}", each, place)
        elif place is not None and isinstance(value, dict):
            yield from _list_places(inner, value, place)
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

"""Where options lie: conf/ of this installation, that of each installed extension, and folders that a user names."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from aeexp.errors import UsageError
from aeexp.files import expand_home

log = logging.getLogger(__name__)

VARIABLE = "AEEXP_TRUST"  # of the environment: packages between commas
EXTENSIONS = "aeexp.extensions"  # the group of entry points: mypkg = "mypkg" adds conf/ beside mypkg/__init__.py
P = ParamSpec("P")
R = TypeVar("R")
_NAMED: ContextVar[tuple[str, ...]] = ContextVar("named", default=())


class Extension(NamedTuple):
    """An installed package that brings options."""

    package: str  # mypkg
    folder: str  # its conf/


@cache
def find_conf_dir() -> str:
    """conf/ beside the package in a checkout, inside it in an installed wheel."""
    here = Path(__file__).resolve().parents[1]
    folders = [folder for folder in (here.parent / "conf", here / "conf") if (folder / "config.yaml").is_file()]
    if not folders:
        raise RuntimeError(f"no conf/config.yaml beside or inside {here}")
    return str(folders[0])


@cache
def find_extensions() -> tuple[Extension, ...]:
    """Packages with an entry point in the group `aeexp.extensions`, in the order of their names; nothing is imported.

    The entry point's value is the package that conf/ lies in: `mypkg`, or `mypkg.sub`.
    """
    if not may_be_installed(EXTENSIONS):
        return ()
    from importlib.metadata import entry_points  # with `email`: a tenth of what --help takes

    found: dict[str, Extension] = {}
    for point in sorted(entry_points(group=EXTENSIONS), key=lambda point: point.name):
        package, *below = point.module.split(".")
        root = find_root(package)
        folder = None if root is None or not root.is_dir() else root.joinpath(*below, "conf")
        if folder is None or not folder.is_dir():
            log.warning("the extension %s is left out: no folder conf/ in the package %s", point.name, point.module)
            continue
        found.setdefault(point.module, Extension(package, str(folder)))
    return tuple(found.values())


def may_be_installed(group: str) -> bool:
    """Whether the entry points of any installed package speak of `group`; where it cannot be told, they may."""
    for place in map(Path, sys.path):
        if place.suffix == ".egg":
            return True
        try:
            names = os.listdir(place)
        except FileNotFoundError:
            continue
        except OSError:  # a .zip
            return True
        for name in names:
            if name.endswith(".egg"):
                return True
            if name.endswith((".dist-info", ".egg-info")):
                file = place / name / "entry_points.txt"
                try:
                    if file.is_file() and group.encode() in file.read_bytes():
                        return True
                except OSError:
                    return True
    own = {getattr(finder, "find_distributions", None) for finder in sys.meta_path} - {None}
    return own != {PathFinder.find_distributions}  # of another finder, whose packages lie elsewhere


def find_root(package: str) -> Path | None:
    """The folder of a package, or the file of a module, of this name; None where it is not installed.

    Nothing is imported. Looked for beside the folders that a user names as well (`list_import_paths`).
    """
    spec = PathFinder.find_spec(package, [*sys.path, *list_import_paths(list_named())])
    if spec is None:
        return None
    if spec.submodule_search_locations is not None:
        return next((Path(place) for place in spec.submodule_search_locations), None)
    return Path(spec.origin) if spec.origin else None


def list_named() -> tuple[str, ...]:
    """The folders that a user has named by --config-dir."""
    return _NAMED.get()


def list_conf_dirs() -> tuple[str, ...]:
    """All folders of options; where two hold one of the same name, the first counts, as it does for Hydra."""
    return (find_conf_dir(), *(each.folder for each in find_extensions()), *list_named())


@contextmanager
def name_folders(folders: Iterable[str | Path]) -> Iterator[None]:
    """Inside, options of these folders are composed, explained and listed too."""
    named = (*_NAMED.get(), *(str(Path(folder).resolve()) for folder in folders))
    token = _NAMED.set(tuple(dict.fromkeys(named)))
    try:
        yield
    finally:
        _NAMED.reset(token)


@contextmanager
def use_folders(folders: Iterable[str | Path], word: str, here: bool = False) -> Iterator[None]:
    """Inside, options of these folders are there as well, and Python finds the packages beside them, for good; with
    `here` those in the current folder too. Raises UsageError, which begins with `word`, for one that is not there."""
    found = [expand_home(str(folder)) for folder in folders]
    for folder in found:
        if not Path(folder).is_dir():
            raise UsageError(f"{word}{folder}: there is no such folder: give that of your YAML files")
    add_import_paths(found, here)
    with name_folders(found):
        yield


def list_import_paths(folders: Iterable[str]) -> list[str]:
    """Where the classes of a user's folders of options are looked for: beside each, and in the current directory."""
    folders = list(folders)
    return [*(str(Path(folder).resolve().parent) for folder in folders), str(Path.cwd())] if folders else []


def add_import_paths(folders: Iterable[str], here: bool = False) -> None:
    """Let Python import what stands beside these folders, and with `here` in the current directory: behind all else,
    so that nothing of a library is hidden by it."""
    paths = [*list_import_paths(folders), *([str(Path.cwd())] if here else [])]
    sys.path += [path for path in dict.fromkeys(paths) if path not in sys.path]


def by_folders(function: Callable[P, R]) -> Callable[P, R]:
    """`functools.cache` for what reads the folders of options: anew where these are others."""

    @cache
    def call(folders: tuple[str, ...], *args, **kwargs):
        return function(*args, **kwargs)

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        return call(list_conf_dirs(), *args, **kwargs)

    return wrapped

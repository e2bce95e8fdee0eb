"""Which classes and functions conf/ builds, and where in a configuration: found in its YAML, listed nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from aeexp.errors import UsageError
from aeexp.files import YAML_LOADER
from aeexp.reference.folders import by_folders, find_conf_dir, list_conf_dirs
from aeexp.reference.options import HERE, SELF, find_file

MULTIPLE = ("noise", "regularizer", "metric", "plot")  # groups whose options nest under their own key


class Part(NamedTuple):
    """What an option's node builds."""

    target: str  # aeexp.latents.Gaussian
    partial: bool  # whether it waits for more at run time


@cache
def find_parts(group: str) -> frozenset[Part]:
    """What aeexp's own options of a group build: of latent/prior the priors alone."""
    return frozenset(
        Part(node["_target_"], bool(node.get("_partial_", False)))
        for name, tree in _read_group(group, (find_conf_dir(),))
        for node in (tree, tree.get(name))  # options of which several may be named nest under their own name
        if isinstance(node, dict) and "_target_" in node
    )


@by_folders
def find_places(group: str) -> dict[str, str]:
    """Key -> group of the parts that stand below it, as defaults lists say: prior -> latent/prior for latent, and for
    trainer corruption -> noise, finetune -> trainer."""
    places: dict[str, str] = {}
    for _, tree in _read_group(group, list_conf_dirs()):
        for item in tree.get("defaults", ()):
            if isinstance(item, dict):
                for word in item:
                    named, _, key = word.removeprefix("override ").partition("@")
                    place = named[1:] if named.startswith("/") else f"{group}/{named}"
                    places[(key or named).rpartition(".")[2]] = place
            elif item != SELF and "@" in item and not item.endswith(HERE):
                places[item.partition("@")[2]] = group
    return places


def list_packages(folder: str) -> frozenset[str]:
    """Names of the packages whose classes the options of a folder name: mypkg of `_target_: mypkg.Hoyer`."""
    paths = Path(folder).rglob("*.yaml")
    return frozenset(target.partition(".")[0] for path in paths for target in _list_targets(_read_yaml(path)))


def _list_targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(target := node.get("_target_"), str):
            yield target
        for inner in node.values():
            yield from _list_targets(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _list_targets(inner)


def _read_group(group: str, folders: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and content of each option."""
    for name in sorted({path.stem for folder in folders for path in Path(folder, group).glob("*.yaml")}):
        yield name, _read_option(group, name)


@by_folders
def _read_option(group: str, name: str) -> dict[str, Any]:
    """The content of a file on top of those that it takes in whole (`joint@_here_`)."""
    tree = _read_yaml(find_file(f"{group}/{name}"))
    inherited: dict[str, Any] = {}
    for item in tree.get("defaults", ()):
        if isinstance(item, str) and item.endswith(HERE):
            folder, _, file = item.removesuffix(HERE).rpartition("/")
            folder = folder[1:] if folder.startswith("/") else f"{group}/{folder}".rstrip("/")
            inherited |= _read_option(folder, file)
    return {**inherited, **tree}


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(path.read_bytes(), YAML_LOADER)
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    return tree if isinstance(tree, dict) else {}

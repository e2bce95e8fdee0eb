"""Which classes and functions conf/ builds, and where in a configuration: found in its YAML, listed nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from aeexp.files import YAML_LOADER
from aeexp.reference.options import HERE, SELF, find_conf_dir

MULTIPLE = ("noise", "regularizer", "metric", "plot")  # groups whose options nest under their own key


class Part(NamedTuple):
    """What an option's node builds."""

    target: str  # aeexp.latents.Gaussian
    partial: bool  # whether it waits for more at run time


@cache
def find_parts(group: str) -> frozenset[Part]:
    """What the options of a group build: of latent/prior the priors alone."""
    return frozenset(
        Part(node["_target_"], bool(node.get("_partial_", False)))
        for name, tree in _read_group(group)
        for node in (tree, tree.get(name))  # options of which several may be named nest under their own name
        if isinstance(node, dict) and "_target_" in node
    )


@cache
def find_places(group: str) -> dict[str, str]:
    """Key -> group of the parts that stand below it, as defaults lists say: prior -> latent/prior for latent, and for
    trainer corruption -> noise, finetune -> trainer."""
    places: dict[str, str] = {}
    for _, tree in _read_group(group):
        for item in tree.get("defaults", ()):
            if isinstance(item, dict):
                for word in item:
                    named, _, key = word.removeprefix("override ").partition("@")
                    place = named[1:] if named.startswith("/") else f"{group}/{named}"
                    places[(key or named).rpartition(".")[2]] = place
            elif item != SELF and "@" in item and not item.endswith(HERE):
                places[item.partition("@")[2]] = group
    return places


def _read_group(group: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and content of each option."""
    for path in sorted(Path(find_conf_dir(), group).glob("*.yaml")):
        yield path.stem, _read_option(group, path.stem)


@cache
def _read_option(group: str, name: str) -> dict[str, Any]:
    """The content of a file on top of those that it takes in whole (`joint@_here_`)."""
    tree = yaml.load(Path(find_conf_dir(), group, f"{name}.yaml").read_bytes(), YAML_LOADER) or {}
    inherited: dict[str, Any] = {}
    for item in tree.get("defaults", ()):
        if isinstance(item, str) and item.endswith(HERE):
            folder, _, file = item.removesuffix(HERE).rpartition("/")
            folder = folder[1:] if folder.startswith("/") else f"{group}/{folder}".rstrip("/")
            inherited |= _read_option(folder, file)
    return {**inherited, **tree}

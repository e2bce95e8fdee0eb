"""A YAML file as a person reads it: each value as it is written, with the comment behind it."""

from __future__ import annotations

import re
from typing import NamedTuple

import yaml

from aeexp.files import YAML_LOADER


class Key(NamedTuple):
    """One value of a file."""

    path: str  # as typed: regularizer.kl.weight
    value: str  # as the YAML has it
    comment: str


def parse_nodes(text: str) -> yaml.Node | None:
    """The root of the nodes, which know their place in `text`; None of a file that says nothing."""
    return yaml.compose(text, Loader=YAML_LOADER)


def get_child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    """The value under the key `name`, if the node is a mapping that has it."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == name), None)


def list_names(node: yaml.Node) -> list[str]:
    """The texts of a list, or the one text."""
    return [item.value for item in node.value] if isinstance(node, yaml.SequenceNode) else [node.value]


def list_keys(text: str, node: yaml.Node | None, prefix: str) -> list[Key]:
    """Every value below a node but its defaults list, in the order of the file."""
    keys = []
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        path = f"{prefix}{key.value}"
        if key.value == "defaults":
            continue
        if isinstance(value, yaml.MappingNode) and value.value:
            keys += list_keys(text, value, f"{path}.")
        else:
            written = text[value.start_mark.index : value.end_mark.index].strip()
            keys.append(Key(path, written, read_comment(text, value)))
    return keys


def read_comment(text: str, node: yaml.Node) -> str:
    """What follows a value behind # on its line, or the flow mapping that it stands in."""
    line = text.splitlines()[node.end_mark.line] if node.end_mark.line < text.count("\n") else ""
    match = re.match(r"[\s})\]]*#\s?(.*)", line[node.end_mark.column :])
    return match[1].strip() if match else ""


def read_key_comment(text: str, root: yaml.Node | None, name: str) -> str:
    """The comment behind the key `name` itself, below which other keys stand."""
    pairs = root.value if isinstance(root, yaml.MappingNode) else ()
    line = next((key.start_mark.line for key, _ in pairs if key.value == name), None)
    match = re.match(r"\w+:\s*#\s?(.*)", text.splitlines()[line]) if line is not None else None
    return match[1].strip() if match else ""

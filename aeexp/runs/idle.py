"""Keys that were changed and do nothing beside the others, as their YAML declares: `# acts under warmup=linear`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from aeexp.files import YAML_LOADER
from aeexp.reference.options import Option, list_groups, read_option
from aeexp.runs.config import MULTIPLE

CONDITION = re.compile(r"acts under ([\w.]+)(!?=)([^;]+)")


class Condition(NamedTuple):
    """What another key of the same option must be for a key to act."""

    key: str
    values: tuple[Any, ...]
    negated: bool

    def holds(self, value: Any) -> bool:
        """Of several values one is enough, as it is of a list that the key holds."""
        is_one = value in self.values or (isinstance(value, list) and any(item in self.values for item in value))
        return is_one is not self.negated

    def __str__(self) -> str:
        values = " or ".join(map(_write, self.values))
        return f"{self.key} other than {values}" if self.negated else f"{self.key}={values}"


def read_condition(comment: str) -> Condition | None:
    """The condition that the comment behind a key of a YAML names; None where it acts always."""
    match = CONDITION.search(comment)
    if match is None:
        return None
    values = [_read(word.strip()) for word in match[3].split(" or ")]
    return Condition(match[1], tuple(values), negated=match[2] == "!=")


def list_idle(config: Mapping[str, Any], choices: Mapping[str, Any]) -> Iterator[str]:
    """A line for each key that has another value than its option's YAML says, and acts under none of the others.

    `choices` names the option of each group, as Hydra does.
    """
    for option in _list_chosen(config, choices):
        for key in option.keys:
            condition = read_condition(key.comment)
            if condition is None:
                continue
            parent, _, name = key.path.rpartition(".")
            node = _select(config, parent)
            if not isinstance(node, Mapping) or name not in node or _is_as_written(node[name], key.value):
                continue
            if not condition.holds(_select(node, condition.key)):
                yield f"{key.path}={_write(node[name])} has no effect: it acts under {parent}.{condition}"


def _list_chosen(config: Mapping[str, Any], choices: Mapping[str, Any]) -> Iterator[Option]:
    """The options that the configuration is made of."""
    for group, names in list_groups().items():
        if group in MULTIPLE:
            chosen = [name for name in config[group] if name in names]
        else:
            chosen = [choices[group]] if choices.get(group) in names else []
        yield from (read_option(group, name) for name in chosen)


def _select(node: Any, path: str) -> Any:
    for name in path.split(".") if path else ():
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def _read(text: str) -> Any:
    return yaml.load(text, YAML_LOADER)


def _write(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_as_written(value: Any, text: str) -> bool:
    """Whether a value is the one that the YAML has; an interpolation is whatever it gives."""
    if text.startswith("${"):
        return True
    written = _read(text)
    return value == (float(written) if isinstance(value, float) else written)  # YAML 1.1 reads 1e-4 as text

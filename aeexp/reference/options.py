"""conf/ as a person reads it: groups, options, and keys with their values and comments. Imports no torch, no hydra."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from aeexp.files import YAML_LOADER
from aeexp.reference.folders import by_folders, list_conf_dirs
from aeexp.reference.folders import find_conf_dir as find_conf_dir
from aeexp.reference.nodes import Key, get_child, list_keys, list_names, parse_nodes, read_comment, read_key_comment

NO_GROUPS = ("hydra", "dataset/common")  # folders of conf/ whose files are no options
SELF, HERE, GLOBAL, REQUIRES = "_self_", "@_here_", "# @package _global_", "# requires:"


class Option(NamedTuple):
    """One YAML file of a group."""

    group: str
    name: str
    header: tuple[str, ...]  # lines of comment that speak of the whole file
    lead: int  # how many of them stand before all else
    requires: tuple[str, ...]  # overrides without which it cannot be built: latent=sigmoid
    target: str | None  # the class or function that is built
    keys: tuple[Key, ...]
    picks: dict[str, tuple[str, ...]]  # options of other groups, by their group
    notes: dict[str, str]  # comments on them, by their group
    includes: tuple[str, ...]  # other options of the group that belong to it

    @property
    def word(self) -> str:
        """As it is typed: latent=gaussian."""
        return f"{self.group}={self.name}"


class Default(NamedTuple):
    """One item of a file's defaults list."""

    names: tuple[str, ...]  # options of a group, or one file
    comment: str
    group: str | None = None  # in which options are picked; None: a file of the same group
    key: str | None = None  # below which the file's keys stand, "" for beside the own ones; None: it is an option


@by_folders
def list_groups() -> dict[str, list[str]]:
    """Names of the options of each group, in the order of config.yaml; groups within groups follow theirs."""
    names: dict[str, set[str]] = {}
    order = ["variant", "experiment", *read_defaults()]
    for root in map(Path, list_conf_dirs()):
        for path in root.rglob("*.yaml"):
            group = path.parent.relative_to(root).as_posix()
            if not any(group == no or group.startswith(f"{no}/") for no in NO_GROUPS) and group.split("/")[0] in order:
                names.setdefault(group, set()).add(path.stem)
    groups = sorted(names, key=lambda group: (order.index(group.split("/")[0]), group))
    return {group: sorted(names[group]) for group in groups}


@by_folders
def read_defaults() -> dict[str, tuple[tuple[str, ...], str]]:
    """Of each group of config.yaml: the options that stand where nothing is said, and what the group is."""
    text = _read_text("config")
    listed = [each for each in _list_defaults(text, parse_nodes(text)) if each.group]
    return {
        str(each.group): (tuple(name for name in each.names if name != "null"), each.comment)
        for each in listed
        if not str(each.group).startswith("hydra/")
    }


def list_values() -> list[Key]:
    """The keys of config.yaml that belong to no option: seed, device, ..., and those of a group itself, plot.every."""
    text, groups = _read_text("config"), list_groups()
    keys = list_keys(text, parse_nodes(text), "")
    return [key for key in keys if key.path not in groups and key.path.split(".")[0] != "hydra"]


def read_config() -> dict[str, Any]:
    """config.yaml as it is."""
    return yaml.load(_read_text("config"), YAML_LOADER)


@by_folders
def read_option(group: str, name: str) -> Option:
    """One file with what it takes from others: keys that stand in another file, and for a variant that is another one
    with changes (`defaults: [vae]`) all that the other one sets and picks."""
    folder, _, below = group.partition("@")  # noise@trainer.corruption: an option whose keys stand elsewhere
    text = _read_text(f"{folder}/{name}")
    root, whole = parse_nodes(text), GLOBAL in text.splitlines()
    prefix = "" if whole else f"{below or folder.replace('/', '.')}."
    header, lead, requires = _read_header(text)
    keys = list_keys(text, root, prefix)
    target = _find_target(keys)
    header += [target.comment] if target and target.comment else []
    nested = read_key_comment(text, root, name)
    header += [nested] if nested else []
    picks: dict[str, tuple[str, ...]] = {}
    notes, includes = {}, []
    for default in _list_defaults(text, root):
        if default.group is not None:
            place = _resolve(folder, default.group).replace("@", f"@{prefix}")
            picks[place] = default.names
            notes[place] = default.comment  # in place of an inherited one
        elif default.key is None:
            includes += default.names
            for parent in (read_option(group, each) for each in default.names if whole):
                picks |= parent.picks
                notes |= parent.notes
                keys = _add_missing(keys, parent.keys)
        else:
            header += [default.comment] if default.comment else []
            path = _resolve(folder, default.names[0])
            other = _read_text(path)
            inherited = list_keys(other, parse_nodes(other), prefix + (f"{default.key}." if default.key else ""))
            keys = _add_missing(keys, inherited)
            if not default.key:
                target = target or _find_target(inherited)
    visible = tuple(key for key in keys if not key.path.rpartition(".")[2].startswith("_"))
    value = target.value if target else None
    return Option(group, name, tuple(header), lead, requires, value, visible, picks, notes, tuple(includes))


def list_options() -> Iterator[Option]:
    """All options of all groups."""
    for group, names in list_groups().items():
        yield from (read_option(group, name) for name in names)


def _read_text(path: str) -> str:
    return find_file(path).read_text(encoding="utf-8")


def find_file(path: str) -> Path:
    """The YAML of `group/name`: where several folders of options hold one, the first."""
    places = [Path(folder, f"{path}.yaml") for folder in list_conf_dirs()]
    return next((place for place in places if place.is_file()), places[0])


def _read_header(text: str) -> tuple[list[str], int, tuple[str, ...]]:
    """Comments on lines of their own, how many of them lead the file, and what the option requires."""
    lines = [line for line in text.splitlines() if line != GLOBAL]
    requires = [word for line in lines if line.startswith(REQUIRES) for word in line.removeprefix(REQUIRES).split()]
    lines = [line for line in lines if not line.startswith(REQUIRES)]
    lead = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [line[1:].strip() for line in lines if line.startswith("#")], lead, tuple(requires)


def _list_defaults(text: str, root: yaml.Node | None) -> Iterator[Default]:
    node = get_child(root, "defaults")
    for item in node.value if isinstance(node, yaml.SequenceNode) else ():
        if isinstance(item, yaml.MappingNode):
            for key, value in item.value:
                group = key.value.removeprefix("override ")
                yield Default(tuple(list_names(value)), read_comment(text, value), group=group)
        elif item.value.endswith(HERE):
            yield Default((item.value.removesuffix(HERE),), read_comment(text, item), key="")
        elif "@" in item.value:
            file, _, key = item.value.partition("@")
            yield Default((file,), read_comment(text, item), key=key)
        elif item.value != SELF:
            yield Default((item.value,), "")


def _resolve(group: str, name: str) -> str:
    """A group or file as a defaults list names it: /latent from the root of conf/, prior below the own group."""
    return name[1:] if name.startswith("/") else f"{group}/{name}"


def _find_target(keys: Iterable[Key]) -> Key | None:
    return next((key for key in keys if key.path.endswith("._target_")), None)


def _add_missing(keys: list[Key], inherited: Iterable[Key]) -> list[Key]:
    own = {key.path for key in keys}
    return [*keys, *(key for key in inherited if key.path not in own)]

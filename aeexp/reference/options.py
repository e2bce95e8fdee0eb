"""conf/ as a person reads it: groups, options, and keys with their values and comments. Imports no torch, no hydra."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

NO_GROUPS = ("hydra", "dataset/common")  # folders of conf/ whose files are no options
SELF, HERE, GLOBAL = "_self_", "@_here_", "# @package _global_"


class Key(NamedTuple):
    path: str  # as typed: regularizer.kl.weight
    value: str  # as the YAML has it
    comment: str


class Option(NamedTuple):
    """One YAML file of a group."""

    group: str
    name: str
    header: tuple[str, ...]  # lines of comment that speak of the whole file
    lead: int  # how many of them stand before all else
    target: str | None  # the class or function that is built
    keys: tuple[Key, ...]
    picks: tuple[tuple[str, str], ...]  # options of other groups: (latent, gaussian)
    notes: dict[str, str]  # comments on them, by their group
    includes: tuple[str, ...]  # other options of the group that belong to it

    @property
    def word(self) -> str:
        return f"{self.group}={self.name}"


@cache
def conf_dir() -> str:
    """conf/ beside the package in a checkout, inside it in an installed wheel."""
    here = Path(__file__).resolve().parents[1]
    found = [folder for folder in (here.parent / "conf", here / "conf") if (folder / "config.yaml").is_file()]
    if not found:
        raise RuntimeError(f"no conf/config.yaml beside or inside {here}")
    return str(found[0])


@cache
def groups() -> dict[str, list[str]]:
    """Names of the options of each group, in the order of config.yaml; groups within groups follow theirs."""
    root = Path(conf_dir())
    found: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*.yaml")):
        group = path.parent.relative_to(root).as_posix()
        if group != "." and not any(group == no or group.startswith(f"{no}/") for no in NO_GROUPS):
            found.setdefault(group, []).append(path.stem)
    order = ["variant", "experiment", *defaults()]
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0].split("/")[0]), item[0])))


@cache
def defaults() -> dict[str, tuple[tuple[str, ...], str]]:
    """Of each group of config.yaml: the options that stand where nothing is said, and what the group is."""
    text = (Path(conf_dir()) / "config.yaml").read_text()
    found = {}
    for item in _child(_compose(text), "defaults").value:
        for key, value in item.value if isinstance(item, yaml.MappingNode) else ():
            if not key.value.startswith("override"):
                named = [node.value for node in value.value] if isinstance(value, yaml.SequenceNode) else [value.value]
                chosen = tuple(name for name in named if name != "null")
                found[key.value] = chosen, _comment(text, value)
    return found


def values() -> list[Key]:
    """The keys of config.yaml that belong to no group: seed, device, ..."""
    text = (Path(conf_dir()) / "config.yaml").read_text()
    known = (*groups(), "defaults", "hydra")
    return [key for key in _keys(text, _compose(text), "") if key.path.split(".")[0] not in known]


def config() -> dict[str, Any]:
    """config.yaml as it is."""
    return yaml.safe_load((Path(conf_dir()) / "config.yaml").read_text())


@cache
def option(group: str, name: str) -> Option:
    folder, _, place = group.partition("@")  # noise@trainer.corruption: an option whose keys stand elsewhere
    text = (Path(conf_dir()) / folder / f"{name}.yaml").read_text()
    root, lines = _compose(text), text.splitlines()
    said = [line for line in lines if line != GLOBAL]
    lead = next((i for i, line in enumerate(said) if not line.startswith("#")), len(said))
    header = [line[1:].strip() for line in said if line.startswith("#")]
    prefix = "" if GLOBAL in lines else f"{place or folder.replace('/', '.')}."
    keys = _keys(text, root, prefix) if isinstance(root, yaml.MappingNode) else []
    target = next((key for key in keys if key.path.endswith("._target_")), None)
    if target is not None and target.comment:
        header.append(target.comment)
    nested = _nest(text, root, name) if isinstance(root, yaml.MappingNode) else ""
    header += [nested] if nested else []
    picks, includes, notes = [], [], {}
    for kind, what, chosen, comment in _listed(text, root):
        if kind == "pick":
            where = (what if what.startswith("/") else f"{folder}/{what}").strip("/").replace("@", f"@{prefix}")
            picks += [(where, each) for each in chosen]
            notes |= {where: comment} if comment else {}
        elif kind == "same":
            includes.append(what)
        else:
            source, _, file = (what[1:] if what.startswith("/") else f"{folder}/{what}").rpartition("/")
            header += [comment] if comment else []
            inherited = _inherited(source, file, prefix + (f"{kind}." if kind != "here" else ""))
            own = {key.path for key in keys}
            keys = [*keys, *(key for key in inherited if key.path not in own)]
            if kind == "here" and target is None:
                target = next((key for key in inherited if key.path.endswith("._target_")), None)
    shown = tuple(key for key in keys if not key.path.rpartition(".")[2].startswith("_"))
    return Option(
        group, name, tuple(header), lead, target and target.value, shown, tuple(picks), notes, tuple(includes)
    )


def every() -> Iterator[Option]:
    for group, names in groups().items():
        yield from (option(group, name) for name in names)


def _inherited(folder: str, file: str, prefix: str) -> list[Key]:
    """Keys that another file gives, at their place below this one."""
    text = (Path(conf_dir()) / folder / f"{file}.yaml").read_text()
    return _keys(text, _compose(text), prefix)


def _listed(text: str, root: yaml.Node) -> Iterator[tuple[str, str, list[str], str]]:
    """The defaults list, each with its comment: ("pick", group, options, ""), ("same", option, [], ""),
    ("here", file, [], ""), and (key, file, [], "") where another file's keys stand below a key."""
    node = _child(root, "defaults")
    for item in () if node is None else node.value:
        if isinstance(item, yaml.MappingNode):
            for key, value in item.value:
                names = [each.value for each in value.value] if isinstance(value, yaml.SequenceNode) else [value.value]
                yield "pick", key.value.removeprefix("override "), names, _comment(text, value)
        elif item.value.endswith(HERE):
            yield "here", item.value.removesuffix(HERE), [], _comment(text, item)
        elif "@" in item.value:
            file, _, key = item.value.partition("@")
            yield key, file, [], _comment(text, item)
        elif item.value != SELF:
            yield "same", item.value, [], ""


def _compose(text: str) -> yaml.Node:
    """Nodes, which know their place in the text; libyaml where PyYAML has it, ten times as fast."""
    return yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == name), None)


def _keys(text: str, node: yaml.Node, prefix: str) -> list[Key]:
    """Every value below a node, in the order of the file."""
    found = []
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        if path in ("defaults", f"{prefix}defaults"):
            continue
        if isinstance(value, yaml.MappingNode) and value.value:
            found += _keys(text, value, f"{path}.")
        else:
            written = text[value.start_mark.index : value.end_mark.index].strip()
            found.append(Key(path, written, _comment(text, value)))
    return found


def _comment(text: str, node: yaml.Node) -> str:
    """What follows a value behind # on its line, or the flow mapping that it stands in."""
    line = text.splitlines()[node.end_mark.line] if node.end_mark.line < text.count("\n") else ""
    found = re.match(r"[\s})\]]*#\s?(.*)", line[node.end_mark.column :])
    return found[1].strip() if found else ""


def _nest(text: str, root: yaml.Node, name: str) -> str:
    """The comment behind the option's own key, in groups of which several may be named."""
    line = next((key.start_mark.line for key, _ in root.value if key.value == name), None)
    found = re.match(r"\w+:\s*#\s?(.*)", text.splitlines()[line]) if line is not None else None
    return found[1].strip() if found else ""

"""The topics of a course: each is an `experiment=lecture_...`, whose first lines are its text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from aeexp.errors import UsageError
from aeexp.files import YAML_LOADER
from aeexp.reference.options import find_file, read_option

PREFIX = "lecture_"
LIST = Path(__file__).with_name("topics.yaml")


class Topic(NamedTuple):
    """One section of the page."""

    name: str  # of the experiment, without its prefix
    title: str  # a question, or what is shown
    text: tuple[str, ...]  # paragraphs
    figures: dict[str, str]  # caption by the place in the folder, as in "*/figures/field.png"
    numbers: dict[str, str]  # what a column is called, by the key of metrics.json
    sweeps: bool  # several runs
    baselines: tuple[str, ...] = ("pca", "raw", "mean")  # rows of the table beside the runs

    @property
    def experiment(self) -> str:
        """The option of conf/experiment."""
        return f"{PREFIX}{self.name}"


def read_topics(names: Sequence[str] = ()) -> list[Topic]:
    """All of topics.yaml in their order, or those of `names`. Raises UsageError on a name that is not there."""
    entries = yaml.load(LIST.read_text(encoding="utf-8"), YAML_LOADER)
    unknown = [name for name in names if name.removeprefix(PREFIX) not in entries]
    if unknown:
        raise UsageError(f"{unknown[0]} is no topic: take some of {', '.join(entries)}")
    chosen = [name.removeprefix(PREFIX) for name in names]
    return [_read(name, entry) for name, entry in entries.items() if not chosen or name in chosen]


def _read(name: str, entry: dict[str, Any]) -> Topic:
    title, text = split_header(read_option("experiment", f"{PREFIX}{name}").header)
    plain = find_file(f"experiment/{PREFIX}{name}").read_text(encoding="utf-8")
    sweeps = "mode: MULTIRUN" in plain
    topic = Topic(name, title, text, entry.get("figures", {}), entry.get("numbers", {}), sweeps)
    return topic._replace(baselines=tuple(entry["baselines"])) if "baselines" in entry else topic


def split_header(lines: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Title and text of comment lines: `Lecture: title? text; one command:`, then commands, then more text, whose
    paragraphs an empty line parts."""
    parts: list[list[str]] = [[]]
    for line in lines:
        if not line.strip() or line.startswith(" ") or line.lstrip().startswith("aeexp "):
            parts.append([])  # between paragraphs, or a command, which the page shows by itself
        else:
            parts[-1].append(line.strip())
    paragraphs = [" ".join(part) for part in parts if part]
    first = re.sub(r"[;,]? ?one command:$", "", paragraphs[0].removeprefix("Lecture: ")).strip()
    found = re.match(r"(.+?[?.:])(?:\s|$)", f"{first} ")
    title, rest = (found[1], first[found.end() :].strip()) if found else (first, "")
    rest = f"{rest.rstrip('.;:')}." if rest else ""
    title = title.rstrip(".:")
    return title[:1].upper() + title[1:], tuple(text for text in (rest[:1].upper() + rest[1:], *paragraphs[1:]) if text)

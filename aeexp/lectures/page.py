"""One HTML page of all topics: text, figures, numbers, and the command under each. No network, one file."""

from __future__ import annotations

import base64
import fnmatch
import os
import platform
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from aeexp import files
from aeexp.errors import UsageError
from aeexp.lectures.topics import Topic
from aeexp.reports.comparison import Report, collect
from aeexp.reports.pictures import Picture, shrink
from aeexp.reports.tables import format_estimate

HERE = Path(__file__).resolve().parent / "html"
WIDTH = 1400  # pixels of a figure at most
MOST_FILM = 4_000_000  # bytes of an animation


class Shown(NamedTuple):
    """A figure with its words."""

    picture: Picture
    caption: str
    run: str  # of which run it is; "" where a topic has one


class Section(NamedTuple):
    """A topic as the page shows it."""

    topic: Topic
    figures: list[Shown]
    heads: list[str]
    rows: list[tuple[str, list[str]]]  # name and cells
    command: str
    seconds: float | None
    trouble: str  # why something is missing; "" of nothing


def build_section(topic: Topic, folder: Path, command: str, trouble: str = "") -> Section:
    """What a topic's folder holds. A figure that is not there is left out, and said."""
    try:
        report = collect([folder], None, mix=True)
    except UsageError as error:
        return Section(topic, [], [], [], command, None, trouble or str(error))
    names = {record.folder: group.name for group in report.groups for record in group.records}
    repeats = [record.folder for group in report.groups for record in group.records[1:]]  # of other seeds
    figures, missing = [], []
    for pattern, caption in topic.figures.items():
        places = [path for path in sorted(folder.glob(pattern)) if not any(map(path.is_relative_to, repeats))]
        found = [(path, picture) for path in places if (picture := read_picture(path))]
        missing += [] if found else [pattern]
        for path, picture in found:
            run = next((name for place, name in names.items() if path.is_relative_to(place)), "")
            figures.append(Shown(picture, caption, run if len(names) > 1 else ""))
    heads, rows = tabulate(report, topic)
    unmeasured = [key for key, head in topic.numbers.items() if head not in heads]
    if not trouble:
        said = {"not drawn": missing, "not measured": unmeasured}
        trouble = "; ".join(f"{what}: {', '.join(names)}" for what, names in said.items() if names)
    runs = [record.metrics.get("timing", {}).get("total_seconds") for g in report.groups for record in g.records]
    seconds = [each for each in runs if isinstance(each, int | float)]
    return Section(topic, figures, heads, rows, command, sum(seconds) if seconds else None, trouble)


def tabulate(report: Report, topic: Topic) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Heads and rows: a group of runs each, then the topic's baselines, each once by what it is called and says."""
    found = {key for group in report.groups for record in group.records for key in record.metrics["test"]}
    heads = {key: head for name, head in topic.numbers.items() for key in sorted(fnmatch.filter(found, name))[:1]}
    keys, rows = list(heads), []
    for group in report.groups:
        estimates = [group.estimate(key) for key in keys]
        rows.append((group.name, [format_estimate(each) if each else "–" for each in estimates]))
    firsts = [group.records[0] for group in report.groups]
    data = {record.metrics["data"]["name"] for record in firsts}
    beside: dict[tuple[str, tuple[str, ...]], None] = {}
    for row in topic.baselines:
        for record in firsts:
            values = [record.value(key, "baseline", row) for key in keys]
            if any(value is not None for value in values):
                name = record.baseline_name(row) or row
                name = f"{name}, {record.metrics['data']['name']}" if len(data) > 1 else name
                beside[name, tuple("–" if value is None else f"{value:.4g}" for value in values)] = None
    return list(heads.values()), rows + [(name, list(cells)) for name, cells in beside]


def read_picture(path: Path) -> Picture | None:
    """A PNG as small as the page shows it, an animation as it is; None of what cannot be read."""
    if path.suffix != ".gif":
        return shrink(path, WIDTH)
    from PIL import Image

    try:
        content = files.read_bytes(path, MOST_FILM)
        with Image.open(path, formats=["GIF"]) as source:
            size = source.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # Pillow's on damaged files
        return None
    return Picture(f"data:image/gif;base64,{base64.b64encode(content).decode()}", *size)


def write_page(sections: Sequence[Section], path: Path) -> None:
    """Write the page, whole or not at all."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    style = Markup((HERE / "lecture.css").read_text(encoding="utf-8"))
    content: dict[str, Any] = {
        "sections": sections,
        "style": style,
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
    }
    files.write_text(path, environment.get_template("lecture.html").render(content))

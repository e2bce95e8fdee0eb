"""The command `aeexp-lecture`: a course on autoencoders as one page. Exit codes: 0 done, 1 a topic failed, 2 a mistake
of the user."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from aeexp.cli.command import run_command
from aeexp.files import expand_home


def build_parser() -> argparse.ArgumentParser:
    """Flags and their help."""
    parser = argparse.ArgumentParser(
        "aeexp-lecture",
        description="Train what a course on autoencoders shows, topic by topic, and write it all into lecture.html. "
        "The same command goes on where it was cut off.",
    )
    add = parser.add_argument
    add("words", metavar="TOPIC", nargs="*", help="topics, all where none is named; overrides as threads=1 act on each")
    add(
        "--output",
        type=lambda text: Path(expand_home(text)),
        default=Path("outputs/lecture"),
        metavar="DIR",
        help="where the runs and lecture.html go (default: outputs/lecture)",
    )
    add("--list", action="store_true", help="the topics and their commands; nothing is trained")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    run_command(lambda: hold_lecture(build_parser().parse_intermixed_args(argv)))


def hold_lecture(arguments: argparse.Namespace) -> int:
    """Train and write; returns the exit code."""
    from aeexp.lectures.topics import read_topics
    from aeexp.lectures.training import format_command

    overrides = [word for word in arguments.words if "=" in word]
    topics = read_topics([word for word in arguments.words if "=" not in word])
    if arguments.list:
        width = max(len(topic.name) for topic in topics)
        for topic in topics:
            print(f"{topic.name:{width}}  {topic.title}\n{'':{width}}  {format_command(topic, overrides)}")
        return 0
    from aeexp.lectures.page import build_section, write_page
    from aeexp.lectures.training import train_topic

    sections, failed, output = [], 0, arguments.output.resolve()
    for place, topic in enumerate(topics, 1):
        print(f"{place}/{len(topics)} {topic.name}: {topic.title}", flush=True)
        began = time.monotonic()
        trouble = train_topic(topic, output / topic.name, overrides)
        if trouble:
            failed += 1
            print(f"  {trouble}", file=sys.stderr, flush=True)
        else:
            print(f"  {time.monotonic() - began:.0f} s", flush=True)
        sections.append(build_section(topic, output / topic.name, format_command(topic, overrides), trouble))
        write_page(sections, output / "lecture.html")  # what is there can be looked at
    print(output / "lecture.html")
    return 1 if failed else 0


if __name__ == "__main__":
    main()

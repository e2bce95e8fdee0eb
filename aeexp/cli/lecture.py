"""The command `aeexp-lecture`: a course on autoencoders as one page. Exit codes: 0 done, 1 a topic failed, 2 a mistake
of the user."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from aeexp.cli.command import run_command
from aeexp.errors import UsageError
from aeexp.files import expand_home

if TYPE_CHECKING:
    from aeexp.lectures.topics import Topic


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
    add(
        "--processes",
        type=int,
        metavar="N",
        help="topics that are trained at once (default: as many as the machine has cores; each takes 0.5 GB)",
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
    if arguments.processes is not None and arguments.processes < 1:
        raise UsageError(f"--processes={arguments.processes}: at least 1 topic is trained at once")
    return 1 if make_page(topics, overrides, arguments.output.resolve(), arguments.processes) else 0


def make_page(topics: Sequence[Topic], overrides: Sequence[str], output: Path, processes: int | None) -> int:
    """Train and write, the page anew after each topic, so that it can be looked at; returns how many failed."""
    from joblib import cpu_count

    from aeexp.lectures.page import Section, build_section, write_page
    from aeexp.lectures.training import format_command, list_words, train_topics

    folders = [output / topic.name for topic in topics]
    commands = [list_words(topic, folder, overrides) for topic, folder in zip(topics, folders, strict=True)]
    sections: dict[int, Section] = {}
    failed = 0
    with closing(train_topics(commands, folders, processes or cpu_count())) as ended:
        for place, trouble, seconds in ended:
            topic = topics[place]
            failed += bool(trouble)
            sections[place] = build_section(topic, folders[place], format_command(topic, overrides), trouble)
            print(f"{len(sections)}/{len(topics)} {topic.name}: {topic.title}, {seconds:.0f} s", flush=True)
            if trouble:
                print(f"  {trouble}", file=sys.stderr, flush=True)
            if seconds or len(sections) == len(topics):
                write_page([sections[place] for place in sorted(sections)], output / "lecture.html")
    print(output / "lecture.html")
    return failed


if __name__ == "__main__":
    main()

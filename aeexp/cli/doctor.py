"""The command `aeexp-doctor`: what finished runs suffer from, and what cures it. Exit codes: 0 done, 1 a folder that
cannot be read, 2 a mistake of the user."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aeexp.cli.command import run_command
from aeexp.errors import FAILED, quote_words
from aeexp.files import expand_home

LEAST = 60  # columns

if TYPE_CHECKING:
    from aeexp.diagnoses import Cure, Diagnosis
    from aeexp.reports.records import Record


def build_parser() -> argparse.ArgumentParser:
    """Flags and their help."""
    parser = argparse.ArgumentParser(
        "aeexp-doctor",
        description="What finished runs suffer from, by their own numbers: each illness with its evidence, what that "
        "is held against and why, and overrides that cure it, the surest first. Nothing is trained, built or written.",
        epilog="Nothing is said of what was not measured: aeexp-evaluate RUN metric=... adds numbers.",
    )
    kind = "run folders, or folders above them such as a multirun"
    parser.add_argument("roots", metavar="RUN", nargs="*", type=lambda text: Path(expand_home(text)), help=kind)
    parser.add_argument("--rules", action="store_true", help="what is looked for, in which numbers, and why there")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = build_parser()

    def examine() -> int:
        arguments = parser.parse_intermixed_args(argv)
        if arguments.rules:
            print("\n\n".join(describe_rules(read_width())))
        elif not arguments.roots:
            parser.error("the following arguments are required: RUN")
        return examine_runs(arguments.roots) if arguments.roots else 0

    run_command(examine)


def read_width() -> int:
    """Columns of the terminal, within bounds that are pleasant to read."""
    return min(120, max(LEAST, shutil.get_terminal_size((110, 24)).columns))


def examine_runs(roots: Sequence[Path]) -> int:
    """Each run at or below the folders; returns the exit code. Raises UsageError for a folder without any."""
    from aeexp.diagnoses import Facts, diagnose
    from aeexp.reports.records import Record, find_folders, read_run
    from aeexp.runs.diagnosing import with_curve
    from aeexp.runs.folder import UNREADABLE

    code, width = 0, read_width()
    for folder in find_folders(roots):
        record = read_run(folder)
        if not isinstance(record, Record):
            code = FAILED if record.status == UNREADABLE else code
            print(f"{folder}: {record.status}: {record.message}", file=sys.stderr if code else sys.stdout)
        elif "best_step" in record.metrics:  # else it is measured, and was not trained
            found = diagnose(Facts(with_curve(record.metrics, folder), record.config))
            print("\n".join(describe_run(record, found, width)), end="\n\n", flush=True)
    return code


def describe_run(record: Record, found: Sequence[Diagnosis], width: int) -> Iterator[str]:
    """Lines on one run."""
    yield f"{record.folder}: {' '.join(record.typed) or 'the defaults'}"
    if not found:
        yield "  no illness found in what was measured"
    for number, each in enumerate(found, 1):
        after = f" (explained by {each.follows})" if each.follows else ""
        yield f"{number:>3}. {each.name}{after}"
        yield from wrap("told by", each.sentence, width)
        if each.evidence:
            numbers = ", ".join(f"{key} {value:.4g}" for key, value in each.evidence.items())
            yield from wrap("numbers", numbers, width)
        if each.threshold:
            yield from wrap("threshold", each.threshold, width)
        yield from wrap("why there", each.reason, width)
        for place, cure in enumerate(each.cures):
            yield from wrap("" if place else "cures", f"{cure.text}  ({cure.why})", width)
    told = next((each for each in found if each.cures and not each.follows), None)
    if told is not None:
        yield f"     {'again':<10}{compose_again(record.typed, told.cures[0])}"


def compose_again(typed: Sequence[str], cure: Cure) -> str:
    """The run's command with the cure, which takes the place of words for the same keys."""
    keys = [word.strip("'\"").partition("=")[0] for word in cure.words]
    kept = [word for word in typed if word.lstrip("+").partition("=")[0] not in keys]
    return " ".join(part for part in ("aeexp", quote_words(*kept), cure.text) if part)


def describe_rules(width: int) -> Iterator[str]:
    """A paragraph for each rule."""
    from aeexp.diagnoses import RULES

    for rule in RULES:
        lines = [rule.name, *wrap("reads", ", ".join(rule.reads), width), *wrap("threshold", rule.threshold, width)]
        yield "\n".join([*lines, *wrap("why there", rule.reason, width)])


def wrap(name: str, text: str, width: int) -> list[str]:
    """A named line, cut where it is too long."""
    head = f"     {name:<10}"
    return textwrap.wrap(
        text, width, initial_indent=head, subsequent_indent=" " * len(head), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()

"""The command `aeexp-report`: finished runs compared. Exit codes: 0 done, 1 failed, 2 a mistake of the user."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from aeexp.cli.command import run_command
from aeexp.errors import UsageError, quote_words
from aeexp.files import expand_home


def build_parser() -> argparse.ArgumentParser:
    """Flags and their help."""
    parser = argparse.ArgumentParser(
        "aeexp-report",
        description="Compare runs: those that differ in seed and fold alone are one row, with mean and 95 % interval.",
    )
    add = parser.add_argument
    add(
        "roots",
        metavar="DIR",
        nargs="+",
        type=lambda text: Path(expand_home(text)),
        help="run folders, or folders above them such as a multirun",
    )
    rows = "pca (where measured, the default), raw, or words of a row, as in variant=undercomplete; none: no tests"
    add("--baseline", default="auto", metavar="WORDS", help=f"what each row is compared with, seed by seed: {rows}")
    add(
        "--metrics",
        default="",
        metavar="KEYS",
        help="keys of metrics.json to show and rank by, as in probe/linear,loss",
    )
    add("--sort", metavar="NAME", help="order rows by a metric, the best first, or by a column such as latent.dim")
    add(
        "--output",
        type=lambda text: Path(expand_home(text)),
        metavar="DIR",
        help="where summary.csv, report.md and report.html go; else into the one DIR given, or here",
    )
    add("--watch", action="store_true", help="how far the sweep in DIR is, until it is through; then compare")
    add("--mix", action="store_true", help="compare runs of unlike protocols all the same")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    run_command(lambda: report_runs(build_parser().parse_intermixed_args(argv)))


def report_runs(arguments: argparse.Namespace) -> int:
    """The comparison on the console and as files; returns the exit code."""
    from aeexp.reports.compared import compare_runs, format_report
    from aeexp.reports.writing import write_report

    if arguments.watch:
        watch_runs(arguments.roots)
    criteria = split_keys(arguments.metrics)
    baseline = None if arguments.baseline == "none" else arguments.baseline.strip()
    report, parts = compare_runs(arguments.roots, baseline, criteria, arguments.sort, arguments.mix)
    folder = arguments.output or (arguments.roots[0] if len(arguments.roots) == 1 else Path())
    paths, unwritten = [], None
    try:
        paths = write_report(report, folder, parts) if report.groups else []
    except OSError as error:  # what can be shown is, of a folder that may not be written too
        unwritten = error
    width = shutil.get_terminal_size((110, 24)).columns
    print(format_report(report, parts, width), *paths, sep="\n", flush=True)
    if not report.groups:
        print("no run is finished: there is nothing to compare", file=sys.stderr)
        return 1
    if unwritten is not None:
        raise unwritten
    return 0


def watch_runs(roots: Sequence[Path]) -> None:
    """Until the sweep is through. Raises UsageError for several folders, and for one that is not there."""
    from rich.console import Console

    from aeexp.reports.watching import watch

    if len(roots) != 1:
        raise UsageError(f"--watch {quote_words(*roots)}: takes one folder")
    if not roots[0].is_dir():
        raise UsageError(f"--watch {quote_words(roots[0])}: there is no such folder")
    watch(roots[0], Console(highlight=False, markup=False, emoji=False))


def split_keys(text: str) -> list[str]:
    """Keys between commas and spaces; options of an evaluation, as in `clustering/nmi [clusters=7]`, belong to one."""
    keys, depth = [""], 0
    for i, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter in ", " and depth == 0 and not text.startswith(" [", i):
            keys.append("")
        else:
            keys[-1] += letter
    return [key for key in keys if key]


if __name__ == "__main__":
    main()

"""The command `aeexp-reproduce`: a recorded study run by its protocol, and held against what was published. Exit codes:
0 PASS, 1 FAIL or not complete, 2 a mistake of the user, 130 interrupted."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from aeexp import files
from aeexp.cli.command import require_memory, run_command
from aeexp.cli.own import add_config_dir, own_options
from aeexp.errors import FAILED, UsageError, quote_words
from aeexp.files import expand_home

USAGE = """aeexp-reproduce NAME [--short] [--rows NAME] [--output DIR] [--config-dir DIR] [overrides]
       aeexp-reproduce --list [--markdown]
       aeexp-reproduce --bench [NAME ...]"""
DESCRIPTION = """Runs a study that conf/reproduce records, over its seeds, and prints paper, tolerance, ours, PASS
or FAIL. The same line goes on where it was cut off: finished runs are read, not trained. A short form is the same
study in minutes, of which an ordering or a bound is held; it says nothing of the published number."""
EXAMPLES = """examples:
  aeexp-reproduce --list
  AEEXP_DATA=~/data aeexp-reproduce pca_mnist
  aeexp-reproduce iwae_mnist --short hydra/launcher=auto threads=1
  aeexp-reproduce vae_mnist --rows 'own binarisation' device=cuda
Overrides that say where it runs (hydra/..., threads, device) leave it the study; with others it is one of your own."""


def build_parser() -> argparse.ArgumentParser:
    """Flags and their help."""
    parser = argparse.ArgumentParser(
        "aeexp-reproduce", USAGE, DESCRIPTION, EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("given", metavar="NAME", nargs="*", help="a study, and overrides of all its runs")
    add("--short", action="store_true", help="the short form: minutes, an ordering or a bound")
    add("--rows", metavar="NAME", help="which of the study's rows; else the first whose files are there")
    add("--list", action="store_true", help="all studies with cost and last result")
    add("--markdown", action="store_true", help="with --list: what is recorded, as the documentation's table")
    add("--bench", action="store_true", help="all short forms anew, beside the recorded numbers")
    add("--record", action="store_true", help="keep the result beside the record, for --list and --bench")
    add(
        "--output",
        type=lambda text: Path(expand_home(text)),
        default=Path("outputs/reproduce"),
        metavar="DIR",
        help="where runs and reproduce.json lie; default outputs/reproduce",
    )
    add_config_dir(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    arguments = build_parser().parse_intermixed_args(argv)

    def reproduce() -> int:
        with own_options(arguments.config_dir):
            return answer(arguments)

    run_command(reproduce)


def answer(arguments: argparse.Namespace) -> int:
    """Whatever was asked; returns the exit code."""
    added = [word for word in arguments.given if "=" in word or word.startswith("~")]
    names = [word for word in arguments.given if word not in added]
    output = arguments.output.absolute()
    own = [word for folder in arguments.config_dir for word in ("--config-dir", str(Path(folder).absolute()))]
    if arguments.list:
        return list_studies(names, output, arguments.markdown)
    if arguments.bench:
        return bench_studies(names, added, output, own)
    if len(names) != 1:
        told = f"{quote_words(*names)}: one study at a time" if names else "name a study"
        raise UsageError(f"{told}: aeexp-reproduce --list has all")
    return run_study(arguments, names[0], added, output, own)


def run_study(arguments: argparse.Namespace, name: str, added: Sequence[str], output: Path, own: Sequence[str]) -> int:
    """One form of one study; returns the exit code."""
    from aeexp.reproductions.records import read_study

    study = read_study(name)
    require_memory()
    from aeexp.reproductions.planning import OF_MACHINE, choose_rows, make_plan, read_seeds
    from aeexp.reproductions.results import NAME, make_result, record, write_result
    from aeexp.reproductions.running import read_cost, read_values, run_plan
    from aeexp.reproductions.telling import describe_result, describe_row, read_width
    from aeexp.reproductions.verdicts import PASS

    decisive = [word for word in added if not OF_MACHINE.match(word)]
    if arguments.record and decisive:
        raise UsageError(f"--record: with {quote_words(*decisive)} this is no result of the study: leave them out")
    form = "short" if arguments.short else "full"
    choice = choose_rows(study, arguments.rows)
    plan = make_plan(study, form, choice, added, output, own)
    seeds = read_seeds(plan, added)
    run_plan(plan, seeds)
    values, failures = read_values(plan, seeds)
    rows = choice.name if choice else ""
    result = make_result(study, form, rows, decisive, values, failures, *read_cost(plan))
    write_result(plan.folder / NAME, result)
    files.write_text(plan.folder / "row.md", describe_row(study, {form: result}) + "\n")
    print(describe_result(study, result, read_width()), plan.folder / NAME, sep="\n")
    if arguments.record:
        print(record(result))
    return 0 if result.verdict == PASS else FAILED


def list_studies(names: Sequence[str], output: Path, markdown: bool) -> int:
    """Those named, or all."""
    from aeexp.reproductions import records, telling

    found = [records.read_study(name) for name in names or records.list_studies()]
    print(telling.list_markdown(found) if markdown else telling.list_table(found, output, telling.read_width()))
    return 0


def bench_studies(names: Sequence[str], added: Sequence[str], output: Path, own: Sequence[str]) -> int:
    """The short forms of those named, or of all, beside their records; returns the exit code."""
    from aeexp.reproductions import records

    found = [records.read_study(name) for name in names or records.list_studies()]
    require_memory()
    from aeexp.reproductions import bench, telling

    rows = bench.run_bench(found, added, output, own)
    print(telling.bench_table(rows, telling.read_width()))
    changed = [row for row in rows if row.word not in (bench.SAME, bench.NEW)]
    print(f"{len(rows)} numbers, {len(changed)} changed beyond what seeds explain: {bench.bench_folder(output)}")
    return FAILED if changed or not rows else 0


if __name__ == "__main__":
    main()

"""The command `aeexp-explain`: what an option is, from its YAML and its docstring, and so never another than what runs;
of a table, what its columns hold and a command to start from. Exit codes: 0 done, 2 a name that is not known."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from aeexp.cli.command import run_command
from aeexp.cli.own import add_config_dir, own_options
from aeexp.errors import UsageError
from aeexp.files import TABLES
from aeexp.reference import options
from aeexp.reference.docstrings import read_docstring
from aeexp.reference.nodes import Key
from aeexp.reference.options import Option
from aeexp.reference.screen import open_screen, print_group, print_key, print_option, print_rows


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    about = "What an option is: its formula, keys with values, what to look at, and the paper."
    parser = argparse.ArgumentParser("aeexp-explain", description=about)
    names = (
        "an option (vae, regularizer=kl), a group (noise), or a table (data.csv); without a name all groups and options"
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help=names)
    add_config_dir(parser)

    def explain() -> None:
        arguments = parser.parse_intermixed_args(argv)
        with own_options(arguments.config_dir):
            explain_names(arguments.names)

    run_command(explain)


def explain_names(names: Sequence[str]) -> None:
    """Each of them, or all groups where there is none."""
    parts = [part for name in names for part in ([Path(name)] if is_table(name) else look_up(name))]
    with open_screen() as console:
        for i, part in enumerate(parts or options.list_groups()):
            if i:
                console.print()
            if isinstance(part, Path):
                print_summary(console, part)
            elif isinstance(part, Key):
                print_key(console, part)
            else:
                print_group(console, part) if isinstance(part, str) else print_option(console, part)


def is_table(name: str) -> bool:
    """Whether a name is that of a file: by its ending, whether it is there or not."""
    return name.lower().endswith(TABLES)


def print_summary(console: Console, path: Path) -> None:
    """Columns of a table with what they hold, what is wrong with it, and a command to start from."""
    from aeexp.datasets.formats.table_summary import summarise  # with torch, which options do without

    summary = summarise(str(path))
    console.print(f"[bold]{escape(str(path))}[/]: {summary.rows} rows, {len(summary.columns)} columns")
    print_rows(console, summary.columns)
    for problem in summary.problems:
        console.print(escape(f"  ! {problem}"))
    console.print("  to start from:")
    console.print(escape(f"    {summary.command}"), soft_wrap=True)


def look_up(name: str) -> list[Option | Key | str]:
    """Options and groups of this name: `kl`, `regularizer=kl`, `regularizer`; those that have the key `latent.k`; and
    values of the run itself: `seed`, `init`."""
    groups = options.list_groups()
    head, _, rest = name.partition(".")
    if head in groups and rest in groups[head]:  # a key of a run: noise.masking
        name = f"{head}={rest}"
    group, _, option = name.lower().rpartition("=")
    parts: list[Option | Key | str] = [] if group else [each for each in groups if each == option]
    wanted = [one.strip() for one in option.strip("[]").split(",")] if group else [option]
    parts += [options.read_option(each, one) for each, names in groups.items() if group in ("", each)
              for one in wanted if one in names]  # fmt: skip
    if not parts and not group:
        parts += [key for key in options.list_values() if key.path == name or key.path.startswith(f"{name}.")]
    if not parts and "." in name:
        having = [each for each in options.list_options() if name in [key.path for key in each.keys] and each.target]
        parts += having if len(having) <= 4 else [head]
    known = [*groups, *(one for names in groups.values() for one in names)]
    if group:
        if group not in groups:
            raise UsageError(f"{name}: there is no group {group}{suggest(group, groups)}")
        known = groups[group]
        for one in wanted:
            if one not in known:
                raise UsageError(f"{group}={one}: there is no such option{suggest(one, known)}")
    if not parts:
        raise UsageError(f"{name}: there is no such option{suggest_mention(option, known)}")
    return parts


def suggest_mention(word: str, known: Sequence[str]) -> str:
    """The nearest name, or where an option speaks of the word: mig is a number of metric=disentanglement."""
    whole = re.compile(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", re.IGNORECASE)
    texts = ((each.word, " ".join([*each.header, *read_docstring(each.target)])) for each in options.list_options())
    mentions = [option for option, text in texts if whole.search(text)] if word else []
    mentions += [key.path for key in options.list_values() if word and whole.search(key.comment)]
    nearest = suggest(word, known)
    if mentions and "?" not in nearest:
        return f", but {', '.join(mentions[:4])} speak{'s' * (len(mentions) == 1)} of it"
    return nearest


def suggest(word: str, known: Iterable[str]) -> str:
    """`: did you mean ...?`, or where all names are."""
    close = list(dict.fromkeys(difflib.get_close_matches(word, known, n=2, cutoff=0.7)))
    return f": did you mean {' or '.join(close)}?" if close else "; aeexp-explain lists all of them"


if __name__ == "__main__":
    main()

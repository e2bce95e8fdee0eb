"""Options on a terminal: the overview, a group's list, one option whole."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from aeexp.reference import options
from aeexp.reference.docstrings import read_docstring
from aeexp.reference.folders import find_conf_dir
from aeexp.reference.meaning import describe, list_loss_terms, list_papers, list_parts, list_picks
from aeexp.reference.nodes import Key
from aeexp.reference.options import Option


@contextmanager
def open_screen() -> Iterator[Console]:
    """The terminal; a pipe or a file gets plain text of 120 letters a line. Who stops reading it gets no more."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    with console.capture() as capture:
        yield console
    try:
        print("\n".join(line.rstrip() for line in capture.get().splitlines()), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_overview() -> None:
    """What `aeexp --help` prints: groups with their options, values, and examples."""
    with open_screen() as console:
        _print_overview(console)


def _print_overview(console: Console) -> None:
    texts = options.read_config()["hydra"]["help"]
    console.print(escape(texts["header"]))
    console.print(
        "\n[bold]Groups, chosen as group=option[/] (*: where nothing is said; aeexp-explain OPTION says more)"
    )
    for group in options.list_groups():
        console.print()
        print_group(console, group)
    console.print("\n[bold]Values, set as key=value[/]")
    print_rows(console, [(f"{key.path}={key.value}", key.comment) for key in options.list_values()])
    console.print(f"\n{escape(texts['footer'])}")


def print_group(console: Console, group: str) -> None:
    """A group, and one line for each of its options; a star: what stands where nothing is said."""
    names, about = options.read_defaults().get(group, ((), ""))
    console.print(f"[bold]{group}[/]: {escape(about)}".rstrip(": "))
    options_of_group = options.list_groups()[group]
    width = max(map(len, options_of_group))
    room = max(20, console.width - width - 5)
    lines = []
    for name in options_of_group:  # a table of rich's takes five times as long
        first, *more = textwrap.wrap(describe(options.read_option(group, name)), room)
        lines.append(f" {'*' if name in names else ' '} [cyan]{name:{width}}[/]  {escape(first)}")
        lines += [" " * (width + 5) + escape(rest) for rest in more]
    console.print("\n".join(lines), soft_wrap=True)


def print_key(console: Console, key: Key) -> None:
    """A value of the run itself."""
    console.print(f"[bold]{key.path}={escape(key.value)}[/]  [dim]conf/config.yaml[/]")
    console.print(_indent(key.comment))


def print_option(console: Console, option: Option) -> None:
    """One option, whole."""
    text = read_docstring(option.target)
    path = options.find_file(f"{option.group.partition('@')[0]}/{option.name}")
    file = f"conf/{option.group}/{option.name}.yaml" if path.is_relative_to(find_conf_dir()) else str(path)
    console.print(f"[bold]{option.word}[/]  [dim]{file}{f', {option.target}' if option.target else ''}[/]")
    for comment in option.header:
        console.print(_indent(comment))
    if option.requires:
        console.print(_indent(f"needs: {' '.join(option.requires)}"))
    if text.text:
        console.print(_indent(_unwrap(text.text)))
    if not option.header and not text.text:
        console.print(_indent(describe(option)))
    _print_picks(console, option)
    if text.formula:
        _print_title(console, "formula")
        console.print(_indent(text.formula, 4))
    if option.group == "variant":
        _print_title(console, "loss: the sum of these terms, each the mean over rows")
        print_rows(console, list(list_loss_terms(option)))
    if option.keys:
        _print_title(console, "sets" if option.group in ("variant", "experiment") else "keys")
        print_rows(console, [(f"{key.path}={key.value}", key.comment) for key in option.keys])
    looks = [look for look in (text.look, *(read_docstring(part.target).look for part in list_parts(option))) if look]
    if looks:
        _print_title(console, "look at")
        for look in looks:
            console.print(_indent(look, 4))
    papers = list_papers(option)
    if papers:
        _print_title(console, "papers")
        console.print(_indent("; ".join(papers), 4))
    if (option.target or "").startswith("torch."):
        console.print(_indent(f"https://docs.pytorch.org/docs/stable/generated/{option.target}.html"))


def _print_picks(console: Console, option: Option) -> None:
    if option.includes:
        _print_title(console, "with")
        print_rows(console, [(name, describe(options.read_option(option.group, name))) for name in option.includes])
    if option.picks:
        _print_title(console, "picks")
        rows = []
        for part in list_picks(option):
            note, about = option.notes.get(part.group), read_docstring(part.target).first or describe(part)
            rows.append((part.word, f"{about}\n({note})" if note else about))
        print_rows(console, rows)


def _print_title(console: Console, title: str) -> None:
    console.print(f"  [bold]{title}[/]")


def print_rows(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Names and what is said of them, side by side."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    for left, right in rows:
        grid.add_row(f"[cyan]{escape(left)}[/]", escape(right))
    console.print(Padding(grid, (0, 0, 0, 4), expand=False))


def _indent(text: str, indent: int = 2) -> Padding:
    return Padding(escape(text), (0, 0, 0, indent), expand=False)


def _unwrap(text: str) -> str:
    """Paragraphs without the line ends of the source; items of a list keep theirs."""
    parts = []
    for paragraph in text.split("\n\n"):
        lines = []
        for each in paragraph.splitlines():
            if lines and not each.startswith("- "):
                lines[-1] += f" {each.strip()}"
            else:
                lines.append(each)
        parts.append("\n".join(lines))
    return "\n".join(parts)

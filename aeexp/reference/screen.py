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
from aeexp.reference.docstrings import said
from aeexp.reference.meaning import line, list_picks, loss, picked, sources
from aeexp.reference.options import Option


@contextmanager
def screen() -> Iterator[Console]:
    """The terminal; a pipe or a file gets plain text of 120 letters a line. Who stops reading it gets no more."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    with console.capture() as capture:
        yield console
    try:
        print("\n".join(line.rstrip() for line in capture.get().splitlines()), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def overview() -> None:
    """What `aeexp --help` prints: groups with their options, values, and examples."""
    with screen() as console:
        _overview(console)


def _overview(console: Console) -> None:
    texts = options.config()["hydra"]["help"]
    console.print(escape(texts["header"]))
    console.print(
        "\n[bold]Groups, chosen as group=option[/] (*: where nothing is said; aeexp-explain OPTION says more)"
    )
    for group in options.groups():
        console.print()
        listing(console, group)
    console.print("\n[bold]Values, set as key=value[/]")
    _rows(console, [(f"{key.path}={key.value}", key.comment) for key in options.values()])
    console.print(f"\n{escape(texts['footer'])}")


def listing(console: Console, group: str) -> None:
    """A group, and one line for each of its options; a star: what stands where nothing is said."""
    names, about = options.defaults().get(group, ((), ""))
    console.print(f"[bold]{group}[/]: {escape(about)}".rstrip(": "))
    options_of_group = options.groups()[group]
    width = max(map(len, options_of_group))
    lines = []
    for name in options_of_group:  # a table of rich's takes five times as long
        first, *more = textwrap.wrap(line(options.option(group, name)), max(20, console.width - width - 5))
        lines.append(f" {'*' if name in names else ' '} [cyan]{name:{width}}[/]  {escape(first)}")
        lines += [" " * (width + 5) + escape(rest) for rest in more]
    console.print("\n".join(lines), soft_wrap=True)


def explain(console: Console, option: Option) -> None:
    """One option, whole."""
    text = said(option.target)
    file = f"conf/{option.group}/{option.name}.yaml"
    console.print(f"[bold]{option.word}[/]  [dim]{file}{f', {option.target}' if option.target else ''}[/]")
    for comment in option.header:
        console.print(_text(comment))
    if option.requires:
        console.print(_text(f"needs: {' '.join(option.requires)}"))
    if text.text:
        console.print(_text(_unwrapped(text.text)))
    if not option.header and not text.text:
        console.print(_text(line(option)))
    _picks(console, option)
    if text.formula:
        _head(console, "formula")
        console.print(_text(text.formula, 4))
    if option.group == "variant":
        _head(console, "loss: the sum of these terms, each the mean over rows")
        _rows(console, list(loss(option)))
    if option.keys:
        _head(console, "sets" if option.group in ("variant", "experiment") else "keys")
        _rows(console, [(f"{key.path}={key.value}", key.comment) for key in option.keys])
    looks = [look for look in (text.look, *(said(part.target).look for part in picked(option))) if look]
    if looks:
        _head(console, "look at")
        for look in looks:
            console.print(_text(look, 4))
    papers = sources(option)
    if papers:
        _head(console, "papers")
        console.print(_text("; ".join(papers), 4))
    if (option.target or "").startswith("torch."):
        console.print(_text(f"https://docs.pytorch.org/docs/stable/generated/{option.target}.html"))


def _picks(console: Console, option: Option) -> None:
    if option.includes:
        _head(console, "with")
        _rows(console, [(name, line(options.option(option.group, name))) for name in option.includes])
    if option.picks:
        _head(console, "picks")
        rows = []
        for part in list_picks(option):
            note, about = option.notes.get(part.group), said(part.target).first or line(part)
            rows.append((part.word, f"{about}\n({note})" if note else about))
        _rows(console, rows)


def _head(console: Console, title: str) -> None:
    console.print(f"  [bold]{title}[/]")


def _rows(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    for left, right in rows:
        grid.add_row(f"[cyan]{escape(left)}[/]", escape(right))
    console.print(Padding(grid, (0, 0, 0, 4), expand=False))


def _text(text: str, indent: int = 2) -> Padding:
    return Padding(escape(text), (0, 0, 0, indent), expand=False)


def _unwrapped(text: str) -> str:
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

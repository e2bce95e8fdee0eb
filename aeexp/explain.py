"""The command `aeexp-explain`: what an option is, from its YAML and its docstring, and so never another than what runs.
Exit codes: 0 done, 2 a name that is not known."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from aeexp import options
from aeexp.docstrings import Said, cited, first_sentence, said
from aeexp.errors import UsageError, require
from aeexp.options import Option

HEADED = ("variant", "experiment", "dataset", "dataset/split")  # groups whose YAML's first line says it best


def main(argv: Sequence[str] | None = None) -> None:
    about = "What an option is: its formula, keys with values, what to look at, and the paper."
    made = argparse.ArgumentParser("aeexp-explain", description=about)
    words = "an option (vae, regularizer=kl), or a group (noise); without a name all groups and options"
    made.add_argument("names", metavar="NAME", nargs="*", help=words)
    names = made.parse_args(argv).names
    try:
        found = [part for name in names for part in lookup(name)]
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    with screen() as console:
        for i, part in enumerate(found or options.groups()):
            if i:
                console.print()
            listing(console, part) if isinstance(part, str) else explain(console, part)


@contextmanager
def screen() -> Iterator[Console]:
    """The terminal; a pipe or a file gets plain text of 120 letters a line. Who stops reading it gets no more."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    with console.capture() as written:
        yield console
    try:
        print("\n".join(line.rstrip() for line in written.get().splitlines()), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def overview() -> None:
    """What `aeexp --help` prints: groups with their options, values, and examples."""
    with screen() as console:
        _overview(console)


def _overview(console: Console) -> None:
    words = options.config()["hydra"]["help"]
    console.print(escape(words["header"]))
    console.print(
        "\n[bold]Groups, chosen as group=option[/] (*: where nothing is said; aeexp-explain OPTION says more)"
    )
    for group in options.groups():
        console.print()
        listing(console, group)
    console.print("\n[bold]Values, set as key=value[/]")
    _rows(console, [(f"{key.path}={key.value}", key.comment) for key in options.values()])
    console.print(f"\n{escape(words['footer'])}")


def lookup(name: str) -> list[Option | str]:
    """Options and groups of this name: `kl`, `regularizer=kl`, `regularizer`."""
    group, _, option = name.rpartition("=")
    groups = options.groups()
    found: list[Option | str] = [] if group else [each for each in groups if each == option]
    wanted = option.strip("[]").split(",") if group else [option]
    found += [options.option(each, one) for each, names in groups.items() if group in ("", each)
              for one in wanted if one in names]  # fmt: skip
    known = [*groups, *(one for names in groups.values() for one in names)]
    if group:
        require(group in groups, f"{name}: there is no group {group}{near(group, groups)}")
        known = groups[group]
    require(bool(found), f"{name}: there is no such option{near(option, known)}")
    return found


def near(word: str, known: Sequence[str]) -> str:
    close = list(dict.fromkeys(difflib.get_close_matches(word, known, n=2, cutoff=0.7)))
    return f": did you mean {' or '.join(close)}?" if close else "; aeexp-explain lists all of them"


def line(option: Option) -> str:
    """What an option is, in one sentence."""
    header, text = first_sentence(" ".join(option.header[: option.lead or 1])), said(option.target).first
    if option.group in HEADED:
        text = header or text
    together = f"{', '.join(option.includes)}" if option.includes and option.target is None else ""
    return text or header or together or "nothing"


def listing(console: Console, group: str) -> None:
    """A group, and one line for each of its options; a star: what stands where nothing is said."""
    names, about = options.defaults().get(group, ((), ""))
    console.print(f"[bold]{group}[/]: {escape(about)}".rstrip(": "))
    shown = options.groups()[group]
    width = max(map(len, shown))
    lines = []
    for name in shown:  # a table of rich's takes five times as long
        first, *more = textwrap.wrap(line(options.option(group, name)), max(20, console.width - width - 5))
        lines.append(f" {'*' if name in names else ' '} [cyan]{name:{width}}[/]  {escape(first)}")
        lines += [" " * (width + 5) + escape(words) for words in more]
    console.print("\n".join(lines), soft_wrap=True)


def explain(console: Console, option: Option) -> None:
    """One option, whole."""
    text = said(option.target)
    file = f"conf/{option.group}/{option.name}.yaml"
    console.print(f"[bold]{option.word}[/]  [dim]{file}{f', {option.target}' if option.target else ''}[/]")
    for words in option.header:
        console.print(_text(words))
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
    looks = [look for look in (text.look, *(said(part.target).look for part in _picked(option))) if look]
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


def sources(option: Option) -> list[str]:
    """Papers that YAML and docstring name; of a variant also those of what it picks."""
    texts = [" ".join(option.header), said(option.target).text, said(option.target).formula]
    texts += [said(part.target).text for part in _picked(option)]
    return cited("\n".join(texts))


def _picked(option: Option) -> list[Option]:
    return [options.option(*pick) for pick in option.picks] if option.group == "variant" else []


def _picks(console: Console, option: Option) -> None:
    if option.includes:
        _head(console, "with")
        _rows(console, [(name, line(options.option(option.group, name))) for name in option.includes])
    if option.picks:
        _head(console, "picks")
        rows = []
        for part in (options.option(*pick) for pick in option.picks):
            note = option.notes.get(part.group)
            words = said(part.target).first or line(part)
            rows.append((part.word, f"{words}\n({note})" if note else words))
        _rows(console, rows)


def loss(variant: Option) -> Iterator[tuple[str, str]]:
    """Terms of a variant's loss with their formulas: picks, and the defaults where it picks nothing."""
    chosen = {group: names for group, (names, _) in options.defaults().items()}
    for group in dict.fromkeys(group for group, _ in variant.picks):
        chosen[group] = tuple(name for each, name in variant.picks if each == group)

    def part(group: str, name: str) -> tuple[Option, Said]:
        found = options.option(group, name)
        return found, said(found.target)

    latent, likelihood, objective = (part(group, chosen[group][0]) for group in ("latent", "likelihood", "objective"))
    if objective[0].name == "additive":
        yield f"reconstruction: {likelihood[0].word}", likelihood[1].formula
    else:
        yield objective[0].word, objective[1].formula
        yield f"-log p(x|z): {likelihood[0].word}", likelihood[1].formula
    own = {key.path: key.value for key in variant.keys}
    for name in chosen["regularizer"]:
        found, text = part("regularizer", name)
        path = f"regularizer.{name}.weight"
        weight = own.get(path) or next((key.value for key in found.keys if key.path == path), "")
        if weight:
            yield f"+ {weight} × {name}", text.formula or text.first
    yield f"of the code z: {latent[0].word}", latent[1].formula


def _head(console: Console, words: str) -> None:
    console.print(f"  [bold]{words}[/]")


def _rows(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    for left, right in rows:
        grid.add_row(f"[cyan]{escape(left)}[/]", escape(right))
    console.print(Padding(grid, (0, 0, 0, 4), expand=False))


def _text(words: str, indent: int = 2) -> Padding:
    return Padding(escape(words), (0, 0, 0, indent), expand=False)


def _unwrapped(text: str) -> str:
    """Paragraphs without the line ends of the source; items of a list keep theirs."""
    parts = []
    for paragraph in text.split("\n\n"):
        lines = []
        for words in paragraph.splitlines():
            if lines and not words.startswith("- "):
                lines[-1] += f" {words.strip()}"
            else:
                lines.append(words)
        parts.append("\n".join(lines))
    return "\n".join(parts)


if __name__ == "__main__":
    main()

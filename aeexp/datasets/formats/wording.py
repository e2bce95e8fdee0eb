"""Names and cells in messages, options as one pastes them into a command, and several problems in one message."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import final

from aeexp.errors import UsageError, quote_value, quote_words

MOST = 20  # problems that are listed
BARE = re.compile(r"[\w./+=,\[\]-]+", re.ASCII)  # needs no quotes


def quote(text: str) -> str:
    """In quotes, on one line, cut where it is long."""
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def join_names(names: Sequence[str]) -> str:
    """As one writes a list on the command line; the first twenty."""
    plain = [name if name.isprintable() else quote(name) for name in names[:20]]
    return ",".join(plain) + (",..." if len(names) > 20 else "")


def write_option(key: str, names: Sequence[str]) -> str:
    """As one pastes a list into the command: in quotes for the shell and for Hydra where a name needs them."""
    return _quote(f"dataset.{key}=[{','.join(map(quote_value, map(_keep_on_line, names)))}]")


def write_value(key: str, value: str) -> str:
    """The same of a single text, such as a column or a path."""
    return _quote(f"dataset.{key}={quote_value(_keep_on_line(value))}")


def _quote(word: str) -> str:
    return word if BARE.fullmatch(word) else quote_words(word)  # brackets do no harm, and people have to read it


def _keep_on_line(text: str) -> str:
    """What no line can hold is written as Python does: such a name can be seen, and has to be typed otherwise."""
    return text if text.isprintable() else repr(text)[1:-1]


class Problem(UsageError):
    """One of perhaps several problems of a table; `options` are those of its way out, `{"drop": "age"}`."""

    def __init__(self, message: str, options: Mapping[str, str] | None = None):
        super().__init__(message)
        self.options = dict(options or {})


@final
class Problems:
    """All that is wrong with a table, told at once: who mends one thing wants to know of the next.

    `chosen` are the lists that the user has given under `drop` and `categorical`; a way out adds to them.
    """

    def __init__(self, start: str, chosen: Mapping[str, Sequence[str]]):
        self.start = start
        self.chosen = chosen
        self.found: list[UsageError] = []

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Keep what is raised inside for `raise_all`."""
        try:
            yield
        except UsageError as error:
            self.found.append(error)

    def solve(self) -> tuple[dict[str, list[str]], str | None]:
        """Columns to name under `drop` and `categorical`, and a value of `missing`, that the ways out say."""
        lists: dict[str, list[str]] = {}
        missing = None
        for error in self.found:
            for key, value in (error.options if isinstance(error, Problem) else {}).items():
                if key == "missing":
                    missing = value if missing in (None, "most_frequent") else missing
                elif value not in lists.setdefault(key, list(self.chosen.get(key, ()))):
                    lists[key].append(value)
        return lists, missing

    def raise_all(self) -> None:
        """Nothing where none was found, the problem itself where there is one, else a list with one way out."""
        if len(self.found) <= 1:
            for error in self.found:
                raise error
            return
        texts = [str(error).splitlines()[0].replace(f"{self.start}: ", "").rstrip(".:") for error in self.found]
        more = [f"and {len(texts) - MOST} more"] if len(texts) > MOST else []
        lists, missing = self.solve()
        options = [write_option(key, names) for key, names in lists.items()]
        options += [f"dataset.missing={missing}"] if missing else []
        way = f"Mend the table, or set {' '.join(options)}" if options else "Mend the table"
        listed = "".join(f"\n- {text}" for text in [*texts[:MOST], *more])
        raise UsageError(f"{self.start}: {len(self.found)} problems{listed}\n{way}.")

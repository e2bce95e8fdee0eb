"""How a table writes its numbers: 1234.5, 1,234.5, 1.234,5, 1 234,5 ..."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import NamedTuple

from aeexp.datasets.formats.wording import Problem, quote
from aeexp.errors import UsageError

log = logging.getLogger(__name__)

SPACES = " \u00a0\u202f\u2009'\u2019"  # that part thousands: blanks, narrow or not, and Swiss apostrophes


class Numerals(NamedTuple):
    """Sign of the fractions, and the one between thousands ("" for none), as pandas calls them."""

    decimal: str = "."
    thousands: str = ""

    def parse(self, text: str) -> float | None:
        """None where the text is no number so written; 1_000 is none, though Python reads it as one."""
        if self == PLAIN or not set(text) & {self.decimal, self.thousands or self.decimal, "."}:
            return parse_number(text)
        if not _compile(self.decimal, self.thousands).fullmatch(text):
            return None
        digits = text.replace(self.thousands, "") if self.thousands else text
        return parse_number(digits.replace(self.decimal, "."))


PLAIN = Numerals()
COMMA = Numerals(",")
# Simple ones first: of those that read a table alike the first is told.
KNOWN = (PLAIN, COMMA, Numerals(".", ","), Numerals(",", "."), *(Numerals(d, t) for t in SPACES for d in ".,"))


def parse_number(text: str) -> float | None:
    """None where the text is no number; 1_000 is none, though Python reads it as one."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def choose_numerals(decimal: str | None, thousands: str | None) -> Numerals | None:
    """What the user says; None: to be found. Raises UsageError for signs that are none."""
    for key, sign in (("decimal", decimal), ("thousands", thousands)):
        if sign is not None and (len(sign) != 1 or sign.isalnum() or sign in '+-_"\n\r'):
            raise UsageError(f"{key}={sign!r} must be one sign, as in \"dataset.{key}=','\"")
    if decimal is not None and decimal == thousands:
        raise UsageError(f"thousands={thousands!r} is the sign of fractions too (dataset.decimal): take another")
    if decimal is None and thousands is None:
        return None
    return Numerals(decimal or ("," if thousands == "." else "."), thousands or "")


def find_numerals(columns: Mapping[str, Collection[str]], start: str) -> Numerals:
    """How all columns of numbers are written; `columns` are their different cells by name, texts among them.

    Points are meant where they read every such column. Raises UsageError where no way reads them all, and where two
    ways do that differ: 1,234 is one number in Berlin and another in London.
    """
    plain = [name for name, texts in columns.items() if all(parse_number(text) is not None for text in texts)]
    other = {name: _list_ways(columns[name]) for name in columns if name not in plain}
    other = {name: found for name, found in other.items() if found}
    if not other:
        return PLAIN
    ways = {**other, **{name: _list_ways(columns[name]) for name in plain if columns[name]}}
    common = [way for way in KNOWN if all(way in found for found in ways.values())]
    sample = {name: min(columns[name], key=lambda text: (-len(re.sub(r"\d", "", text)), text)) for name in ways}
    if not common:
        one, unlike = _find_unlike(ways)
        raise Problem(
            f"{start}: numbers are written as {quote(sample[one])} in column {quote(one)} and as "
            f"{quote(sample[unlike])} in column {quote(unlike)}.\n"
            "Set \"dataset.decimal=','\" or \"dataset.decimal='.'\", and what is no number then is text."
        )
    for name in ways:
        for text in sorted(columns[name]):
            values = dict.fromkeys(repr(way.parse(text)).removesuffix(".0") for way in common)  # nan equals itself so
            if len(values) > 1:
                listed = " or ".join(values)
                raise Problem(
                    f"{start}: column {quote(name)} holds numbers such as {quote(text)}, which may be {listed}.\n"
                    f"Set \"dataset.decimal=','\" or \"dataset.thousands=','\"."
                )
    way, first = common[0], next(iter(other))
    thousands = f", {way.thousands!r} between thousands" if way.thousands else ""
    log.info(
        "numbers are read with %r before fractions%s, as %s in column %s; dataset.decimal and dataset.thousands say "
        "otherwise", way.decimal, thousands, quote(sample[first]), quote(first),
    )  # fmt: skip
    return way


def _find_unlike(ways: Mapping[str, list[Numerals]]) -> tuple[str, str]:
    """Two columns that no way reads; of those that only three together have none, the first and the last."""
    unlike = ((a, b) for a in ways for b in ways if not set(ways[a]) & set(ways[b]))
    return next(unlike, (next(iter(ways)), next(reversed(list(ways)))))


def _list_ways(texts: Collection[str]) -> list[Numerals]:
    return [way for way in KNOWN if all(way.parse(text) is not None for text in texts)]


@cache
def _compile(decimal: str, thousands: str) -> re.Pattern[str]:
    """A number so written: thousands in threes behind a first digit that is not 0 (012,345 is an account)."""
    whole = rf"\d+|[1-9]\d{{0,2}}(?:{re.escape(thousands)}\d{{3}})+" if thousands else r"\d+"
    return re.compile(rf"[+-]?(?:(?:{whole})(?:{re.escape(decimal)}\d*)?|{re.escape(decimal)}\d+)(?:[eE][+-]?\d+)?")

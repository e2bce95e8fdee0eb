"""Which column of a table is what."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aeexp.datasets.formats.table import Table
from aeexp.datasets.formats.wording import Problem, Problems, join_names, quote
from aeexp.errors import UsageError


class Roles(NamedTuple):
    """Columns by what they are for; categories are named whatever they are for."""

    label: str | None = None
    target: str | None = None
    attributes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()  # in the order of the file
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()

    @property
    def beside_label(self) -> tuple[str, ...]:
        """Features and attributes: what must not have gaps."""
        return (*self.features, *self.attributes)


def assign_roles(
    table: Table, label: str | None, attributes: Sequence[str], drop: Sequence[str], categorical: Sequence[str],
    columns: Sequence[str] | None, target: str | None = None,
) -> Roles:  # fmt: skip
    """Features are `columns`, or all, without those that are something else.

    Raises UsageError for names that are not there, or are there twice: all of them at once.
    """
    single = {key: [] if name is None else [name] for key, name in (("label", label), ("target", target))}
    roles = {**single, "attributes": attributes, "drop": drop}
    given = {**roles, "categorical": categorical, "columns": columns or ()}
    problems = Problems(table.files[0], {})
    for key, names in given.items():
        for name in names:
            with problems.collect():
                _check_name(table, key, names, name)
    seen: dict[str, str] = {}
    for key, names in roles.items():
        for name in names:
            with problems.collect():
                _check_once(key, names, name, seen)
            seen[name] = key
    for name in columns or ():
        if seen.get(name) == "drop":
            with problems.collect():
                _check_once("columns", columns or (), name, seen)
    problems.raise_all()
    features = tuple(name for name in table.header if name not in seen and (columns is None or name in columns))
    if not features:
        keys = "dataset.label, dataset.target, dataset.attributes or dataset.drop"
        raise UsageError(
            f"{table.files[0]}: no column is left as a feature: all are named in {keys}; take one out of there"
            if columns is None
            else f"columns=[{join_names(columns)}]: no column is left as a feature; name one that is not in {keys}"
        )
    return Roles(label, target, tuple(attributes), features, tuple(drop), tuple(categorical))


def _check_name(table: Table, key: str, names: Sequence[str], name: str) -> None:
    if name in table.header:
        return
    near = difflib.get_close_matches(name, table.header, n=1)
    way = f"did you mean {quote(near[0])}?" if near else f"there are {join_names(table.header)}"
    file = Path(table.files[0]).name
    raise Problem(f"{format_key(key, names)}: {file} has no column {quote(name)}; {way}")


def _check_once(key: str, names: Sequence[str], name: str, seen: dict[str, str]) -> None:
    if name in seen:
        where = f"also in {seen[name]}" if seen[name] != key else "twice"
        raise Problem(f"{format_key(key, names)}: column {quote(name)} is named {where}; name it once")


def format_key(key: str, names: Sequence[str]) -> str:
    """`label=income`, `drop=[id,date]`."""
    return f"{key}={join_names(names)}" if key in ("label", "target") else f"{key}=[{join_names(names)}]"

"""Labels as read, as places in a list of the different ones, and as class numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from aeexp.datasets.formats.wording import quote
from aeexp.errors import UsageError

MOST_FRACTIONS = 10  # different labels that are no whole numbers; more are measurements
MOST_NAMES = 20  # different labels; more that differ in most rows name rows


class Labels(NamedTuple):
    """Labels of one part of the data: a few bytes a row, however long the names are."""

    codes: np.ndarray  # (N,) places in `values`, -1: unlabelled
    values: np.ndarray  # the different labels: numbers or texts
    ordered: bool = False  # the values are class names in the order of their numbers


def number_labels(
    rows: Labels, test: Labels | None, instead: str
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray | None]:
    """Names of the classes and (N,) class numbers of the rows and of the official test set.

    Values are numbered in sorted order (`number_in_order`). Class names that have an order keep it, and names that the
    test part alone has follow them. `instead` is what to do with measurements, which are refused.
    """
    parts = {name: part for name, part in (("y", rows), ("y of the test rows", test)) if part is not None}
    known = {name: part.values for name, part in parts.items() if len(part.values)}
    if not known:
        numbers, classes = [], ()
    elif rows.ordered:
        if not all(values.dtype.kind == "U" for values in known.values()):
            raise UsageError("y: the test rows have labels of another kind, texts and numbers, than the rest")
        names = list(dict.fromkeys(name for values in known.values() for name in values.tolist()))
        place = {name: number for number, name in enumerate(names)}
        numbers, classes = [[place[name] for name in values.tolist()] for values in known.values()], tuple(names)
    else:
        count = sum(int((part.codes >= 0).sum()) for part in parts.values())
        numbers, classes = number_in_order(known, instead, count)
    of_values = dict(zip(known, numbers, strict=True))
    # code -1 reads the last entry
    kind = choose_kind(len(classes))
    ys = [np.array([*of_values.get(name, ()), -1], kind)[part.codes] for name, part in parts.items()]
    return classes, ys[0], ys[1] if test is not None else None


def choose_kind(classes: int) -> np.dtype:
    """The smallest type of integers that holds the numbers of so many classes, and -1."""
    return np.min_scalar_type(-max(1, classes))


def number_in_order(
    parts: Mapping[str, np.ndarray], instead: str, rows: int | None = None
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Labels, by the name of their array, as 0, 1, ... in sorted order; negative ones become -1, unlabelled.

    `rows` is the number of labels where the arrays hold the different ones only.
    """
    if len({y.dtype.kind == "U" for y in parts.values()}) > 1:
        raise UsageError(f"{list(parts)[-1]} has labels of another kind, texts and numbers, than the rest")
    whole = np.concatenate(list(parts.values()))
    known = np.unique(whole)
    numeric = known.dtype.kind in "if"
    if rows is None:
        rows = int((whole >= 0).sum()) if numeric else len(whole)
    if known.dtype.kind == "f":
        refuse_measurements(next(iter(parts)), known[known != -1], rows, instead)
    known = known[known >= 0] if numeric else known
    refuse_names(next(iter(parts)), known, rows, instead)

    def number(y: np.ndarray) -> np.ndarray:
        if len(known) == 0:
            return np.full(len(y), -1, np.int64)
        place = np.searchsorted(known, y).clip(max=len(known) - 1)
        return np.where(known[place] == y, place, -1).astype(np.int64)

    return [number(y) for y in parts.values()], tuple(str(label) for label in known)


def refuse_measurements(name: str, values: np.ndarray, rows: int, instead: str) -> None:
    """Refuse different labels that are measurements: fractions, and more than a few or than half the rows."""
    fractions = values[values != np.floor(values)]
    if len(fractions) and len(values) > min(MOST_FRACTIONS, rows / 2):
        raise UsageError(
            f"{name}: {len(values)} different labels in {rows} rows, such as {fractions[0]:.6g}, are no classes; "
            f"{instead}"
        )


def refuse_names(name: str, values: Sequence[object] | np.ndarray, rows: int, instead: str) -> None:
    """Refuse different labels of so many rows that name the rows: a label for each, or for most of them."""
    if is_name_of_rows(len(values), rows):
        each = "a label for each row" if len(values) == rows else "different in most rows"
        raise UsageError(
            f"{name}: {len(values)} different labels in {rows} rows, such as {quote(str(values[0]))}, name rows, no "
            f"classes ({each}); {instead}"
        )


def is_name_of_rows(different: int, rows: int) -> bool:
    """Whether so many different labels of so many rows are names of rows, and nothing that could be learned."""
    return different > MOST_NAMES and 2 * different > rows


def check_labels(y: np.ndarray, name: str, rows: int) -> np.ndarray:
    """(N,) numbers or texts as they are, of (N,) or (N, 1); `number_in_order` numbers them."""
    y = y[:, 0] if y.shape == (rows, 1) else y
    hint = ": (N,) is needed, and masks are named by dataset.target" if y.ndim > 1 else ""
    if y.ndim == 2 and len(y) == rows and y.dtype.kind in "buif":
        hint = ": (N,) is needed; one-hot labels become classes by y.argmax(1)"
    if y.shape != (rows,):
        raise UsageError(f"{name} has shape {y.shape}, which does not fit the {rows} rows{hint}")
    kind = y.dtype.kind
    if kind not in "buifSU":
        raise UsageError(f"{name} has type {y.dtype}, but numbers or texts are needed as labels")
    if kind == "f":
        bad = ~np.isfinite(y)
        if bad.any():
            raise UsageError(f"{name}: row {bad.argmax()} has the label NaN or infinity: mark unlabelled by -1")
    elif kind == "u":
        y = y.astype(np.int64) if y.max() < 2**63 else y.astype(np.float64)
    elif kind == "S":
        y = np.array([text.decode("utf-8", "backslashreplace") for text in y.tolist()])
    elif kind == "U":
        try:
            y = np.array(y.tolist())
            "".join(y).encode()
        except (ValueError, SystemError) as error:  # numbers beyond Unicode, or halves of surrogate pairs
            raise UsageError(f"{name} holds labels that are no text: it is damaged") from error
    return y

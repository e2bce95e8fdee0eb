"""New rows for a finished run, through the loaders and the preprocessing that its own rows went through."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from aeexp.conditions import Attribute, Label
from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows, Source, read
from aeexp.datasets.core.spelling import Spelling, respell
from aeexp.datasets.core.split import Split
from aeexp.datasets.formats import arrays
from aeexp.encoding.reading import read_rows
from aeexp.errors import UsageError
from aeexp.runs.loading import LoadedRun
from aeexp.runs.units import warn_of_units

log = logging.getLogger(__name__)


def load_rows(run: LoadedRun, path: str, overrides: Sequence[str] = ()) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The rows of a file or folder on the run's device, by split where the file has official ones, and their classes.

    `overrides` are keys of the loader, as in ["y=label", "shape=[1,8,8]"]. Raises UsageError for rows of another
    shape, and where the model wants labels or attributes that are not there.
    """
    return prepare_rows(run, read_rows(run, path, overrides), path)


def prepare_rows(run: LoadedRun, source: Source, path: str) -> tuple[dict[str, Split], tuple[str, ...]]:
    """`load_rows` of what was found; `path` is what a message calls it."""
    account = run.saved.get("data")
    if account is None:
        raise UsageError(f"{run.folder} does not say how its rows were preprocessed: train it again")
    official = {"train": source.rows, "val": source.val, "test": source.test}
    given = {part: each for part, each in official.items() if each is not None}
    spelled = {part: fit_spelling(run, each, source.spelling, path) for part, each in given.items()}
    rows = {part: fit_shape(run, each, path) for part, each in spelled.items()}
    rows, classes, _ = renumber_labels(run, rows, source.classes, path)
    first = next(iter(rows.values()))
    unit = account["unit"] if source.spelling else source.scale  # tokens are by now those of the run
    preprocessing = choose_preprocessing(account, unit, first, path)
    parts = rows if len(rows) > 1 else {"": first}
    splits = {name: Split(each, preprocessing).to(run.device, resident=False) for name, each in parts.items()}
    for split in splits.values():
        check_condition(run, split, path)
        compare_values(split, account["limits"], path)
    return splits, classes


def fit_spelling(run: LoadedRun, rows: Rows, spelling: Spelling | None, path: str) -> Rows:
    """Text in the tokens of the run. Raises UsageError where one of the two is no text, or lacks a character."""
    letters = run.saved["data"].get("letters")
    if (letters is None) != (spelling is None):
        kinds = ["no text" if each is None else "text" for each in (spelling, letters)]
        raise UsageError(f"{path}: its rows are {kinds[0]}, but {run.folder} was trained on {kinds[1]}")
    if spelling is None:
        return rows
    return rows._replace(x=respell(read(rows.x), Spelling(letters), spelling, path))


def fit_shape(run: LoadedRun, rows: Rows, path: str) -> Rows:
    """Rows as the model takes them: short sequences get zeros behind them; all else must fit."""
    expected, shape = tuple(run.saved["facts"]["shape"]), tuple(rows.x.shape[1:])
    shorter = len(expected) == 2 and shape[1:] == expected[1:] and shape[0] < expected[0]
    if shorter and rows.lengths is not None and isinstance(rows.x, np.ndarray):
        return rows._replace(x=arrays.lengthen(rows.x, expected[0]))
    folds = path.endswith(".npz") and np.prod(shape) == np.prod(expected)
    way = f": add shape=[{','.join(map(str, expected))}]" if folds and shape != expected and len(expected) != 2 else ""
    if shape != expected:
        raise UsageError(f"{path}: its rows have shape {shape}, but {run.folder} was trained on {expected}{way}")
    return rows


def renumber_labels(
    run: LoadedRun, parts: dict[str, Rows], classes: tuple[str, ...], path: str
) -> tuple[dict[str, Rows], tuple[str, ...], np.ndarray | None]:
    """Labels as the run numbers them, by the names of the classes, where it knows all of them; their names, and the
    run's number of each class (None: the labels are as they were)."""
    own = run.saved["data"]["classes"]
    named = {name.partition(" - ")[0]: name for name in own} | {name: name for name in own}  # MNIST's 7 is "7 - seven"
    strange = [name for name in classes if name not in named]
    if strange and isinstance(run.model.condition, Label):
        raise UsageError(
            f"{path}: the run knows no class {', '.join(strange[:5])}; it was trained on {', '.join(own[:20])}"
        )
    if strange or not classes:
        return parts, classes, None
    place = np.array([*(own.index(named[name]) for name in classes), -1], np.int64)  # the last for -1, unlabelled
    numbered = {part: rows if rows.y is None else rows._replace(y=place[rows.y]) for part, rows in parts.items()}
    return numbered, tuple(own), place[:-1]


def choose_preprocessing(account: dict[str, Any], unit: float, rows: Rows, path: str) -> Preprocessing:
    """That of the training split. Rows of another type than its own are brought to its units first, bytes as 1/255:
    `unit` is the value of a stored step."""
    own = Preprocessing(**account["preprocessing"])
    dtype = np.dtype(rows.x.dtype).name
    if dtype == account["dtype"]:
        return own
    factor = unit / account["unit"]
    message = "%s: %s rows, where training had %s: a value of 1 is taken for a stored value of %.4g there"
    log.warning(message, path, dtype, account["dtype"], factor)
    return Preprocessing(own.scale * factor, own.shift, own.binarise, own.clip)


def check_condition(run: LoadedRun, split: Split, path: str) -> None:
    """Refuse rows without the side information that the model was trained with."""
    condition, facts = run.model.condition, run.saved["facts"]
    if condition.told == 0:
        return
    if isinstance(condition, Label) and not run.learner.objective.infers_labels and split.y is None:
        raise UsageError(
            f"{path}: the model was trained with condition=label, and these rows have no labels: name them, as in "
            "y=... (npz), labels=... (npy), label=... (csv)"
        )
    if isinstance(condition, Attribute):
        if split.s is None:
            raise UsageError(
                f"{path}: the model was trained with condition=attribute, and these rows have no attributes: name "
                "them, as in s=... (npz), attributes=... (npy, csv)"
            )
        if facts["codes"]:
            whole = split.s.dim() == 1 and not split.s.is_floating_point()
            if not whole or int(split.s.min()) < 0 or int(split.s.max()) >= facts["codes"]:
                raise UsageError(f"{path}: its attribute must be whole numbers (N,) from 0 to {facts['codes'] - 1}")
        else:
            columns = 1 if split.s.dim() == 1 else split.s.shape[1]
            if columns != facts["columns"]:
                raise UsageError(f"{path}: its rows have {columns} attributes, those of the run {facts['columns']}")


def compare_values(split: Split, limits: Sequence[float], path: str) -> None:
    """A word on values far beyond those of the run's own rows: other units, most likely."""
    batch = split.sample(1024).batch(slice(0, 1024))
    low, high = (float(end) for end in batch.x.aminmax())
    warn_of_units(path, (low, high), limits)

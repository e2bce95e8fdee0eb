"""New rows for a finished run, through the loaders and the preprocessing that its own rows went through."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from aeexp.conditions import Attribute, Label
from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.split import Split
from aeexp.datasets.formats import arrays
from aeexp.encoding.reading import read
from aeexp.errors import UsageError
from aeexp.runs.finished import Finished

log = logging.getLogger(__name__)


def splits(run: Finished, path: str, words: Sequence[str] = ()) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The rows of a file or folder on the run's device, by split where the file has official ones, and their classes.

    `words` are keys of the loader, as in ["y=label", "shape=[1,8,8]"]. Raises UsageError for rows of another shape, and
    where the model wants labels or attributes that are not there.
    """
    account = run.saved.get("data")
    if account is None:
        raise UsageError(f"{run.folder} does not say how its rows were preprocessed: train it again")
    source = read(run, path, words)
    parts = {"train": source.rows, "val": source.val, "test": source.test}
    found = {part: _shaped(run, rows, path) for part, rows in parts.items() if rows is not None}
    found, classes = _labelled(run, found, source.classes, path)
    made = _preprocessing(account, source, next(iter(found.values())), path)
    named = found if len(found) > 1 else {"": next(iter(found.values()))}
    ready = {name: Split(rows, made).to(run.device, resident=False) for name, rows in named.items()}
    for split in ready.values():
        _conditioned(run, split, path)
        _compared(split, account["limits"], path)
    return ready, classes


def _shaped(run: Finished, rows: Rows, path: str) -> Rows:
    """Rows as the model takes them: short sequences get zeros behind them; all else must fit."""
    wanted, given = tuple(run.saved["facts"]["shape"]), tuple(rows.x.shape[1:])
    if rows.lengths is not None and len(wanted) == 2 and given[1:] == wanted[1:] and given[0] < wanted[0]:
        return rows._replace(x=arrays.lengthen(rows.x, wanted[0]))
    folds = path.endswith(".npz") and np.prod(given) == np.prod(wanted)
    way = f": add shape=[{','.join(map(str, wanted))}]" if folds and given != wanted and len(wanted) != 2 else ""
    if given != wanted:
        raise UsageError(f"{path}: its rows have shape {given}, but {run.folder} was trained on {wanted}{way}")
    return rows


def _labelled(
    run: Finished, parts: dict[str, Rows], classes: tuple[str, ...], path: str
) -> tuple[dict[str, Rows], tuple[str, ...]]:
    """Labels as the run numbers them, by the names of the classes, where it knows all of them."""
    own = run.saved["data"]["classes"]
    strange = [name for name in classes if name not in own]
    if isinstance(run.model.condition, Label):
        if strange:
            raise UsageError(
                f"{path}: the run knows no class {', '.join(strange[:5])}; it was trained on {', '.join(own[:20])}"
            )
    if strange or not classes:
        return parts, classes
    place = np.array([*(own.index(name) for name in classes), -1], np.int64)  # the last for -1, unlabelled
    return {part: rows if rows.y is None else rows._replace(y=place[rows.y]) for part, rows in parts.items()}, tuple(
        own
    )


def _preprocessing(account: dict[str, Any], source: Source, rows: Rows, path: str) -> Preprocessing:
    """That of the training split. Rows of another type than its own are brought to its units first, bytes as 1/255."""
    made = Preprocessing(**account["preprocessing"])
    dtype = np.dtype(rows.x.dtype).name
    if dtype == account["dtype"]:
        return made
    factor = source.scale / account["unit"]
    words = "%s: %s rows, where training had %s: a value of 1 is taken for a stored value of %.4g there"
    log.warning(words, path, dtype, account["dtype"], factor)
    return Preprocessing(made.scale * factor, made.shift, made.binarise, made.clip)


def _conditioned(run: Finished, split: Split, path: str) -> None:
    """Refuse rows without the side information that the model was trained with."""
    condition, facts = run.model.condition, run.saved["facts"]
    if isinstance(condition, Label) and not run.learner.objective.infers_labels:
        words = "the model was trained with condition=label, and these rows have no labels: name them"
        if split.y is None:
            raise UsageError(f"{path}: {words}, as in y=... (npz), labels=... (npy), label=... (csv)")
    if isinstance(condition, Attribute):
        words = "the model was trained with condition=attribute, and these rows have no attributes: name them"
        if split.s is None:
            raise UsageError(f"{path}: {words}, as in s=... (npz), attributes=... (npy, csv)")
        if facts["codes"]:
            whole = split.s.dim() == 1 and not split.s.is_floating_point()
            fits = whole and 0 <= int(split.s.min()) and int(split.s.max()) < facts["codes"]
            if not fits:
                raise UsageError(f"{path}: its attribute must be whole numbers (N,) from 0 to {facts['codes'] - 1}")
        else:
            columns = 1 if split.s.dim() == 1 else split.s.shape[1]
            if columns != facts["columns"]:
                raise UsageError(f"{path}: its rows have {columns} attributes, those of the run {facts['columns']}")


def _compared(split: Split, limits: Sequence[float], path: str) -> None:
    """A word on values far beyond those of the run's own rows: other units, most likely."""
    batch = split.sample(1024).batch(slice(0, 1024))
    low, high = (float(end) for end in batch.x.aminmax())
    room = limits[1] - limits[0]
    if low < limits[0] - room or high > limits[1] + room:
        words = "%s: values run from %.4g to %.4g, those of the run from %.4g to %.4g: are the units the same?"
        log.warning(words, path, low, high, *limits)

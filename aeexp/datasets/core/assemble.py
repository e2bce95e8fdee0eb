"""From what a loader found to the data of a run: the keys that every data set has, in one place."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Literal, get_type_hints

import numpy as np

from aeexp.datasets.core import preprocessing
from aeexp.datasets.core.choosing import hidden, labelled_rows, normal_rows, numbers, of_classes
from aeexp.datasets.core.data import Data, Residency, split_of
from aeexp.datasets.core.preprocessing import Binarise, Preprocessing
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.splits import Official, draw
from aeexp.errors import UsageError

log = logging.getLogger(__name__)

Splitter = Callable[[Source], dict[str, Rows]]


def assemble(
    source: Source,
    *,
    name: str,
    split: Splitter,
    limit: int | None = None,
    classes: list[int | str] | None = None,
    normal_classes: list[int | str] | None = None,
    labelled: int | float | None = None,
    unlabelled: Literal["keep", "drop"] = "keep",
    residency: Residency = "auto",
    scale: float | Literal["unit"] | None = None,
    standardise: bool = False,
    binarise: Binarise = "none",
) -> Data:
    """Choose classes and rows, cut them into splits, hide labels, fit the preprocessing on the training split.

    An official test set stays whole under `limit`: its numbers can be compared. `labelled` hides labels of the
    training split alone, and `unlabelled` drops the rows of that split that have none. With `normal_classes` train and
    val hold rows of these alone; a row without a label is in neither, since it may be of any class. Rows are counted
    (`limit`) and cut before, so that the test split is the same as without it.
    """
    preprocessing.check(scale, standardise, binarise)
    if limit is not None and limit < 3:
        raise UsageError(f"limit={limit} must leave a row each for train, val and test")
    parts = {part: getattr(source, part) for part in ("rows", "val", "test")}
    parts = {part: r if r is None else r._replace(ids=np.arange(len(r.x))) for part, r in parts.items()}
    names = source.classes
    if classes is not None:
        parts, names = of_classes(parts, classes, names)
    rows = parts["rows"]
    least = 1 if parts["val"] is not None else 3
    if not len(rows.x) >= least:
        raise UsageError(f"name={name}: {len(rows.x)} rows are too few for train, val and test; take more")
    if limit is not None and limit < len(rows.x):
        rows = draw(rows, limit, seed=0)[1]
    cut = _cut(split, source._replace(**{**parts, "rows": rows}))
    normal = None
    if normal_classes is not None:
        normal = tuple(numbers("normal_classes", normal_classes, names))
        cut |= {part: normal_rows(cut[part], part, normal, normal_classes, names) for part in ("train", "val")}
    if labelled is not None:
        cut["train"] = hidden(cut["train"], labelled)
    if unlabelled == "drop":
        cut["train"] = labelled_rows(cut["train"])
    if source.fit is not None:
        transform = source.fit(cut["train"].x)
        cut = {part: r._replace(x=transform(r.x)) for part, r in cut.items()}
    scale = source.scale if scale is None else scale
    made = Preprocessing(*_fitted(cut["train"], scale, standardise, source.continuous), binarise, scale == "unit")
    splits = {part: split_of(r, made) for part, r in cut.items()}
    data = Data(name, splits, names, source.attributes, residency, source.scale, normal)
    if binarise != "none":
        _probabilities(data, Preprocessing(made.scale, made.shift, clip=made.clip))
    return data


def dataset(load: Callable[..., Source]) -> Callable[..., Data]:
    """Make a loader a data set: it takes the keys of `assemble` beside its own, all by name, all checked."""
    common = [p for name, p in inspect.signature(assemble).parameters.items() if name != "source"]

    @functools.wraps(load)
    def build(**keys: object) -> Data:
        shared = {p.name: keys.pop(p.name) for p in common if p.name in keys}
        source = load(**keys)
        _told(source, shared["split"], keys)
        return assemble(source, **shared)

    own = inspect.signature(load)
    keys = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own.parameters.values(), *common)]
    keys.sort(key=lambda p: p.default is not inspect.Parameter.empty)
    build.__signature__ = inspect.Signature(keys)
    build.__annotations__ = {**get_type_hints(load), **get_type_hints(assemble)}
    return build


def _told(source: Source, split: Splitter, keys: dict[str, object]) -> None:
    """A word on official sets that the split leaves out; an error where the user named one."""
    if isinstance(split, Official):
        return
    for part in ("val", "test"):
        named = keys.get(part) not in (None, "none")
        words = f"{part}={keys.get(part)}: this split leaves official sets out; take dataset/split=official"
        if named:
            raise UsageError(f"{words}, or leave dataset.{part} out")
    if source.test is not None:
        log.info("the official test set of %d rows is left out: dataset/split=official takes it", len(source.test.x))


def _cut(split: Splitter, source: Source) -> dict[str, Rows]:
    try:
        return split(source)
    except UsageError as error:  # its keys lie one level below those of a data set
        message = str(error)
        raise UsageError(message if message.startswith("split=") else f"split.{message}") from error


def _fitted(train: Rows, scale: float | Literal["unit"], standardise: bool, continuous: np.ndarray | None):
    plain = split_of(train, Preprocessing())
    batches = ((batch.x, batch.mask) for batch in plain.batches(4096))
    return preprocessing.fit(batches, scale, standardise, continuous)


def _probabilities(data: Data, grey: Preprocessing) -> None:
    """Refuse to binarise values that are no probabilities."""
    for part in data.splits:
        sample = split_of(data.sample(part).rows, grey)
        for batch in sample.batches(8192):
            low, high = (float(end) for end in batch.x.aminmax())
            inside = low >= 0 and high <= 1
            words = f"the values are no probabilities but {low:.4g} to {high:.4g}; set dataset.scale=unit"
            if not inside:
                raise UsageError(f"binarise={data[part].preprocessing.binarise}: {words}")

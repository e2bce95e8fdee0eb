"""From what a loader found to the data of a run: the keys that every data set has, in one place."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, ParamSpec, final, get_type_hints

import numpy as np
from annotated_types import Interval

from aeexp.datasets.core import preprocessing
from aeexp.datasets.core.choosing import (
    check_kind_of_labels,
    choose_classes,
    choose_normal,
    drop_unlabelled,
    find_classes,
    hide_labels,
)
from aeexp.datasets.core.data import Data, Residency, make_split
from aeexp.datasets.core.preprocessing import Binarise, Preprocessing
from aeexp.datasets.core.records import Encoding, Rows, Source, StreamedArray, read
from aeexp.datasets.core.splits import Official, draw
from aeexp.datasets.core.tabular import describe_variables
from aeexp.datasets.core.workers import Workers
from aeexp.errors import UsageError
from aeexp.files import expand_home
from aeexp.ranges import Count, Positive, Processes

log = logging.getLogger(__name__)

# of files, as compressed as they are; 1.5 in `v1.5` is none
ENDINGS = {
    ".csv",
    ".tsv",
    ".txt",
    ".data",
    ".parquet",
    ".pq",
    ".arrow",
    ".npz",
    ".npy",
    ".gz",
    ".tar",
    ".db",
    ".sqlite",
}
Own = ParamSpec("Own")
Splitter = Callable[[Source], dict[str, Rows]]


def assemble(
    source: Source,
    *,
    name: str | None,
    split: Splitter,
    limit: Annotated[int, Interval(ge=3)] | None = None,
    classes: list[int | str] | None = None,
    normal_classes: list[int | str] | None = None,
    labelled: Count | Annotated[float, Interval(gt=0, le=1)] | None = None,
    unlabelled: Literal["keep", "drop"] = "keep",
    residency: Residency = "auto",
    workers: Processes = 0,
    scale: Positive | Literal["unit"] | None = None,
    standardise: bool = False,
    binarise: Binarise = "none",
) -> Data:
    """Choose classes and rows, cut them into splits, hide labels, fit the preprocessing on the training split.

    An official test set stays whole under `limit`: its numbers can be compared. `labelled` hides labels of the
    training split alone, and `unlabelled` drops the rows of that split that have none. With `normal_classes` train and
    val hold rows of these alone; a row without a label is in neither, since it may be of any class. Rows are counted
    (`limit`) and cut before, so that the test split is the same as without it. `name` None is `data`; a `DataSet` takes
    the end of its path. `workers` processes decode what is encoded.
    """
    name = name or "data"
    check_kind_of_labels(source, {"classes": classes, "normal_classes": normal_classes})
    preprocessing.check(scale, standardise, binarise)
    source = _number_rows(_use_workers(source, name, workers))
    if classes is not None:
        source = choose_classes(source, classes)
    parts = _cut(split, _limit(source, name, limit))
    normal = None
    if normal_classes is not None:
        normal = tuple(find_classes("normal_classes", normal_classes, source.classes))
        for part in ("train", "val"):
            parts[part] = choose_normal(parts[part], part, normal, normal_classes, source.classes)
    parts["train"] = _choose_labelled(parts["train"], labelled, unlabelled)
    parts, table = _encode_columns(source, parts)
    plain = _fit(parts["train"], source.scale if scale is None else scale, standardise, source.continuous)
    binarised = Preprocessing(plain.scale, plain.shift, binarise, plain.clip)
    splits = {part: make_split(rows, binarised) for part, rows in parts.items()}
    data = Data(
        name, splits, source.classes, source.attributes, residency, source.scale, normal, source.variables,
        source.groups, source.response, table, source.spelling,
    )  # fmt: skip
    if binarise != "none":
        _check_probabilities(data, plain, binarise)
    return data


@final
class DataSet(Generic[Own]):
    """What a `_target_` of conf/dataset names: a loader whose rows become the data of a run.

    A call takes the loader's own keys and those of `assemble`, all by name; `load` takes its own alone.
    """

    def __init__(self, load: Callable[Own, Source]):
        functools.update_wrapper(self, load, ("__module__", "__name__", "__qualname__", "__doc__"), ())  # for messages
        self.load = load

    def __call__(self, **keys: Any) -> Data:
        """Load with the loader's own keys and assemble with the others."""
        shared = {key: keys.pop(key) for key in SHARED if key in keys}
        shared["name"] = shared["name"] or find_name(keys.get("path") or keys.get("database") or self.load.__name__)
        load: Callable[..., Source] = self.load  # what a configuration gives was held against `hints`
        source = load(**{key: expand_home(value) if isinstance(value, str) else value for key, value in keys.items()})
        _check_official(source, shared["split"], keys)
        return assemble(source, **shared)

    @property
    def hints(self) -> dict[str, Any]:
        """The type of every key of a call, those that must be given first: what a configuration is held against."""
        parameters = [*inspect.signature(self.load).parameters.values(), *SHARED.values()]
        parameters.sort(key=lambda parameter: parameter.default is not inspect.Parameter.empty)
        hints = get_type_hints(self.load, include_extras=True) | get_type_hints(assemble, include_extras=True)
        return {parameter.name: hints[parameter.name] for parameter in parameters}


SHARED = {name: key for name, key in inspect.signature(assemble).parameters.items() if name != "source"}


def find_name(path: str) -> str:
    """What to call data by its path: the last part without endings, or, where no file is called so, what stands before
    the signs of a pattern."""
    place = Path(path)
    name = place.name if os.path.exists(path) else re.split(r"[*?[{]", place.name)[0].rstrip("-_. ")
    if not name or name == "..":  # of a folder named by dots, of a pattern that begins with its sign
        name = (place if place.is_dir() else place.parent).resolve().name
    while Path(name).suffix.lower() in ENDINGS:
        name = Path(name).stem
    return name or str(path)


def _use_workers(source: Source, name: str, count: int) -> Source:
    """Decoded by so many processes. Raises UsageError for rows that are not decoded."""
    if count == 0:
        return source
    if not source.rows.is_encoded:
        raise UsageError(
            f"workers={count}: rows of {name} are read as they lie, and processes decode pictures (folder, webdataset, "
            "huggingface, celeba), video and audio: leave dataset.workers=0"
        )
    workers = Workers(min(count, os.cpu_count() or 1))
    val, test = (None if rows is None else rows.use(workers) for rows in (source.val, source.test))
    return source._replace(rows=source.rows.use(workers), val=val, test=test)


def _number_rows(source: Source) -> Source:
    """Row numbers count in each part from 0; those of shards follow from which rows they are."""

    def number(rows: Rows) -> Rows:
        return rows if isinstance(rows.x, StreamedArray) else rows._replace(ids=np.arange(len(rows.x)))

    val, test = (None if rows is None else number(rows) for rows in (source.val, source.test))
    return source._replace(rows=number(source.rows), val=val, test=test)


def _limit(source: Source, name: str, limit: int | None) -> Source:
    """At most `limit` rows beside official sets, drawn by label. Raises UsageError where there are too few to split."""
    count = len(source.rows.x)
    if count < (3 if source.val is None else 1):
        raise UsageError(f"name={name}: {count} rows are too few for train, val and test; take more")
    if limit is None or limit >= count:
        return source
    return source._replace(rows=draw(source.rows, limit, seed=0)[1])


def _check_official(source: Source, split: Splitter, keys: dict[str, Any]) -> None:
    """A word on official sets that the split leaves out; an error where the user named one."""
    if isinstance(split, Official):
        return
    for part in ("val", "test"):
        if keys.get(part) not in (None, "none"):
            raise UsageError(
                f"{part}={keys[part]}: this split leaves official sets out; take dataset/split=official, "
                f"or leave dataset.{part} out"
            )
    if source.test is not None:
        log.info("the official test set of %d rows is left out: dataset/split=official takes it", len(source.test.x))


def _cut(split: Splitter, source: Source) -> dict[str, Rows]:
    try:
        return split(source)
    except UsageError as error:  # its keys lie one level below those of a data set
        message = str(error)
        raise UsageError(message if message.startswith("split=") else f"split.{message}") from error


def _choose_labelled(train: Rows, labelled: int | float | None, unlabelled: Literal["keep", "drop"]) -> Rows:
    train = train if labelled is None else hide_labels(train, labelled)
    return drop_unlabelled(train) if unlabelled == "drop" else train


def _encode_columns(source: Source, parts: dict[str, Rows]) -> tuple[dict[str, Rows], Encoding | None]:
    """Features of the columns of a table, and what made them; None of other data."""
    if source.fit is None:
        table = describe_variables(source.variables) if source.variables else None
        return parts, table if table is not None and parts["train"].x.shape[1:] == (table.width,) else None
    encode = source.fit(read(parts["train"].x))
    return {part: rows._replace(x=encode(read(rows.x))) for part, rows in parts.items()}, encode


def _fit(
    train: Rows, scale: float | Literal["unit"], standardise: bool, continuous: np.ndarray | None
) -> Preprocessing:
    batches = ((batch.x, batch.mask) for batch in make_split(train, Preprocessing()).batches(4096))
    return Preprocessing(*preprocessing.fit(batches, scale, standardise, continuous), clip=scale == "unit")


def _check_probabilities(data: Data, plain: Preprocessing, binarise: Binarise) -> None:
    """Refuse to binarise values that are no probabilities."""
    for part in data.splits:
        sample = make_split(data.sample(part).rows, plain)
        for batch in sample.batches(8192):
            low, high = (float(end) for end in batch.x.aminmax())
            if not (low >= 0 and high <= 1):
                raise UsageError(
                    f"binarise={binarise}: the values are no probabilities but {low:.4g} to {high:.4g}; "
                    "set dataset.scale=unit"
                )

"""Rows that are cut out of files in time: video and audio in folders, with the classes of their sub-folders."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, final

import numpy as np

from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.stored import EncodedRows, StoredArray
from aeexp.datasets.formats.places import Own, Part, find_official, find_part, number_files
from aeexp.errors import UsageError

log = logging.getLogger(__name__)


class Decoder(Protocol):
    """Cuts of files -> (B, *shape)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        ...

    def __call__(self, stored: Sequence[Any], /) -> np.ndarray: ...


@final
class ClipRows(EncodedRows):
    """(N, *shape) rows, each cut out of a file when it is read."""

    def __init__(self, cuts: Sequence[Any], decoder: Decoder, dtype: type[np.generic]):
        self.cuts = cuts
        self.decoder = decoder
        self.shape = (len(cuts), *decoder.shape)
        self.dtype = np.dtype(dtype)

    @property
    def decode(self) -> Decoder:
        """Of cuts."""
        return self.decoder

    def fetch(self, index: np.ndarray) -> list[Any]:
        """Cuts of files."""
        return [self.cuts[row] for row in index]

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        return self.decoder(self.fetch(index)) if len(index) else np.empty((0, *self.shape[1:]), self.dtype)


class Clips(NamedTuple):
    """The rows of some files."""

    array: EncodedRows
    files: np.ndarray  # (N,) the file of each row, by its place
    lengths: np.ndarray  # (N,) steps that are there; what lacks to a row is empty


def find_parts(path: str, val: str | None, test: str | None, own: Own) -> dict[str, Part]:
    """The files of each split, by the option that named them. Raises UsageError where there are none."""
    if not path:
        raise UsageError(f"path is empty: give the folder, as in dataset.path={own.kind.split()[0]}")
    places = find_official(path, val, test, own)
    return {option: find_part(option, place, own) for option, place in places.items() if place is not None}


def make_source(
    parts: dict[str, Part], open_clips: Callable[[list[str]], Clips], steps: int, scale: float, sequences: bool
) -> Source:
    """Rows of all files; the label of each is its file's. A word on rows that are not whole, and on files that more
    than one split may have rows of."""
    clips = open_clips([file for part in parts.values() for file in part.files])
    key, short = parts["path"].key, int((clips.lengths < steps).sum())
    if short:
        what = "masked" if sequences else "empty"
        log.info("%s: %d of %d rows are of files that end before them: what lacks is %s", key, short, len(clips.files),
                 what)  # fmt: skip
    if len(clips.files) > sum(len(part.files) for part in parts.values()) and "test" not in parts:
        log.warning("%s: several rows come from one file, and a split by rows takes some for training, some for test: "
                    "give dataset.test, a folder of other files, and dataset/split=official", key)  # fmt: skip
    classes = tuple(sorted(set(parts["path"].labels or ()) if not parts["path"].of_rows else ()))
    rows, first = {}, 0
    for option, part in parts.items():
        index = np.flatnonzero((clips.files >= first) & (clips.files < first + len(part.files)))
        labels = None if parts["path"].of_rows else number_files(part, parts["path"], classes)
        y = None if labels is None else labels[clips.files[index] - first]
        x = StoredArray(clips.array, key.partition("=")[2], index)
        rows[option] = Rows(x, y, lengths=clips.lengths[index] if sequences else None)
        first += len(part.files)
    return Source(rows["path"], rows.get("test"), scale, classes, rows.get("val"))


def choose_starts(total: int, span: int, every: int | None) -> list[int]:
    """Where rows of so many steps begin in a file of `total`: at its beginning, and each `every` while there are as
    many left."""
    return [0] if every is None else list(range(0, max(1, total - span + 1), every))


def import_or_explain(name: str, dataset: str, importing: Callable[[], Any]) -> Any:
    """A module. Raises UsageError where it is not installed."""
    try:
        return importing()
    except (ImportError, OSError) as error:  # soundfile looks for a library of the system
        raise UsageError(
            f"dataset={dataset} needs the library `{name}` ({error}): pip install 'aeexp[{dataset}]'"
        ) from error


def damage_error(file: str, key: str, what: str, error: Exception | str) -> UsageError:
    """Words for what a library raised."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return UsageError(f"{key}: {file} could not be read as {what}: {reason}\nRepair the file or take it away.")


def name_shape(shape: Sequence[int]) -> str:
    """24x32."""
    return "x".join(map(str, shape))

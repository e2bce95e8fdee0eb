"""Files in folders: their classes by sub-folders, and official splits by folders."""

from __future__ import annotations

import fnmatch
import logging
import os
from typing import NamedTuple

import numpy as np

from aeexp.datasets.formats.labels import is_name_of_rows
from aeexp.errors import UsageError, quote_override

log = logging.getLogger(__name__)

_NOT_DECODED = {"BUFR", "GRIB", "HDF5", "MPEG"}  # Pillow knows them by name only


class Part(NamedTuple):
    """The files of one split."""

    key: str  # begins a message
    files: list[str]
    labels: list[str] | None  # the class of each file; None: no class folders
    of_rows: bool = False  # sub-folders are named after files


class Own(NamedTuple):
    """What files are looked for, and what lies among them and is none: masks beside pictures."""

    kind: str = "pictures"
    endings: frozenset[str] | None = None  # of their names; None: what Pillow reads
    pattern: str | None = None  # of names of files
    folders: tuple[str, ...] = ()  # real paths

    def is_mask(self, name: str) -> bool:
        """Whether a file of this name is a mask beside its picture."""
        return self.pattern is not None and fnmatch.fnmatchcase(name, self.pattern)


def find_official(path: str, val: str | None, test: str | None, own: Own) -> dict[str, str | None]:
    """The folders of train, val and test rows; what the user named comes before what `path` holds."""
    folders, pictures, _ = list_folder(f"path={path}", path, own)
    inside = {name: os.path.join(path, name) for name in folders}
    if pictures or len(inside) < 2 or "train" not in inside or set(inside) - {"train", "val", "test"}:
        return {"path": path, "val": val, "test": test}
    if test is None and "test" not in inside:
        raise UsageError(
            f"path={path} holds the folders train and val, but no test.\nGive dataset.test as well, "
            f"or take val for it: {quote_override('dataset.path', inside['train'])} "
            f"{quote_override('dataset.test', inside.get('val'))}"
        )
    log.info("path=%s: %s are the official splits, as dataset/split=official has them", path, ", ".join(folders))
    return {"path": inside["train"], "val": val or inside.get("val"), "test": test or inside.get("test")}


def find_part(option: str, place: str, own: Own) -> Part:
    """What lies in one folder. Raises UsageError where there is nothing, or files lie beside folders of classes."""
    key = f"{option}={place}"
    folders, direct, others = list_folder(key, place, own)
    below = {}
    for name in folders:
        below[name], ignored = _list_below(key, os.path.join(place, name), (os.path.realpath(place),), own)
        others += ignored
    if others:
        log.info("%s: %d files that are no %s by their extension are left out", key, others, own.kind)
    classes = {name: files for name, files in below.items() if files}
    if direct and classes:
        deep = next(iter(classes.values()))[0]
        raise UsageError(
            f"{key}: some {own.kind} lie directly in it, such as {direct[0]}, others in sub-folders, such as {deep}.\n"
            "Put each into the folder of its class, or all directly into the folder."
        )
    if not direct and not classes:
        raise UsageError(f"{key}: the folder holds no {own.kind} (it holds {others} other files)")
    if direct:
        return Part(key, direct, None)
    if len(classes) < len(folders):
        empty = ", ".join(name for name in folders if name not in classes)
        log.info("%s: folders without %s are left out: %s", key, own.kind, empty)
    files = [file for found in classes.values() for file in found]
    if own.folders and len(classes) == 1:  # images/ beside masks/
        return Part(key, files, None)
    if option == "path" and is_name_of_rows(len(classes), len(files)):  # official sets are of the same kind
        message = "%s: %d sub-folders of %d %s name files, no classes: they are no labels"
        log.warning(message, key, len(classes), len(files), own.kind)
        return Part(key, files, None, of_rows=True)
    return Part(key, files, [name for name, found in classes.items() for _ in found])


def _list_below(key: str, place: str, around: tuple[str, ...], own: Own) -> tuple[list[str], int]:
    """Pictures in a folder and in those below it, and how many other files; `around` are the folders it lies in."""
    here = os.path.realpath(place)
    if here in around:
        raise UsageError(f"{key}: the link {place} leads back to {here}, which it lies in: take it away")
    folders, pictures, others = list_folder(key, place, own)
    for name in folders:
        deeper, ignored = _list_below(key, os.path.join(place, name), (*around, here), own)
        pictures += deeper
        others += ignored
    return pictures, others


def list_picture_endings() -> frozenset[str]:
    """Of the files that Pillow reads."""
    from PIL import Image

    kinds = set(Image.OPEN) - _NOT_DECODED
    return frozenset(end for end, kind in Image.registered_extensions().items() if kind in kinds)


def list_folder(key: str, place: str, own: Own) -> tuple[list[str], list[str], int]:
    """Sorted: names of folders, paths of pictures; and how many other files. Hidden ones and masks are left out."""
    endings = list_picture_endings() if own.endings is None else own.endings
    try:
        with os.scandir(place) as entries:
            seen = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:  # missing, no folder, no permission
        raise UsageError(f"{key}: the folder {place} could not be read: {error.strerror}") from error
    folders = [e.name for e in seen if e.is_dir() and not (own.folders and os.path.realpath(e.path) in own.folders)]
    files = [e.path for e in seen if not e.is_dir() and not own.is_mask(e.name)]
    pictures = [file for file in files if os.path.splitext(file)[1].lower() in endings]
    return folders, pictures, len(files) - len(pictures)


def number_files(part: Part, train: Part, classes: tuple[str, ...]) -> np.ndarray | None:
    """(N,) the class number of each file; -1 where a part has no class folders but the training rows have."""
    if part.labels is None:
        return None if train.labels is None else np.full(len(part.files), -1)
    strange = sorted(set(part.labels) - set(classes))
    if strange:
        ways = f"there are {', '.join(classes)}" if classes else "there are no class folders at all"
        raise UsageError(f"{part.key}: {', '.join(strange)}: no such class in {train.key}, where {ways}")
    number = {name: place for place, name in enumerate(classes)}
    return np.array([number[name] for name in part.labels], np.int64)

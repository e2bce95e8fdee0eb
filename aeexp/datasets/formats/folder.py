"""The user's own picture files."""

from __future__ import annotations

import fnmatch
import logging
import os
from typing import Literal, NamedTuple

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source, StoredArray
from aeexp.datasets.formats.labels import is_name_of_rows
from aeexp.datasets.formats.mask_files import find_masks
from aeexp.datasets.formats.masks import Masks, read_masks
from aeexp.datasets.formats.pictures import Header, Pictures, read_headers
from aeexp.errors import UsageError, quote_override
from aeexp.ranges import Count, Whole

log = logging.getLogger(__name__)

_NOT_DECODED = {"BUFR", "GRIB", "HDF5", "MPEG"}  # Pillow knows them by name only


class Part(NamedTuple):
    """The pictures of one split."""

    key: str  # begins a message
    files: list[str]
    labels: list[str] | None  # the class of each file; None: no class folders
    of_rows: bool = False  # sub-folders are named after pictures


@DataSet
def folder(
    path: str,
    val: str | None = None,
    test: str | None = None,
    masks: str | None = None,
    val_masks: str | None = None,
    test_masks: str | None = None,
    mask_values: list[Whole | str] | None = None,
    mode: Literal["auto", "grey", "color"] = "auto",
    size: list[Count] | None = None,
) -> Source:
    """Pictures (C, H, W) in a folder, or in sub-folders that name their classes, sorted as torchvision sorts them.

    What lies deeper belongs to its first-level class. Hidden files and folders are left out. `val` and `test` are
    folders with official splits; sub-folders train/ and test/, perhaps val/, and no others are taken as such.
    mode=auto means grey where every picture is. `size` [H, W] cuts about the centre and resizes, see `Pictures`.
    `masks` names a folder of masks, or a pattern, see `find_masks`; those of a folder `val` or `test` by themselves,
    unless a pattern names files beside each picture. `mask_values` are their grey levels or colours by class; None:
    those of all masks, see `masks`.
    """
    if not path:
        raise UsageError("path is empty: give the folder, as in dataset.path=pictures")
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise UsageError(f"size={size}: give height and width in pixels, as in dataset.size=[64,64]")
    if not os.path.exists(path):
        raise UsageError(f"path={path}: no such folder (looked for {os.path.abspath(path)})")
    pattern = masks if masks is not None and is_beside(masks) else None
    around = [os.path.realpath(place) for place in (masks, val_masks, test_masks) if place and os.path.isdir(place)]
    own = Own(pattern, tuple(around))
    places = _find_official(path, val, test, own)
    parts = {option: _find_part(option, place, own) for option, place in places.items() if place is not None}
    if parts["path"].of_rows:
        parts = {option: part._replace(labels=None) for option, part in parts.items()}
    files = [file for part in parts.values() for file in part.files]
    heads = read_headers(files, f"path={path}")
    if mode == "auto":
        mode = "grey" if all(head.grey for head in heads) else "color"
    pictures = Pictures(files, f"path={path}", mode, size, heads)
    targets = _read_targets(
        parts, heads, path, {"path": masks, "val": val_masks, "test": test_masks}, mask_values, size
    )
    classes = tuple(sorted(set(parts["path"].labels or ())))
    rows, start = {}, 0
    for option, part in parts.items():
        index = np.arange(start, start + len(part.files))
        target = None if targets is None else StoredArray(targets, path, index)
        x = StoredArray(pictures, path, index)
        rows[option] = Rows(x, _number_labels(part, parts["path"], classes), target=target)
        start += len(index)
    return Source(rows["path"], rows.get("test"), 1 / 255, classes, rows.get("val"))


def _read_targets(
    parts: dict[str, Part], heads: list[Header], path: str, named: dict[str, str | None],
    values: list[int | str] | None, size: list[int] | None,
) -> Masks | None:  # fmt: skip
    """The masks of all pictures; None where none are named."""
    masks = named["path"]
    if masks is not None:
        files = [mask for option, part in parts.items() for mask in _find_masks(option, part, path, named)]
        pictures = [file for part in parts.values() for file in part.files]
        return read_masks(files, pictures, heads, f"masks={masks}", values, size)
    if values is not None or any(named.values()):
        raise UsageError("masks=null: val_masks, test_masks and mask_values belong to dataset.masks: give it")
    return None


class Own(NamedTuple):
    """What lies among the pictures and is none: masks."""

    pattern: str | None = None  # of names of files
    folders: tuple[str, ...] = ()  # real paths

    def is_mask(self, name: str) -> bool:
        """Whether a file of this name is a mask beside its picture."""
        return self.pattern is not None and fnmatch.fnmatchcase(name, self.pattern)


def is_beside(masks: str) -> bool:
    """Whether this is a pattern of files beside each picture."""
    return "*" in masks and not os.path.dirname(masks)


def _find_masks(option: str, part: Part, path: str, named: dict[str, str | None]) -> list[str]:
    """The masks of a part. Raises UsageError where its pictures lie elsewhere and no masks are named for them."""
    inside = all(os.path.realpath(file).startswith(os.path.realpath(path) + os.sep) for file in part.files[:1])
    masks, whole = named[option], named["path"] or ""
    if masks is None and (inside or is_beside(whole)):
        return find_masks(part.files, path, whole, f"masks={whole}")
    if masks is None:
        raise UsageError(f"{option}_masks=null: {part.key} needs masks as {path} has them: give dataset.{option}_masks")
    key = "masks" if option == "path" else f"{option}_masks"
    base = path if inside else part.key.partition("=")[2]
    return find_masks(part.files, base, masks, f"{key}={masks}")


def _find_official(path: str, val: str | None, test: str | None, own: Own) -> dict[str, str | None]:
    """The folders of train, val and test rows; what the user named comes before what `path` holds."""
    folders, pictures, _ = _list_folder(f"path={path}", path, own)
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


def _find_part(option: str, place: str, own: Own) -> Part:
    key = f"{option}={place}"
    folders, direct, others = _list_folder(key, place, own)
    below = {}
    for name in folders:
        below[name], ignored = _list_below(key, os.path.join(place, name), (os.path.realpath(place),), own)
        others += ignored
    if others:
        log.info("%s: %d files that are no pictures by their extension are left out", key, others)
    classes = {name: files for name, files in below.items() if files}
    if direct and classes:
        deep = next(iter(classes.values()))[0]
        raise UsageError(
            f"{key}: some pictures lie directly in it, such as {direct[0]}, others in sub-folders, such as {deep}.\n"
            "Put each into the folder of its class, or all directly into the folder."
        )
    if not direct and not classes:
        raise UsageError(f"{key}: the folder holds no pictures (it holds {others} other files)")
    if direct:
        return Part(key, direct, None)
    if len(classes) < len(folders):
        empty = ", ".join(name for name in folders if name not in classes)
        log.info("%s: folders without pictures are left out: %s", key, empty)
    files = [file for found in classes.values() for file in found]
    if own.folders and len(classes) == 1:  # images/ beside masks/
        return Part(key, files, None)
    if option == "path" and is_name_of_rows(len(classes), len(files)):  # official sets are of the same kind
        message = "%s: %d sub-folders of %d pictures name pictures, no classes: they are no labels"
        log.warning(message, key, len(classes), len(files))
        return Part(key, files, None, of_rows=True)
    return Part(key, files, [name for name, found in classes.items() for _ in found])


def _list_below(key: str, place: str, around: tuple[str, ...], own: Own) -> tuple[list[str], int]:
    """Pictures in a folder and in those below it, and how many other files; `around` are the folders it lies in."""
    here = os.path.realpath(place)
    if here in around:
        raise UsageError(f"{key}: the link {place} leads back to {here}, which it lies in: take it away")
    folders, pictures, others = _list_folder(key, place, own)
    for name in folders:
        deeper, ignored = _list_below(key, os.path.join(place, name), (*around, here), own)
        pictures += deeper
        others += ignored
    return pictures, others


def _list_folder(key: str, place: str, own: Own) -> tuple[list[str], list[str], int]:
    """Sorted: names of folders, paths of pictures; and how many other files. Hidden ones and masks are left out."""
    from PIL import Image

    readable = {end for end, kind in Image.registered_extensions().items() if kind in set(Image.OPEN) - _NOT_DECODED}
    try:
        with os.scandir(place) as entries:
            seen = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:  # missing, no folder, no permission
        raise UsageError(f"{key}: the folder {place} could not be read: {error.strerror}") from error
    folders = [e.name for e in seen if e.is_dir() and not (own.folders and os.path.realpath(e.path) in own.folders)]
    files = [e.path for e in seen if not e.is_dir() and not own.is_mask(e.name)]
    pictures = [file for file in files if os.path.splitext(file)[1].lower() in readable]
    return folders, pictures, len(files) - len(pictures)


def _number_labels(part: Part, train: Part, classes: tuple[str, ...]) -> np.ndarray | None:
    """(N,) the class number of each file; -1 where a part has no class folders but the training rows have."""
    if part.labels is None:
        return None if train.labels is None else np.full(len(part.files), -1)
    strange = sorted(set(part.labels) - set(classes))
    if strange:
        ways = f"there are {', '.join(classes)}" if classes else "there are no class folders at all"
        raise UsageError(f"{part.key}: {', '.join(strange)}: no such class in {train.key}, where {ways}")
    number = {name: place for place, name in enumerate(classes)}
    return np.array([number[name] for name in part.labels], np.int64)

"""The user's own picture files."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source, StoredArray
from aeexp.datasets.formats.mask_files import find_masks
from aeexp.datasets.formats.masks import Masks, read_masks
from aeexp.datasets.formats.pictures import Header, Pictures, read_headers
from aeexp.datasets.formats.places import Own, Part, find_official, find_part, number_files
from aeexp.errors import UsageError
from aeexp.ranges import Count, Whole


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
    own = Own(pattern=pattern, folders=tuple(around))
    places = find_official(path, val, test, own)
    parts = {option: find_part(option, place, own) for option, place in places.items() if place is not None}
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
        rows[option] = Rows(x, number_files(part, parts["path"], classes), target=target)
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

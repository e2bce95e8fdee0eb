"""Where the mask of each picture lies, by its name."""

from __future__ import annotations

import os
from collections.abc import Sequence

from aeexp.errors import UsageError


def find_masks(files: Sequence[str], base: str, masks: str, key: str) -> list[str]:
    """The mask of each picture below the folder `base`.

    `masks` is a folder with the same names, whatever their endings, and perhaps the same sub-folders; or a pattern as
    *_mask.png or labels/*_L.png, where * is the name of the picture without its ending: beside it, or in that folder.
    """
    folder, pattern = os.path.split(masks) if "*" in os.path.basename(masks) else (masks, "*")
    ended = pattern != "*"
    stored = {} if ended else _list_stems(folder, key)
    found, missing = [], []
    for file in files:
        parts = os.path.relpath(file, base).split(os.sep)
        name = pattern.replace("*", os.path.splitext(parts[-1])[0])
        places = [os.path.join(*parts[start:-1], name) for start in range(len(parts))]
        if not folder:
            paths = [os.path.join(os.path.dirname(file), name)]
        else:
            paths = [os.path.join(folder, place) if ended else stored.get(place, "") for place in places]
        mask = next((path for path in paths if path and os.path.isfile(path)), None)
        missing += [] if mask else [(file, os.path.join(folder or os.path.dirname(file), places[0]))]
        found.append(mask or "")
    if missing:
        file, looked = missing[0]
        raise UsageError(
            f"{key}: {len(missing)} of {len(files)} pictures have no mask, such as {file}: there is no "
            f"{looked}{'' if ended else '.*'}.\nAdd them, take these pictures away, or give a pattern, as in "
            "dataset.masks='*_mask.png'."
        )
    if len(set(found)) < len(found):
        twice = next(mask for mask in found if found.count(mask) > 1)
        raise UsageError(f"{key}: {twice} is the mask of two pictures: give masks the sub-folders that pictures have")
    return found


def _list_stems(folder: str, key: str) -> dict[str, str]:
    """Files below a folder by their path in it, without endings."""
    if not os.path.isdir(folder):
        raise UsageError(f"{key}: no such folder (looked for {os.path.abspath(folder)})")
    stems: dict[str, str] = {}
    for place, _, names in os.walk(folder, followlinks=True):
        for name in sorted(names):
            if not name.startswith("."):
                stem = os.path.splitext(os.path.relpath(os.path.join(place, name), folder))[0]
                stems.setdefault(stem, os.path.join(place, name))
    return stems

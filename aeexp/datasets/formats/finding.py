"""What lies under a path, by its name or by what the folder holds; opens no data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, NamedTuple

from aeexp.datasets.formats.hf import explain_errors
from aeexp.errors import UsageError

Format = Literal["auto", "parquet", "arrow", "imagefolder", "disk"]


class Place(NamedTuple):
    """A path that was looked at."""

    path: Path
    format: str
    files: list[Path]  # none for a folder of pictures
    test: str | None = None  # the test split beside the train split of a saved DatasetDict


def find(option: str, path: str, format: Format) -> Place:
    """What lies there, by its name or by what the folder holds."""
    place = Path(path)
    if not place.exists():
        raise UsageError(f"{option}={path}: no such file or folder (looked for {place.resolve()})")
    if place.is_file():
        if format == "auto":
            ending = place.suffix.lower()
            if ending not in (".parquet", ".arrow"):
                raise UsageError(
                    f"{option}={path}: a .parquet or .arrow file is read, or name it by format=parquet or arrow"
                )
            format = "parquet" if ending == ".parquet" else "arrow"
        if format not in ("parquet", "arrow"):
            raise UsageError(f"format={format}: {path} is a file, but {format} is a folder")
        return Place(place, format, [place])
    files = {suffix: sorted(place.glob(f"*.{suffix}")) for suffix in ("parquet", "arrow")}
    if format == "auto":
        disk = any((place / name).is_file() for name in ("dataset_dict.json", "state.json"))
        if files["parquet"] and files["arrow"] and not disk:
            raise UsageError(f"format=auto: {path} holds .parquet and .arrow files; set format=parquet or format=arrow")
        format = "disk" if disk else "parquet" if files["parquet"] else "arrow" if files["arrow"] else "imagefolder"
    if format == "disk":
        return _find_saved(option, place)
    if format == "imagefolder":
        return Place(place, format, [])
    if not files[format]:
        raise UsageError(f"{option}={path}: the folder holds no .{format} file")
    return Place(place, format, files[format])


def _find_saved(option: str, folder: Path) -> Place:
    """A Dataset or the parts train and test of a DatasetDict, written by save_to_disk."""
    test = None
    with explain_errors(str(folder), option):
        if (folder / "dataset_dict.json").is_file():
            splits = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
            listed = ", ".join(splits)
            if "train" not in splits:
                raise UsageError(f"{option}={folder}: has the splits {listed}; give the folder of one of them")
            test = str(folder / "test") if "test" in splits else None
            folder = folder / "train"
        if not (folder / "state.json").is_file():
            raise UsageError(f"{option}={folder}: no state.json, so no saved dataset")
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return Place(folder, "disk", [folder / file["filename"] for file in state["_data_files"]], test)

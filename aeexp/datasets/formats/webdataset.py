"""Tar shards as the library `webdataset` writes them: read in order, never extracted, never from the network."""

from __future__ import annotations

import glob
import logging
from pathlib import Path

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Source, StreamedArray
from aeexp.datasets.formats.decoding import Mode, PictureDecoder
from aeexp.datasets.formats.labels import Labels, refuse_measurements
from aeexp.datasets.formats.lazy import Part, lazy_source
from aeexp.datasets.formats.numerals import parse_number
from aeexp.datasets.formats.tar_labels import LabelName
from aeexp.datasets.formats.tars import Shard, TarShards, import_tariterators, scan
from aeexp.errors import UsageError
from aeexp.ranges import Count

log = logging.getLogger(__name__)

PICTURES = {"png", "jpg", "jpeg", "webp", "npy", "bmp", "gif", "tif", "tiff", "ppm", "pgm"}  # no labels


@DataSet
def webdataset(
    path: str,
    test: str | None = None,
    x: str = "png;jpg;jpeg;webp;npy",
    y: str | None = None,
    size: list[Count] | None = None,
    mode: Mode = "auto",
) -> Source:
    """Samples of .tar shards: `path` is a folder of them, a pattern as train-*.tar or train-{000000..000019}.tar.

    `x` names the extensions to look for, the first that a sample has is read: pictures, or .npy arrays (D,), (H, W)
    or (C, H, W). `y` names that of the label, a number or a name in text, or a field of JSON, as json.label; a sample
    without it is unlabelled. None: cls if any sample has it; "none": no labels. `test` names the shards of the official
    test set. A sample's name ends at its first dot, as the library has it: all behind is the extension.
    """
    wanted = [extension.strip().lower().lstrip(".") for extension in x.split(";")]
    if not all(wanted):
        raise UsageError(f"x={x}: name extensions, as in \"dataset.x='png;npy'\"")
    label = _choose_label(y)
    decoder = PictureDecoder(mode, size)
    parts: list[Part] = []
    extensions: set[str] = set()
    for option, place in (("path", path), ("test", test)):
        if place is not None:
            shards = [scan(file, wanted, label, option) for file in find_files(option, place)]
            parts.append(
                Part(option, StreamedArray(TarShards(shards, wanted, decoder, option), place), _gather_labels(shards))
            )
            extensions.update(name for shard in shards for name in shard.extensions)
    _check_label(y, label, parts[0], extensions, path)
    return lazy_source(parts[0], parts[1] if test is not None else None, "leave them out (dataset.y=none)")


def _choose_label(y: str | None) -> LabelName | None:
    """The extension of the label; None: no labels."""
    if y == "none":
        return None
    name = "cls" if y is None else y.strip().lstrip(".")
    if not name:
        raise UsageError(f"y={y}: name an extension, as in dataset.y=cls, or dataset.y=none for no labels")
    return LabelName(name)


def _check_label(y: str | None, label: LabelName | None, train: Part, extensions: set[str], path: str) -> None:
    """Refuse a label that was named and is nowhere; a word where none was named and there is something else."""
    listed = ", ".join(sorted(extensions)[:20])
    if label is None or train.labels is not None:
        return
    if y is None:
        others = [name for name in sorted(extensions) if name.split(".")[-1] not in PICTURES]
        if others:
            example = f"{others[0]}.FIELD, a field of it" if others[0].endswith("json") else others[0]
            log.info("no sample has .cls: no labels; there are %s: dataset.y names a label, as %s", listed, example)
    elif not {label.name.lower(), *label.files} & extensions:
        raise UsageError(f"y={y}: no sample of {path} has it; there are {listed}; dataset.y=none: no labels")
    elif label.name.lower() not in extensions:
        raise UsageError(f"y={y}: no sample of {path} has a value in that field; dataset.y=none: no labels")


def find_files(option: str, path: str) -> list[Path]:
    """The shards, each of them there: those of a folder sorted, a pattern's in the pattern's order."""
    if not path:
        raise UsageError(
            f"{option} is empty: give a folder of .tar files or a pattern, as in dataset.{option}=train-*.tar"
        )
    place = Path(path)
    if place.is_dir():
        shards = sorted(place.glob("*.tar"))
        if not shards:
            raise UsageError(f"{option}={path}: the folder holds no .tar file")
        return shards
    if place.exists():
        return [place]
    import_tariterators()  # comes with braceexpand
    from braceexpand import braceexpand

    try:
        names = list(braceexpand(path, escape=False))
    except ValueError as error:  # unbalanced braces
        raise UsageError(f"{option}={path}: {error}") from error
    shards = []
    for name in names:
        matches = [name] if Path(name).exists() else sorted(glob.glob(name))
        if not matches:
            raise UsageError(f"{option}={path}: no such file or folder: {name} (looked for {Path(name).resolve()})")
        shards += [Path(file) for file in matches]
    return shards


def _gather_labels(shards: list[Shard]) -> Labels | None:
    """Whole numbers if all labels are, else texts; None where no sample has one. Measurements are refused."""
    texts = list(dict.fromkeys(text for shard in shards for text in shard.labels if text is not None))
    if not texts:
        return None
    place = {text: number for number, text in enumerate(texts)}
    labels = (text for shard in shards for text in shard.labels)
    codes = np.array([-1 if text is None else place[text] for text in labels], np.int64)
    try:
        return Labels(codes, np.array([int(text) for text in texts], np.int64))
    except (ValueError, OverflowError):
        values = [parse_number(text) for text in texts]
        if None not in values:
            refuse_measurements("y", np.array(values), int((codes >= 0).sum()), "leave them out (dataset.y=none)")
        return Labels(codes, np.array(texts))

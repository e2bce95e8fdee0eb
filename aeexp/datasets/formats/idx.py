"""The user's own arrays as IDX files, MNIST's format, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.formats import arrays
from aeexp.datasets.formats.labels import check_labels
from aeexp.errors import UsageError

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
DENSEST = 1032  # bytes that gzip can make of one
PIECE = 2**20


@DataSet
def idx(path: str, labels: str | None = None, test: str | None = None, test_labels: str | None = None) -> Source:
    """Rows (N, D) or pictures (N, H, W), (N, C, H, W), (N, H, W, C) of an IDX file, or of a folder with MNIST's names.

    Files that are None are found beside `path` by MNIST's names, if they are there: labels-idx1 for images-idx3, t10k
    for train. "none" leaves a file out.
    """
    if not path:
        raise UsageError("path is empty: give a file, or a folder with train-images-idx3-ubyte")
    train = _find_rows(path)
    train_labels = _choose(labels, _find_labels(train))
    test_file = _choose(test, _find_companion(train, "train", "t10k") or _find_companion(train, "train", "test"))
    files = {"train": (train, train_labels)}
    if test_file is not None:
        beside = None if train_labels is None else _find_labels(test_file)
        files["test"] = test_file, _choose(test_labels, beside)
        _check_pair(*files["train"], *files["test"], test_labels)
    elif test_labels not in (None, "none"):
        raise UsageError(f"test_labels={test_labels}: there are no test rows; give dataset.test as well")
    options = {"train": ("path", "labels"), "test": ("test", "test_labels")}
    x_names = {part: f"{options[part][0]}={pair[0]}" for part, pair in files.items()}
    y_names = {part: f"{options[part][1]}={pair[1]}" for part, pair in files.items()}
    parts = {part: _read_rows(*pair, x_names[part], y_names[part]) for part, pair in files.items()}
    instead = "leave them out (dataset.labels=none); dataset=npz takes such numbers as attributes"
    return arrays.make_source(parts, x_names, y_names, (), instead)


def _find_rows(path: str) -> Path:
    """The file, or that of the training pictures in a folder."""
    if not Path(path).is_dir():
        return Path(path)
    file = find_file(Path(path) / "train-images-idx3-ubyte")
    if file is None:  # EMNIST's, as they are unpacked
        named = sorted(Path(path).glob("*-train-images-idx3-ubyte*"))
        file = named[0] if len(named) == 1 else None
    if file is None:
        raise UsageError(
            f"path={path} has no train-images-idx3-ubyte or .gz: give the file of pictures, as in "
            "dataset.path=folder/file"
        )
    return file


def _check_pair(train: Path, labels: Path | None, test: Path, test_labels: Path | None, key: str | None) -> None:
    """Raises UsageError unless both parts have labels or none has; `key` is dataset.test_labels."""
    if labels is None and test_labels is not None:
        raise UsageError(f"test_labels={key}: {train} has no labels; give dataset.labels, or dataset.test_labels=none")
    if labels is not None and test_labels is None:
        raise UsageError(
            f"test_labels={key or 'null'}: {test} needs labels as the training rows have them; give them, or "
            "dataset.labels=none, or dataset.test=none"
        )


def _read_rows(x_file: Path, y_file: Path | None, x_name: str, y_name: str) -> Rows:
    x = arrays.convert_finite(arrays.view_rows(read_file(x_file, x_name), x_name), x_name)
    return Rows(x, None if y_file is None else check_labels(read_file(y_file, y_name), y_name, len(x)))


def _choose(key: str | None, beside: Path | None) -> Path | None:
    """The file that a key names: the one that lies beside where it names none."""
    return beside if key is None else None if key == "none" else Path(key)


def find_file(path: Path) -> Path | None:
    """This file, with or without .gz, and with the dot before idx that some copies have."""
    plain = path.name.removesuffix(".gz")
    names = dict.fromkeys([plain, re.sub(r"-(idx\d)", r".\1", plain)])
    files = (path.with_name(name + end) for name in names for end in ("", ".gz"))
    return next((file for file in files if file.is_file()), None)


def _find_companion(path: Path, word: str, other: str) -> Path | None:
    return find_file(path.with_name(path.name.replace(word, other))) if word in path.name else None


def _find_labels(path: Path) -> Path | None:
    name = re.sub(r"idx\d", "idx1", path.name.replace("images", "labels"))
    return find_file(path.with_name(name)) if name != path.name else None


def read_file(path: Path, name: str) -> np.ndarray:
    """The array of a file, plain or gzipped; `name` is what a message calls it. Raises UsageError."""
    if not path.is_file():
        raise UsageError(f"{name}: no such file (looked for {path.resolve()})")
    try:
        with open(path, "rb") as opened:
            size = path.stat().st_size
            packed = opened.read(2) == b"\x1f\x8b"
            opened.seek(0)
            if not packed:
                return _read_array(opened, size, name)
            with gzip.open(opened) as unpacked:
                return _read_array(unpacked, DENSEST * size, name, exact=False)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{name} cannot be read, or its gzip is damaged: {arrays.to_line(error)}") from error


def _read_array(file: BufferedIOBase, room: int, name: str, exact: bool = True) -> np.ndarray:
    """The array of an opened file of at most `room` bytes, or of so many if `exact`; refused before it is read."""
    magic = file.read(4)
    if not (len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in TYPES and 1 <= magic[3] <= 4):
        raise UsageError(
            f"{name} is no IDX file: it begins with the bytes {magic.hex(' ') or '(none)'}; "
            "two zeros, a type and 1 to 4 dimensions are needed"
        )
    sizes = file.read(4 * magic[3])
    if len(sizes) != 4 * magic[3]:
        raise UsageError(f"{name} is truncated: it ends within its header")
    shape = tuple(int(n) for n in np.frombuffer(sizes, ">u4"))
    dtype = np.dtype(TYPES[magic[2]])
    if min(shape) == 0:
        raise UsageError(f"{name} has shape {shape}: it holds nothing")
    size, rest = math.prod(shape) * dtype.itemsize, room - 4 - len(sizes)
    damage = f"{name} is damaged: its header speaks of {dtype.name} {shape}, {size} bytes"
    if size > rest or (exact and size < rest):
        raise UsageError(f"{damage}, but {'' if exact else 'at most '}{rest} follow")
    content = bytearray()
    while len(content) <= size and (piece := file.read(min(PIECE, size + 1 - len(content)))):
        content += piece
    if len(content) != size:
        raise UsageError(f"{damage}, but {'more' if len(content) > size else len(content)} follow")
    return np.frombuffer(content, dtype).reshape(shape)

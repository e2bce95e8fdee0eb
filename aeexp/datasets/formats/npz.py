"""The user's own arrays in one .npz file."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, final

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.formats import arrays
from aeexp.datasets.formats.labels import check_labels
from aeexp.errors import UsageError
from aeexp.ranges import Count

log = logging.getLogger(__name__)

X_NAMES = ("x", "X")  # under which arrays are found
Y_NAMES = ("y", "Y", "label", "labels")
TARGET_NAMES = ("target", "mask", "masks", "targets")
DENSEST = 1032  # bytes that deflate can make of one


@DataSet
def npz(
    path: str,
    x: str | None = None,
    y: str | None = None,
    s: str | None = None,
    target: str | None = None,
    offsets: str | None = None,
    unpack: Count | None = None,
    parts: tuple[str, str, str] = ("train", "val", "test"),
    sequences: bool = False,
    shape: list[Count] | None = None,
) -> Source:
    """Arrays of an .npz file by key: rows (N, D), pictures (N, H, W), (N, C, H, W) or (N, H, W, C), or sequences.

    Keys that are None are found as x (X), y (Y, labels) and target (mask), or x_train, y_train ...; "none" leaves
    labels or a target out. Official val and test rows are found by the keys: "train" in a key is replaced by the words
    in `parts`, or "_test" is put behind it.
    `offsets` names integers (n+1,) that cut steps (M, F) into n sequences; `sequences` says that (N, T, F) are
    sequences of equal length. `unpack` unpacks that many bits along the last axis, as numpy.packbits packed them.
    """
    if len(set(parts)) != 3 or not all(parts):
        raise UsageError(f"parts={list(parts)}: three words are needed, [train,val,test]")
    if offsets is not None and (shape is not None or sequences):
        raise UsageError(
            f"offsets={offsets} already says what a row is: drop "
            f"dataset.{'shape' if shape is not None else 'sequences'}"
        )
    archive = Archive(path)
    keys = _find_keys(archive, parts, {"x": x, "y": y, "s": s, "target": target, "offsets": offsets})
    rows, names = {}, {}
    for part, word in zip(("train", "val", "test"), parts, strict=True):
        here = {option: _name_official(key, parts[0], word) for option, key in keys.items()}
        if here["x"] not in archive:
            continue
        names[part] = {option: f"{option}={keys[option]}: {key} of {path}" for option, key in here.items()}
        for option, key in here.items():
            if key not in archive:
                out = {"y": "labels", "target": "targets"}.get(option)
                way = f": leave {out} out by dataset.{option}=none" if out else ""
                raise UsageError(f"{option}={keys[option]}: {path} has {here['x']}, but not {key} beside it{way}")
        read = {option: archive.read(key) for option, key in here.items()}
        _check_offsets(archive, read, offsets, path)
        rows[part] = _convert_rows(read, names[part], unpack, shape, sequences)
    if rows["train"].lengths is not None:
        steps = max(r.x.shape[1] for r in rows.values())
        rows = {part: r._replace(x=arrays.lengthen(r.x, steps)) for part, r in rows.items()}
    x_names, y_names = ({part: options.get(o, "") for part, options in names.items()} for o in ("x", "y"))
    instead = f"take them as numbers to predict (dataset.target={keys.get('y')} dataset.y=none)"
    columns, called = arrays.name_columns(keys.get("s", ""), rows["train"].s), keys.get("target", "")
    return arrays.make_source(rows, x_names, y_names, columns, instead, called.removesuffix(f"_{parts[0]}"))


@final
class Archive:
    """The arrays of an .npz file by key. Each is read when it is asked for, and nothing is unpickled."""

    def __init__(self, path: str):
        if not path:
            raise UsageError("path is empty: give the file, as in dataset.path=data.npz")
        self.path = Path(path)
        if not self.path.is_file():
            raise UsageError(f"path={path}: no such file (looked for {self.path.resolve()})")
        with self._open() as file:
            self.keys = sorted(file.files)

    def __contains__(self, key: str) -> bool:
        return key in self.keys

    def read(self, key: str) -> np.ndarray:
        """The array of a key. Raises UsageError where the file is damaged, or holds Python objects."""
        with self._open() as file:
            assert file.zip is not None  # it is closed below
            member = file.zip.getinfo(key if key in file.zip.namelist() else f"{key}.npy")
            if member.filename.endswith(".npy"):
                with file.zip.open(member) as opened:
                    size = _read_size(opened)
                room = min(member.file_size, DENSEST * (member.compress_size + 1))
                if size > room:
                    raise UsageError(f"path={self.path} is damaged: {key} says {size} bytes, and there are not as many")
            return np.asarray(file[key])  # what is no array comes as bytes

    @contextmanager
    def _open(self) -> Iterator[np.lib.npyio.NpzFile]:
        try:
            with open(self.path, "rb") as opened:  # numpy leaves a path open whose archive is damaged
                if opened.read(6) == np.lib.format.MAGIC_PREFIX:
                    raise UsageError(f"path={self.path} is a single array: take dataset=npy, or numpy.savez")
                opened.seek(0)
                yield np.load(opened, allow_pickle=False)
        except UsageError:
            raise
        except ValueError as error:
            raise UsageError(
                f"path={self.path} holds Python objects or is damaged, and nothing is unpickled: "
                f"{arrays.to_line(error)}\nSave plain numeric arrays with numpy.savez."
            ) from error
        except Exception as error:  # a damaged zip raises anything: BadZipFile, zlib.error, NotImplementedError ...
            raise UsageError(f"path={self.path} is no readable .npz file: {arrays.to_line(error)}") from error


def _check_offsets(archive: Archive, read: dict[str, np.ndarray], offsets: str | None, path: str) -> None:
    """A word on an array `offsets` that was not named and fits x; an error where the labels are those of sequences."""
    if offsets is not None or "offsets" not in archive or read["x"].ndim == 0:
        return
    try:
        ends = archive.read("offsets")
    except UsageError:  # damaged or objects, but nobody asked for it
        return
    steps = len(read["x"])
    if ends.ndim != 1 or ends.dtype.kind not in "ui" or len(ends) < 2 or ends[-1] != steps:
        return
    hint = f"{path} has offsets that cut the {steps} rows into {len(ends) - 1} sequences"
    labels = len(read["y"]) if "y" in read and read["y"].ndim else steps
    if labels != steps and labels == len(ends) - 1:
        raise UsageError(f"offsets=null: {hint}, as many as there are labels: set dataset.offsets=offsets")
    log.info("%s: dataset.offsets=offsets takes them", hint)


def _read_size(opened: IO[bytes]) -> int:
    """Bytes that the header of an array asks for."""
    first = np.lib.format.read_magic(opened) == (1, 0)
    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(opened)
    return math.prod(shape) * dtype.itemsize


def _find_keys(archive: Archive, parts: tuple[str, str, str], wanted: dict[str, str | None]) -> dict[str, str]:
    """The keys of the training arrays, without those that are not wanted. Raises UsageError for one that is missing.

    x is found as x, X, x_train or X_train, and labels and a target beside it in its manner: with x as y, Y or labels,
    target or mask, with x_train as y_train, ... An array `target` (N,) is labels where there are no others: numbers to
    predict where it holds fractions or a great many values, else classes.
    """
    train = f"_{parts[0]}"
    names = [*X_NAMES, *(name + train for name in X_NAMES)]
    x = wanted["x"] or next((name for name in names if name in archive), "x")
    ends = [train] if x.endswith(train) else [""]
    ends += [""] if x not in names else []  # rows of a name of their own

    def find(candidates: tuple[str, ...]) -> str | None:
        keys = (name + end for end in ends for name in candidates)
        return next((key for key in keys if key in archive and key != x), None)

    y = None if wanted["y"] == "none" else wanted["y"] or find(Y_NAMES)
    target = None if wanted["target"] == "none" else wanted["target"]
    if wanted["target"] is None and x in archive and (name := find(TARGET_NAMES)) is not None and name != y:
        found = archive.read(name)
        shape = found.shape
        if len(shape) > 1 and shape[:1] == archive.read(x).shape[:1]:
            target = name
            log.info("%s: %s is the target of each row (dataset.target=none leaves it out)", archive.path, name)
        elif len(shape) == 1 and wanted["y"] is None and y is None:
            if arrays.are_measurements(found):
                target = name
                log.info("%s: %s are the numbers to predict (dataset.target=none leaves them out)", archive.path, name)
            else:
                y = name  # as scikit-learn calls labels
    keys = {option: key for option, key in {**wanted, "x": x, "y": y, "target": target}.items() if key is not None}
    listed = ", ".join(archive.keys[:20]) + (", ..." if len(archive.keys) > 20 else "")
    for option, key in keys.items():
        if key not in archive:
            raise UsageError(f"{option}={key}: {archive.path} has no such array; it has {listed}")
    return keys


def _name_official(key: str, train: str, part: str) -> str:
    if part == train:
        return key
    return key.replace(train, part) if train in key else f"{key}_{part}"


def _convert_rows(
    read: dict[str, np.ndarray], names: dict[str, str], unpack: int | None, shape: list[int] | None, sequences: bool
) -> Rows:  # fmt: skip
    """One part; labels stay as they are written."""
    x, lengths = read["x"], None
    if unpack is not None:
        x = _unpack(x, names["x"], unpack)
    if "offsets" in read:
        x = x[:, None] if x.ndim == 1 else x
        if x.ndim != 2:
            raise UsageError(f"{names['x']} has shape {x.shape}; with offsets, steps (M, F) are needed")
        x = arrays.convert_finite(arrays.view_rows(x, names["x"]), names["x"])
        x, lengths = arrays.pad(x, read["offsets"], names["offsets"])
    else:
        x = arrays.convert_finite(arrays.view_rows(x, names["x"], shape, sequences), names["x"])
        lengths = np.full(len(x), x.shape[1]) if sequences else None
    checks = {"y": check_labels, "s": arrays.convert_attributes, "target": arrays.check_targets}
    rest = {option: check(read[option], names[option], len(x)) for option, check in checks.items() if option in read}
    if "target" in rest and arrays.is_response(rest["target"]):
        rest["response"] = arrays.convert_response(rest.pop("target"), names["target"])
    elif "target" in rest:
        rest["target"] = arrays.convert_finite(rest["target"], names["target"], np.int64)
    return Rows(x, lengths=lengths, **rest)


def _unpack(x: np.ndarray, name: str, bits: int) -> np.ndarray:
    if x.dtype != np.uint8 or x.ndim < 2:
        raise UsageError(
            f"unpack={bits}: {name} has type {x.dtype} and shape {x.shape}; bytes (N, ...) with packed bits are needed"
        )
    room = 8 * x.shape[-1]
    if not 1 <= bits <= room:
        raise UsageError(f"unpack={bits}: {name} has {room} bits in its last axis")
    return np.unpackbits(x, axis=-1, count=bits)

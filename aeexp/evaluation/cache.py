"""What baselines give, kept in a folder for other runs of the same rows: what lies there is checked, never trusted."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import numpy as np

from aeexp import files
from aeexp.evaluation.uncertainty import Measured

log = logging.getLogger(__name__)

Key = Mapping[str, Any]  # plain values that JSON keeps: all that the numbers depend on
Table = dict[str, dict[str, float]]  # numbers by row and name
SLACK = 1 << 16  # bytes of an archive beside its arrays
DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError,
           zipfile.BadZipFile, zlib.error)  # fmt: skip


@final
class Cache:
    """Numbers and arrays by key; without a folder, or without a key, all is computed at each call.

    A file is whole or not there, says of itself which key it has, and is computed anew where that or its digest is
    wrong: jobs that run beside each other write the same. What cannot be written is left out, with a word.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder

    def numbers(self, key: Key | None, compute: Callable[[], Table], known: Callable[[str], bool]) -> Table:
        """Finite numbers, each with its interval where it has one; `known` tells the names that there may be."""
        if self.folder is None or key is None:
            return compute()
        path = self.folder / f"{_digest(key)}.json"
        try:
            return _read_numbers(path, key, known)
        except DAMAGED as error:
            _tell(path, error)
        table = compute()
        listed = _list(table)
        if listed is not None:
            content = {"key": dict(key), "numbers": listed}
            self._write(path, files.json_text({**content, "digest": _digest(content)}).encode())
        return table

    def arrays(
        self, key: Key | None, compute: Callable[[], dict[str, np.ndarray]], shapes: Mapping[str, tuple[int, ...]]
    ) -> dict[str, np.ndarray]:
        """float64 arrays of these names; each is at most as long as its shape says, and otherwise has that shape."""
        if self.folder is None or key is None:
            return compute()
        path = self.folder / f"{_digest(key)}.npz"
        try:
            return _read_arrays(path, key, shapes)
        except DAMAGED as error:
            _tell(path, error)
        arrays = compute()
        np.savez(buffer := io.BytesIO(), digest=np.frombuffer(_digest_arrays(key, arrays), np.uint8), **arrays)  # pyright: ignore[reportArgumentType] -- names of arrays, and no options
        self._write(path, buffer.getvalue())
        return arrays

    def _write(self, path: Path, content: bytes) -> None:
        try:
            files.write(path, lambda file: file.write(content))
        except OSError as error:
            log.warning("%s: baselines are not kept: %s", path.parent, error.strerror or error)


def _read_numbers(path: Path, key: Key, known: Callable[[str], bool]) -> Table:
    node = files.read_json(path)
    content = {name: node[name] for name in ("key", "numbers")}
    if node["digest"] != _digest(content) or _digest(content["key"]) != _digest(key):
        raise ValueError(f"{path.name} is not what was written")
    table: Table = {}
    for row, values in content["numbers"].items():
        table[row] = {name: _read_number(value) for name, value in values.items()}
        if not all(map(known, values)):
            raise ValueError(f"{path.name} has numbers of other names")
    return table


def _read_number(value: Any) -> float:
    if not all(type(part) is float for part in value) or len(value) not in (1, 3):
        raise ValueError("a number is one float, or three with its interval")
    return value[0] if len(value) == 1 else Measured(*value)


def _list(table: Table) -> dict[str, dict[str, list[float]]] | None:
    """None where a number is not finite, or no float: JSON would give something else back."""
    listed: dict[str, dict[str, list[float]]] = {}
    for row, values in table.items():
        listed[row] = {}
        for name, value in values.items():
            parts = [value, value.low, value.high] if isinstance(value, Measured) else [value]
            if not all(isinstance(part, float) and math.isfinite(part) for part in parts):
                return None
            listed[row][name] = [float(part) for part in parts]
    return listed


def _read_arrays(path: Path, key: Key, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    most = SLACK + sum(8 * math.prod(shape) for shape in shapes.values())
    content = files.read_bytes(path, most)
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        if sum(member.file_size for member in archive.zip.infolist()) > most:
            raise ValueError(f"{path.name} is larger than its arrays")
        arrays = {name: archive[name] for name in shapes}
        digest = archive["digest"].tobytes()
    for name, (longest, *rest) in shapes.items():
        array = arrays[name]
        fits = array.dtype == np.float64 and list(array.shape[1:]) == rest and len(array) <= longest
        if not fits or not np.isfinite(array).all():
            raise ValueError(f"{path.name}: {name} is none of these arrays")
    if digest != _digest_arrays(key, arrays):
        raise ValueError(f"{path.name} is not what was written")
    return arrays


def _digest(node: Any) -> str:
    return hashlib.blake2b(json.dumps(node, sort_keys=True).encode(), digest_size=16).hexdigest()


def _digest_arrays(key: Key, arrays: Mapping[str, np.ndarray]) -> bytes:
    digest = hashlib.blake2b(_digest(key).encode(), digest_size=16)
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape}".encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.digest()


def _tell(path: Path, error: BaseException) -> None:
    if not isinstance(error, FileNotFoundError):
        log.info("%s cannot be used, and is computed anew: %s", path, error)

"""Files of pictures with their factors: .npz row by row and without unpickling, .h5, MATLAB's .mat, NORB's own form."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from aeexp.datasets.formats import arrays
from aeexp.errors import UsageError

UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    OSError,
    IndexError,
)  # of what is no such file, or damaged
BLOCK = 2**24  # bytes that are read at a time
# NORB's magic numbers, and what they say of an element
NORB = {0x1E3D4C55: np.dtype("<u1"), 0x1E3D4C54: np.dtype("<i4")}


def find_file(path: str, option: str = "path") -> Path:
    """A file that is there. Raises UsageError."""
    if not path:
        raise UsageError(f"{option} is empty: give the file, as in dataset.{option}=data")
    if not Path(path).exists():
        raise UsageError(f"{option}={path}: no such file (looked for {Path(path).resolve()})")
    return Path(path)


def draw_rows(count: int, rows: int | None, seed: int) -> np.ndarray:
    """(M,) ascending numbers of at most `rows` rows of so many."""
    if rows is None or rows >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:rows])


def find_key(path: Path, keys: tuple[str, ...], archive: Any) -> str:
    """The first of these keys that the archive has. Raises UsageError."""
    found = next((key for key in keys if key in archive), None)
    if found is None:
        raise UsageError(f"path={path} has no array {' or '.join(keys)}: is it the file of this data set?")
    return found


def read_npz_rows(path: Path, keys: tuple[str, ...], rows: int | None, seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Drawn rows of an array of an .npz, their numbers, and how many there are: read in order, never held whole."""
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:  # numpy leaves a damaged path open
            name = find_key(path, keys, file.files)
            with file.zip.open(f"{name}.npy") as opened:
                first = np.lib.format.read_magic(opened) == (1, 0)
                read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
                shape, fortran, dtype = read(opened)
                if dtype.kind not in "buif" or fortran or not shape:
                    raise UsageError(f"path={path}: its pictures are of type {dtype}, and rows of numbers are needed")
                chosen = draw_rows(shape[0], rows, seed)
                return _take(opened, shape, dtype, chosen, path), chosen, shape[0]
    except UNREADABLE as error:
        raise UsageError(f"path={path} is no readable .npz file: {arrays.to_line(error)}") from error


def _take(opened: IO[bytes], shape: tuple[int, ...], dtype: np.dtype, chosen: np.ndarray, path: Path) -> np.ndarray:
    """(M, *shape) rows at ascending places of an array that is read in order."""
    size = math.prod(shape[1:]) * dtype.itemsize
    made, done = [], 0
    step = max(1, BLOCK // max(size, 1))
    for start in range(0, shape[0], step):
        count = min(step, shape[0] - start)
        raw = opened.read(count * size)
        if len(raw) != count * size:
            raise UsageError(f"path={path} is damaged: it ends after {start + len(raw) // max(size, 1)} rows")
        end = int(np.searchsorted(chosen, start + count))
        block = np.frombuffer(raw, dtype).reshape(count, *shape[1:])
        made.append(block[chosen[done:end] - start])
        done = end
        if done == len(chosen):
            break
    return np.concatenate(made)


def read_npz_array(path: Path, keys: tuple[str, ...]) -> np.ndarray:
    """A small array of an .npz, whole."""
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as archive:
            return archive[find_key(path, keys, archive)]
    except UNREADABLE as error:
        raise UsageError(f"path={path} is no readable .npz file: {arrays.to_line(error)}") from error


def read_h5(path: Path, images: str, labels: str, rows: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Drawn pictures of an .h5, and their labels."""
    try:
        import h5py  # pyright: ignore[reportMissingImports] -- an extra
    except ImportError as error:
        raise UsageError(f"path={path}: an .h5 is read by h5py: pip install aeexp[factors]") from error
    try:
        with h5py.File(path, "r") as file:
            for key in (images, labels):
                find_key(path, (key,), file)
            chosen = draw_rows(len(file[images]), rows, seed)
            return np.asarray(file[images][chosen]), np.asarray(file[labels][:])[chosen]
    except UNREADABLE as error:
        raise UsageError(f"path={path} is no readable .h5 file: {arrays.to_line(error)}") from error


def read_mat(path: Path, key: str) -> np.ndarray:
    """An array of numbers of a MATLAB file."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        found = loadmat(path, variable_names=[key]).get(key)
    except (MatReadError, ValueError, NotImplementedError, TypeError, OSError) as error:
        raise UsageError(f"path={path} is no readable .mat file: {arrays.to_line(error)}") from error
    if found is None or found.dtype.kind not in "buif":
        raise UsageError(f"path={path} has no numbers called {key}")
    return found


def read_norb(path: Path) -> np.ndarray:
    """An array in NORB's form: a magic number, how many sides, the sides (three at least are written), the elements."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as opened:
            head = np.frombuffer(opened.read(8), "<u4")
            if len(head) < 2 or int(head[0]) not in NORB or not 1 <= head[1] <= 8:
                raise UsageError(f"path={path} is no file of smallNORB: its first bytes say something else")
            sides = np.frombuffer(opened.read(4 * max(3, int(head[1]))), "<u4")[: head[1]]
            shape, dtype = tuple(int(side) for side in sides), NORB[int(head[0])]
            raw = _read_most(opened, math.prod(shape) * dtype.itemsize + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"path={path} cannot be read: {arrays.to_line(error)}") from error
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise UsageError(f"path={path} is damaged: its head speaks of {shape}, and there are {len(raw)} bytes")
    return np.frombuffer(raw, dtype).reshape(shape)


def _read_most(opened: IO[bytes] | gzip.GzipFile, size: int) -> bytearray:
    """At most so many bytes: room is asked for as they come, for a damaged head may speak of any number."""
    content = bytearray()
    while len(content) < size and (part := opened.read(min(BLOCK, size - len(content)))):
        content += part
    return content

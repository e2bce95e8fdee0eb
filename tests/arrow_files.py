"""Parquet and Arrow files, read as rows or refused. Importing it skips a test that has no library `datasets`."""

from __future__ import annotations

import atexit
import io
import os
import shutil
import tempfile
from importlib.util import find_spec

os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="aeexp-hf-")  # before the library is imported

import numpy as np
import pytest
from PIL import Image

from aeexp.datasets.core.records import Source, StoredArray, StreamedArray
from aeexp.datasets.formats.hf import import_datasets
from aeexp.datasets.formats.huggingface import huggingface
from aeexp.errors import UsageError

if find_spec("datasets") is None:
    pytest.skip("needs the library datasets", allow_module_level=True)
datasets = import_datasets()
datasets.disable_progress_bars()
atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

N = 23
COUNTS = (9, 10, 4)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 6)).astype(np.float32)
PICTURES = RNG.integers(0, 256, (N, 5, 4), np.uint8)
Y = np.arange(N) * 7 % 3


def load(path, **keys) -> Source:
    return huggingface.load(path=path if path is None else str(path), **keys)


def png(x: np.ndarray) -> bytes:
    Image.fromarray(x).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


def nested(x: np.ndarray, fixed: bool = False) -> pa.Array:
    """Rows as lists in lists."""
    column = pa.array(x.ravel())
    for length in x.shape[:0:-1]:
        if fixed:
            column = pa.FixedSizeListArray.from_arrays(column, length)
        else:
            ends = np.arange(0, len(column) + 1, length, dtype=np.int32)
            column = pa.ListArray.from_arrays(pa.array(ends), column)
    return column


def parquet(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=4)
    return path


def arrow(path, form, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as file, getattr(pa.ipc, f"new_{form}")(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    return path


def cut(*arrays):
    """The arrays cut into files of COUNTS rows."""
    ends = np.cumsum(COUNTS)[:-1]
    return zip(*(np.split(array, ends) for array in arrays), strict=True)


def check(path, rows: np.ndarray, streamable: bool = True, **keys) -> Source:
    """Both ways of reading give these rows; returns the map-style source."""
    source = load(path, **keys)
    assert isinstance(source.rows.x, StoredArray)
    assert source.rows.x.dtype == rows.dtype and source.scale == (1 / 255 if rows.dtype == np.uint8 else 1)
    assert np.array_equal(source.rows.x.read(), rows)
    if streamable:
        streamed = load(path, streaming=True, **keys)
        assert isinstance(streamed.rows.x, StreamedArray)
        assert streamed.classes == source.classes and streamed.scale == source.scale
        for one, other in ((streamed.rows, source.rows), (streamed.test, source.test)):
            assert (one is None) == (other is None)
            if one is not None:
                assert one.x.dtype == other.x.dtype and np.array_equal(one.x.read(), other.x.read())
                assert (one.y is None) == (other.y is None) and (one.y is None or (one.y == other.y).all())
    return source


def refused(path, start="path=", **keys) -> str:
    with pytest.raises(UsageError) as error:
        source = load(path, **keys)
        source.rows.x.read()
    message = str(error.value)
    assert message.removeprefix("dataset.").startswith(start) and len(message.splitlines()) <= 2, message
    return message

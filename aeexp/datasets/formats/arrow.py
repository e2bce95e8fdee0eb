"""Rows and labels of what `opening` gives: any row by its number, or file after file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, final

import numpy as np

from aeexp.datasets.core.stored import EncodedRows, EncodedShards
from aeexp.datasets.core.workers import Decode
from aeexp.datasets.formats.arrow_columns import Columns
from aeexp.datasets.formats.hf import explain_errors, import_datasets
from aeexp.datasets.formats.labels import Labels
from aeexp.datasets.formats.opening import OpenedData, count_rows, open_stream, read_batches, read_mapped, read_tables
from aeexp.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

BATCH = 512  # rows that a stream reads at once


@final
class MappedRows(EncodedRows):
    """Any rows of a memory-mapped dataset by their numbers (stored.Indexed)."""

    def __init__(self, dataset: Dataset, columns: Columns):
        self.columns = columns
        self.dataset = dataset  # the files of a query end with it
        self.tables = dataset.select_columns(columns.names).with_format("arrow")
        self.shape = (len(dataset), *columns.shape)
        self.dtype = columns.dtype
        with explain_errors(columns.path):
            for name in columns.names:
                self.tables.data.column(name).validate(full=True)  # a damaged length would end the process, not raise

    @property
    def decode(self) -> Decode | None:
        """Of pictures."""
        return self.columns.decode if self.columns.kind == "picture" else None

    def fetch(self, index: np.ndarray) -> list[tuple[int, bytes | str | None]]:
        """Of a column of pictures."""
        with explain_errors(self.columns.path):
            unique, back = np.unique(index, return_inverse=True)
            stored = self.columns.list_stored(self.tables[unique.tolist()], unique)
            return [stored[place] for place in back]

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        index = np.asarray(index)
        if len(index) == 0:
            return np.empty((0, *self.shape[1:]), self.dtype)
        start, stop = int(index[0]), int(index[-1]) + 1
        with explain_errors(self.columns.path):
            if stop - start == len(index) and (np.diff(index) == 1).all():
                return self.columns.read(self.tables[start:stop], index)
            unique, back = np.unique(index, return_inverse=True)
            return self.columns.read(self.tables[unique.tolist()], unique)[back]


@final
class SequentialRows(EncodedShards):
    """Parquet or Arrow files, each read from its beginning (stored.Shards)."""

    def __init__(self, opened: OpenedData, columns: Columns):
        self.columns = columns
        self.files = opened.files
        self.counts = [count_rows(file, opened.format) for file in opened.files]
        self.shape = columns.shape
        self.dtype = columns.dtype
        with explain_errors(opened.path):
            self.streams = [open_stream(file, opened.format, columns.names) for file in opened.files]

    @property
    def decode(self) -> Decode | None:
        """Of pictures."""
        return self.columns.decode if self.columns.kind == "picture" else None

    def read(self, shard: int, places: np.ndarray) -> Iterator[np.ndarray]:
        """The rows at these ascending places of a file."""
        for table, rows in self._iterate_tables(shard, places):
            with explain_errors(str(self.files[shard])):
                x = self.columns.read(table, rows)
            yield from x

    def fetch(self, shard: int, places: np.ndarray) -> Iterator[tuple[int, bytes | str | None]]:
        """Of a column of pictures."""
        for table, rows in self._iterate_tables(shard, places):
            yield from self.columns.list_stored(table, rows)

    def _iterate_tables(self, shard: int, places: np.ndarray) -> Iterator[tuple[pa.Table, np.ndarray]]:
        """The wanted of each `BATCH` rows, and their numbers."""
        before = sum(self.counts[:shard])
        start = done = 0
        with explain_errors(str(self.files[shard])):
            for table in read_tables(self.streams[shard], BATCH) if len(places) else ():
                here = places[done : np.searchsorted(places, start + len(table))]
                if len(here):
                    yield table if len(here) == len(table) else table.take(here - start), before + here
                done += len(here)
                start += len(table)
                if done == len(places):
                    return


def read_labels(opened: OpenedData, name: str) -> Labels:
    """Labels of all rows; only this column is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with explain_errors(opened.path):
        if opened.dataset is not None:
            column = read_mapped(opened.dataset, [name], slice(None)).column(0)
        elif opened.format == "parquet":
            parts = [pq.ParquetFile(file).read(columns=[name]).column(0) for file in opened.files]
            column = pa.chunked_array([chunk for part in parts for chunk in part.chunks], parts[0].type)
        else:
            parts = [batch.column(name) for file in opened.files for batch in read_batches(file)]
            column = pa.chunked_array(parts)
        return _encode(column, name, opened)


def _encode(column: pa.ChunkedArray, name: str, opened: OpenedData) -> Labels:
    import pyarrow as pa

    what = f"y={name}: the column of {opened.path}"
    feature = opened.features[name]
    if isinstance(feature, import_datasets().ClassLabel):
        codes = column.fill_null(-1).to_numpy().astype(np.int64)
        if codes.max() >= len(feature.names):
            raise UsageError(f"{what} has the number {codes.max()}, but {len(feature.names)} classes")
        return Labels(codes.clip(min=-1), np.array(feature.names), ordered=True)
    types = pa.types
    if types.is_null(column.type):
        return Labels(np.full(len(column), -1), np.empty(0, np.int64))
    is_text = types.is_string(column.type) or types.is_large_string(column.type)
    if not (
        is_text or types.is_integer(column.type) or types.is_floating(column.type) or types.is_boolean(column.type)
    ):
        raise UsageError(f"{what} is {column.type}, but numbers or texts are needed; dataset.y=none: no labels")
    encoded = column.dictionary_encode().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    values = encoded.dictionary.to_numpy(zero_copy_only=False)
    values = values.astype(str) if is_text else values
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UsageError(f"{what} holds NaN or infinity: mark unlabelled rows by -1 or leave them empty")
    return Labels(codes, values)

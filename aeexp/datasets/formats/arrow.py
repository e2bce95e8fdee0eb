"""Rows and labels of what `opening` gives: any row by its number, or part after part of the files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, final

import numpy as np

from aeexp.datasets.core.stored import EncodedRows, EncodedShards
from aeexp.datasets.core.workers import Decode
from aeexp.datasets.formats.arrow_columns import Columns
from aeexp.datasets.formats.hf import explain_errors, import_datasets
from aeexp.datasets.formats.labels import Labels, choose_kind
from aeexp.datasets.formats.opening import OpenedData, read_mapped
from aeexp.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset


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
    """Parquet or Arrow files, some row groups at a time, each of which is read from its beginning (shards.Shards)."""

    def __init__(self, opened: OpenedData, columns: Columns):
        self.columns = columns
        self.parts = opened.parts
        self.counts = [part.rows for part in self.parts]
        self.begins = np.cumsum(self.counts) - self.counts
        self.shape = columns.shape
        self.dtype = columns.dtype

    @property
    def decode(self) -> Decode | None:
        """Of pictures."""
        return self.columns.decode if self.columns.kind == "picture" else None

    def read(self, shard: int, places: np.ndarray) -> Iterator[np.ndarray]:
        """The rows at these ascending places of a part, as many at a time as are read together."""
        for table, rows in self._iterate_tables(shard, places):
            yield self.columns.read(table, rows)

    def fetch(self, shard: int, places: np.ndarray) -> Iterator[tuple[int, bytes | str | None]]:
        """Of a column of pictures."""
        for table, rows in self._iterate_tables(shard, places):
            yield from self.columns.list_stored(table, rows)

    def _iterate_tables(self, shard: int, places: np.ndarray) -> Iterator[tuple[pa.Table, np.ndarray]]:
        """The wanted of those rows that are read together, and their numbers."""
        part, before = self.parts[shard], int(self.begins[shard])
        start = done = 0
        for table in part.read(self.columns.names) if len(places) else ():
            here = places[done : np.searchsorted(places, start + len(table))].astype(np.int64)
            if len(here):
                yield table if len(here) == len(table) else table.take(here - start), before + here
            done += len(here)
            start += len(table)
            if done == len(places):
                return


def read_labels(opened: OpenedData, name: str) -> Labels:
    """Labels of all rows; only this column is read, some rows at a time."""
    with explain_errors(opened.path):
        if opened.dataset is not None:
            chunks = iter(read_mapped(opened.dataset, [name], slice(None)).column(0).chunks)
        else:
            chunks = (chunk for part in opened.parts for table in part.read([name]) for chunk in table.column(0).chunks)
        kind = opened.schema.field(name).type
        return encode_labels(chunks, kind, f"y={name}: the column of {opened.path}", opened.features.get(name))


def encode_labels(chunks: Iterable[pa.Array], kind: pa.DataType, what: str, feature: Any = None) -> Labels:
    """Codes of a column that comes in chunks, in as few bytes as they need; `what` begins a message."""
    import pyarrow as pa

    if isinstance(feature, import_datasets().ClassLabel):
        names = feature.names or []
        codes = _join(chunk.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in chunks)
        if codes.max() >= len(names):
            raise UsageError(f"{what} has the number {codes.max()}, but {len(names)} classes")
        return Labels(codes.clip(min=-1).astype(choose_kind(len(names))), np.array(names), ordered=True)
    types, chunks = pa.types, _keep_type(chunks, kind, what)
    if types.is_null(kind):
        return Labels(_join(np.full(len(chunk), -1, np.int8) for chunk in chunks), np.empty(0, np.int64))
    is_text = types.is_string(kind) or types.is_large_string(kind)
    if not (is_text or types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise UsageError(f"{what} is {kind}, but numbers or texts are needed; dataset.y=none: no labels")
    seen: dict[object, int] = {}

    def number(chunk: pa.Array) -> np.ndarray:
        encoded = chunk.dictionary_encode()
        values = encoded.dictionary.to_numpy(zero_copy_only=False)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UsageError(f"{what} holds NaN or infinity: mark unlabelled rows by -1 or leave them empty")
        places = [seen.setdefault(value, len(seen)) for value in values.tolist()]
        codes = encoded.indices.fill_null(len(places)).to_numpy(zero_copy_only=False)
        return np.array([*places, -1], choose_kind(len(seen)))[codes]

    codes = _join(map(number, chunks))
    return Labels(codes, np.array(list(seen), str if is_text else kind.to_pandas_dtype()))


def _keep_type(chunks: Iterable[pa.Array], kind: pa.DataType, what: str) -> Iterator[pa.Array]:
    for chunk in chunks:
        if chunk.type != kind:
            raise UsageError(f"{what} is {kind} in its first rows and {chunk.type} later: make it one by CAST")
        yield chunk


def _join(chunks: Iterable[np.ndarray]) -> np.ndarray:
    """One array in the type of the widest."""
    several = list(chunks)
    return np.concatenate(several) if several else np.empty(0, np.int8)

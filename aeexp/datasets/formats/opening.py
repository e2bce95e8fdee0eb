"""Files opened by the library `datasets`: memory-mapped, or read one after another."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aeexp.datasets.formats.finding import Place
from aeexp.datasets.formats.hf import explain_errors, import_datasets
from aeexp.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, IterableDataset

_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # of an Arrow stream


class OpenedData(NamedTuple):
    """An opened part of the data: memory-mapped, or files that are read one after another."""

    path: str
    schema: pa.Schema
    features: dict  # name: datasets feature
    dataset: Dataset | None = None  # memory-mapped
    files: list[Path] = []  # that are read one after another
    format: str = ""  # of the files

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return self.schema.names

    def read_first(self, names: list[str]) -> pa.Table:
        """The first row."""
        with explain_errors(self.path):
            if self.dataset is not None:
                return read_mapped(self.dataset, names, slice(0, 1))
            return next(read_tables(open_stream(self.files[0], self.format, names), 1))


def read_mapped(dataset: Dataset, names: list[str], rows: slice) -> pa.Table:
    """These columns of these rows; what lies on disk is not copied."""
    import pyarrow as pa

    table = dataset.select_columns(names).with_format("arrow")[rows]
    assert isinstance(table, pa.Table)
    return table


def read_tables(rows: IterableDataset, size: int) -> Iterator[pa.Table]:
    """Those of a stream, `size` rows at a time."""
    import pyarrow as pa

    for table in rows.iter(batch_size=size):
        assert isinstance(table, pa.Table)
        yield table


def open_mapped(option: str, place: Place) -> OpenedData:
    """Memory-mapped: Arrow where it lies, Parquet as Arrow in the cache, pictures by their paths."""
    datasets = import_datasets()
    path, format, files, _ = place
    with explain_errors(str(path), option):
        if format == "disk":
            are_whole_streams(option, files)
            dataset = datasets.load_from_disk(str(path))
        elif format == "arrow" and are_whole_streams(option, files):
            dataset = datasets.concatenate_datasets([datasets.Dataset.from_file(str(file)) for file in files])
        else:
            files = _drop_empty(option, path, files, format) if format == "parquet" else files
            named = {"data_files": {"train": [_escape(file) for file in files]}}
            if format == "imagefolder":
                named = {"data_dir": str(path), "data_files": {"train": [_escape(path) + "/**"]}}
            dataset = datasets.load_dataset(format, split="train", cache_dir=_choose_cache(files), **named)
        return describe(option, str(path), dataset)


def describe(option: str, path: str, dataset: Dataset) -> OpenedData:
    """What is known of a memory-mapped dataset. Raises UsageError where it has no rows."""
    if len(dataset) == 0:
        raise UsageError(f"{option}={path} has no rows")
    return OpenedData(path, dataset.features.arrow_schema, dict(dataset.features), dataset=dataset)


def open_shards(option: str, place: Place) -> OpenedData:
    """Files that are read one after another; the first one's columns hold for all."""
    datasets = import_datasets()
    path, format, files, _ = place
    if format == "imagefolder":
        raise UsageError(f"streaming=true reads .parquet or .arrow files, and {path} holds none")
    if not files:
        raise UsageError(f"{option}={path} has no rows")
    format = "arrow" if format == "disk" else format
    with explain_errors(str(path), option):
        schemas = [read_schema(file, format) for file in files]
        if format == "arrow":
            are_whole_streams(option, files)
        files = _drop_empty(option, path, files, format)
        for file, schema in zip(place.files, schemas, strict=True):
            here, there = ((each.metadata or {}).get(b"huggingface") for each in (schema, schemas[0]))
            if not schema.equals(schemas[0]) or here != there:
                raise UsageError(
                    f"{option}={path}: {file.name} has other columns or classes than {place.files[0].name}"
                )
        features = datasets.Features.from_arrow_schema(schemas[0])
        return OpenedData(str(path), features.arrow_schema, dict(features), files=files, format=format)


def read_schema(file: Path, format: str) -> pa.Schema:
    """The columns of a Parquet file, an Arrow stream or an Arrow file; reads no values."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if format == "parquet":
        return pq.read_schema(file)
    with open(file, "rb") as opened:
        try:
            return pa.ipc.open_stream(opened).schema
        except pa.ArrowInvalid:
            return pa.ipc.open_file(opened).schema


def count_rows(file: Path, format: str) -> int:
    """Rows; reads no values."""
    import pyarrow.parquet as pq

    with explain_errors(str(file)):
        if format == "parquet":
            return pq.read_metadata(file).num_rows
        return sum(len(batch) for batch in read_batches(file))


def read_batches(file: Path) -> Iterator[pa.RecordBatch]:
    """Those of an Arrow stream or an Arrow file, memory-mapped."""
    import pyarrow as pa

    with pa.memory_map(str(file)) as opened:
        try:
            reader = pa.ipc.open_stream(opened)
        except pa.ArrowInvalid:
            opened.seek(0)
            content = pa.ipc.open_file(opened)
            reader = (content.get_batch(number) for number in range(content.num_record_batches))
        yield from reader


def _drop_empty(option: str, path: Path, files: list[Path], format: str) -> list[Path]:
    """Without files of no rows, which `datasets` cannot read."""
    filled = [file for file in files if count_rows(file, format)]
    if not filled:
        raise UsageError(f"{option}={path} has no rows")
    return filled


def open_stream(file: Path, format: str, names: list[str]) -> IterableDataset:
    """An IterableDataset of Arrow tables of these columns."""
    datasets = import_datasets()
    wanted = {"columns": names} if format == "parquet" else {}
    rows = datasets.load_dataset(format, data_files={"train": [_escape(file)]}, split="train", streaming=True, **wanted)
    return rows.select_columns(names).with_format("arrow")


def are_whole_streams(option: str, files: list[Path]) -> bool:
    """Whether the files are Arrow streams (else Arrow files); refused where a stream has lost its end."""
    for file in files:
        with open(file, "rb") as opened:
            if opened.read(6) == b"ARROW1":
                return False
            opened.seek(-min(8, file.stat().st_size), os.SEEK_END)
            if opened.read() != _END:
                raise UsageError(f"{option}={file}: the file is truncated or no Arrow file")
    return True


def _escape(file: Path) -> str:
    """Absolute, with no character that `datasets` would take for a pattern."""
    return glob.escape(str(file.resolve()))


def _choose_cache(files: list[Path]) -> str | None:
    """A folder for this state of the files: `datasets` itself would not see a change that keeps the time."""
    datasets = import_datasets()
    if not files:
        return None
    states = [(str(file.resolve()), s.st_size, s.st_mtime_ns, s.st_ctime_ns) for file in files for s in [file.stat()]]
    state = hashlib.sha256(repr(states).encode()).hexdigest()[:16]
    return str(Path(datasets.config.HF_DATASETS_CACHE) / "aeexp" / state)

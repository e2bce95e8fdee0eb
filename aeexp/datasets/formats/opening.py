"""Files opened by the library `datasets`: memory-mapped, or read one after another."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from aeexp.datasets.formats.finding import Place
from aeexp.datasets.formats.hf import explain_errors, import_datasets
from aeexp.datasets.formats.parts import cut_file
from aeexp.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # of an Arrow stream


class Part(Protocol):
    """Rows that are read from their beginning: some row groups of a file, a range of a query's key."""

    @property
    def rows(self) -> int:
        """How many there are."""
        ...

    def read(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """These columns, some rows at a time."""
        ...


class OpenedData(NamedTuple):
    """An opened part of the data: memory-mapped, or parts that are read one after another."""

    path: str
    schema: pa.Schema
    features: dict  # name: datasets feature
    dataset: Dataset | None = None  # memory-mapped
    parts: Sequence[Part] = ()  # that are read one after another

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return self.schema.names

    def read_first(self, names: list[str]) -> pa.Table:
        """The first row."""
        with explain_errors(self.path):
            if self.dataset is not None:
                return read_mapped(self.dataset, names, slice(0, 1))
            return next(iter(self.parts[0].read(names))).slice(0, 1)


def read_mapped(dataset: Dataset, names: list[str], rows: slice) -> pa.Table:
    """These columns of these rows; what lies on disk is not copied."""
    import pyarrow as pa

    table = dataset.select_columns(names).with_format("arrow")[rows]
    assert isinstance(table, pa.Table)
    return table


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
            files = _drop_empty(option, path, files) if format == "parquet" else files
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
        parts = [part for file in files for part in cut_file(file, format)]
        if not parts:
            raise UsageError(f"{option}={path} has no rows")
        for file, schema in zip(place.files, schemas, strict=True):
            here, there = ((each.metadata or {}).get(b"huggingface") for each in (schema, schemas[0]))
            if not schema.equals(schemas[0]) or here != there:
                raise UsageError(
                    f"{option}={path}: {file.name} has other columns or classes than {place.files[0].name}"
                )
        features = datasets.Features.from_arrow_schema(schemas[0])
        return OpenedData(str(path), features.arrow_schema, dict(features), parts=parts)


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


def _drop_empty(option: str, path: Path, files: list[Path]) -> list[Path]:
    """Without files of no rows, which `datasets` cannot read."""
    filled = [file for file in files if cut_file(file, "parquet")]
    if not filled:
        raise UsageError(f"{option}={path} has no rows")
    return filled


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

"""Parts of Parquet and Arrow files that are read one by one: neighbouring row groups, or batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aeexp.datasets.formats.hf import explain_errors

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 2**16  # that a part has at least, if there are as many in the file, and if they are not large
BYTES = 2**26  # that are enough for one
READ_ROWS = 8192  # that are read at once
READ_BYTES = 2**23
BUFFER = 2**18  # bytes of a column that are read from the file at a time: without it, all of a row group


class FilePart(NamedTuple):
    """Some row groups of a Parquet file, or some batches of an Arrow file."""

    file: Path
    format: str
    first: int
    last: int  # the one behind
    rows: int
    bytes: int  # in memory

    def read(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Its rows, some at a time, with these columns alone."""
        with explain_errors(str(self.file)):
            yield from _read(self, list(names))


def cut_file(file: Path, format: str) -> list[FilePart]:
    """All parts of a file; reads no values."""
    parts, first, rows, size, last = [], 0, 0, 0, 0
    for last, (more_rows, more_bytes) in enumerate(_measure(file, format), 1):
        rows, size = rows + more_rows, size + more_bytes
        if rows >= ROWS or size >= BYTES:
            parts.append(FilePart(file, format, first, last, rows, size))
            first, rows, size = last, 0, 0
    return [*parts, FilePart(file, format, first, last, rows, size)] if rows else parts


def _read(part: FilePart, names: list[str]) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = max(1, min(READ_ROWS, READ_BYTES * part.rows // max(1, part.bytes)))
    if part.format == "parquet":
        groups = list(range(part.first, part.last))
        with pq.ParquetFile(part.file, buffer_size=BUFFER, pre_buffer=False) as opened:
            for batch in opened.iter_batches(rows, groups, names, use_threads=False):
                yield pa.Table.from_batches([batch])
    else:
        for number, batch in enumerate(read_batches(part.file)):
            if number >= part.last:
                return
            if number >= part.first:
                table = pa.Table.from_batches([batch]).select(names)
                table.validate(full=True)  # a damaged length would end the process, not raise
                yield from (table.slice(start, rows) for start in range(0, len(table), rows))


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


def _measure(file: Path, format: str) -> Iterator[tuple[int, int]]:
    """Rows and bytes of each row group, or batch."""
    import pyarrow.parquet as pq

    if format != "parquet":
        yield from ((len(batch), batch.nbytes) for batch in read_batches(file))
        return
    metadata = pq.read_metadata(file)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        yield group.num_rows, group.total_byte_size

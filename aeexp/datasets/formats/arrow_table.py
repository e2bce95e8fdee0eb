"""Columns of numbers and texts in Parquet as a table of cells, so that they follow the rules of a csv file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aeexp.datasets.formats.table import Table
from aeexp.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

INDEX = "__index_level_"  # begins the name under which pandas stores an index


def read_parquet(key: str, path: str) -> Table:
    """The table in a .parquet file; `key` is the option that named it. Raises UsageError.

    An index that pandas stored has no name of its own and is left out.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UsageError(f"{key}={path} needs pyarrow ({error}): pip install 'aeexp[huggingface]'") from error
    try:
        table = pq.read_table(Path(path))
    except Exception as error:  # damage raises anything: ArrowInvalid, OSError ...
        raise UsageError(f"{key}={path} could not be read: {' '.join(str(error).split())[:200]}") from error
    return convert_table(f"{key}={path}", table)


def convert_table(name: str, table: pa.Table) -> Table:
    """Cells as pandas writes them into a csv file; null and NaN are empty. `name` begins a message."""
    names = [each for each in table.column_names if not each.startswith(INDEX)]
    if len(set(names)) < len(names):
        raise UsageError(f"{name}: columns have the same name: rename one of {', '.join(sorted(names)[:20])}")
    if not names or len(table) == 0:
        raise UsageError(f"{name} has no {'rows' if names else 'columns'}")
    cells = np.full((len(table), len(names)), "", object)
    unreadable = {}
    for place, each in enumerate(names):
        column = _to_text(table.column(each))
        if column is None:
            unreadable[each] = str(table.schema.field(each).type)
        else:
            cells[:, place] = column
    rows = np.arange(len(table))
    return Table(tuple(names), cells, (name,), np.zeros(len(rows), np.int64), rows, unreadable=unreadable, unit="row")


def _to_text(column: pa.ChunkedArray) -> list[str] | None:
    """None where the column holds lists, bytes or structs."""
    import pyarrow as pa

    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if types.is_null(kind):
        return [""] * len(column)
    if (
        types.is_nested(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
    ):
        return None
    if types.is_floating(kind):  # shortest texts that read back as the same number
        values = column.to_numpy(zero_copy_only=False)
        return ["" if value != value else str(value) for value in values]
    return ["" if value is None else str(value).strip() for value in column.to_pylist()]

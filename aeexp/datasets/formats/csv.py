"""The user's own table: a text file with a header, or Parquet, of numbers and categories, some of them missing."""

from __future__ import annotations

from typing import get_args

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Source
from aeexp.datasets.formats import table
from aeexp.datasets.formats.arrow_table import read_parquet
from aeexp.datasets.formats.numerals import choose_numerals
from aeexp.datasets.formats.table import Table
from aeexp.datasets.formats.table_source import MISSING, Missing, Reading, make_source
from aeexp.errors import UsageError
from aeexp.ranges import Count


@DataSet
def csv(
    path: str,
    test: str | None = None,
    val: str | None = None,
    label: str | None = None,
    target: str | None = None,
    attributes: tuple[str, ...] = (),
    columns: tuple[str, ...] | None = None,
    drop: tuple[str, ...] = (),
    categorical: tuple[str, ...] = (),
    missing: Missing = "error",
    missing_values: tuple[str | float, ...] = MISSING,
    delimiter: str = ",",
    decimal: str | None = None,
    thousands: str | None = None,
    max_categories: Count = 100,
) -> Source:
    """Columns of which every cell is a number are numbers, others categories, one-hot; in the order of the file.

    `test` and `val` are files with the same header; a .parquet file is read as the csv file that pandas makes of it.
    `columns` are the features; None: all that are nothing else. `attributes` become s, categories as codes 0, 1, ...
    in sorted order. `target` is a column of numbers to predict, in place of classes. A row without label or target is
    unlabelled under each `missing`; `missing=drop` leaves out rows that lack a
    feature or an attribute. Fillings are fitted on the training split: until then x is (N, C) float64 with NaN.
    `decimal` and `thousands` are the signs in numbers; None: those by which all columns of numbers can be read, if
    this is one way alone. What is wrong with a table is told at once.
    """
    if missing not in get_args(Missing):
        raise UsageError(f"missing={missing} must be one of {', '.join(get_args(Missing))}")
    how = Reading(
        label, attributes, columns, drop, categorical, missing, missing_values, choose_numerals(decimal, thousands),
        max_categories, target, table.parse_delimiter(delimiter),
    )  # fmt: skip
    files = {"path": path, "test": test, "val": val}
    return make_source({key: read(key, file, how.delimiter) for key, file in files.items() if file is not None}, how)


def read(key: str, path: str, delimiter: str) -> Table:
    """The table in a file; `key` is the option that named it."""
    return read_parquet(key, path) if path.lower().endswith((".parquet", ".pq")) else table.read(key, path, delimiter)

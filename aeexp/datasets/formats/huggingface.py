"""Data on disk by the library `datasets` of Hugging Face: Parquet, Arrow, picture folders, SQL. Never the network."""

from __future__ import annotations

from typing import Literal

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source, Stored, Streamed
from aeexp.datasets.formats import arrays
from aeexp.datasets.formats.arrow import Mapped, Sequential, labels_of
from aeexp.datasets.formats.arrow_columns import Columns, kind
from aeexp.datasets.formats.decoding import Mode, PictureDecoder
from aeexp.datasets.formats.finding import Format, find
from aeexp.datasets.formats.labels import Labels, numbered
from aeexp.datasets.formats.opening import Found, open_mapped, shards
from aeexp.datasets.formats.query import by_query
from aeexp.errors import UsageError


@DataSet
def huggingface(
    path: str | None = None,
    test: str | None = None,
    format: Literal["auto", "parquet", "arrow", "imagefolder", "disk"] = "auto",
    sql: str | None = None,
    database: str | None = None,
    test_sql: str | None = None,
    x: str | list[str] | None = None,
    y: str | None = None,
    streaming: bool = False,
    size: list[int] | None = None,
    mode: Mode = "auto",
) -> Source:
    """A column of pictures, of arrays or lists (D,), (H, W), (C, H, W), or numeric columns side by side as features.

    `path` is a .parquet or .arrow file, a folder of them, a folder of pictures (one folder a class), or what
    `Dataset.save_to_disk` wrote; else `sql` is a query to `database`, asked anew by each run. `test` or `test_sql`
    gives the official test set. Rows are memory-mapped, any row can be read at any time; `streaming` reads the files
    from their beginning instead, and copies nothing to the cache (HF_HOME).
    """
    _check(path, test, sql, database, test_sql, streaming)
    decoder = PictureDecoder(mode, size)
    if sql is not None:
        found = {"sql": by_query("sql", sql, database)}
        if test_sql is not None:
            found["test_sql"] = by_query("test_sql", test_sql, database)
    else:
        found = open_files(path, test, format, streaming)
    (rows, rows_labels, columns), *others = _parts(found, x, y, decoder)
    test_rows, test_labels = None, None
    if others:
        (option, named), (test_rows, test_labels, other) = list(found.items())[1], others[0]
        here, there = (f"{c.shape} {c.dtype}" for c in (other, columns))
        if here != there:
            raise UsageError(f"{option}={named.path}: rows are {here}, those of {columns.path} {there}")
    classes: tuple[str, ...] = ()
    if rows_labels is not None:
        classes, numbers, test_numbers = numbered(
            rows_labels, test_labels, "leave them out (dataset.y=none), or take them as x"
        )
        rows = rows._replace(y=numbers)
        test_rows = test_rows and test_rows._replace(y=test_numbers)
    scale = arrays.seen_unit([part and part.x for part in (rows, test_rows)])
    return Source(rows, test_rows, scale, classes)


def open_files(path: str, test: str | None, format: Format, streaming: bool) -> dict[str, Found]:
    """The rows, and the official test set by `test` or as a part of a saved DatasetDict."""
    places = {"path": find("path", path, format)}
    if test is not None:
        places["test"] = find("test", test, format)
    elif places["path"].test is not None:
        places["test"] = find("test", places["path"].test, "disk")
    return {option: (shards if streaming else open_mapped)(option, place) for option, place in places.items()}


def _check(
    path: str | None, test: str | None, sql: str | None, database: str | None, test_sql: str | None, streaming: bool
) -> None:
    if path is not None and sql is not None:
        raise UsageError(f"path={path} and sql={sql}: give one of them")
    if sql is None:
        if not path:
            raise UsageError("path is empty: give a file or folder, as in dataset.path=data.parquet, or dataset.sql")
        if database is not None:
            raise UsageError(f"database={database} needs dataset.sql, a query, as in dataset.sql='SELECT * FROM rows'")
        if test_sql is not None:
            raise UsageError(f"test_sql={test_sql} belongs to dataset.sql; the test set of a path is dataset.test")
    else:
        if not database:
            raise UsageError(
                f"sql={sql} needs dataset.database, a SQLAlchemy URI, as in dataset.database=sqlite:///rows.db"
            )
        if test is not None:
            raise UsageError(f"test={test} belongs to dataset.path; the test set of a query is dataset.test_sql")
        if streaming:
            raise UsageError(
                "streaming=true reads files; the rows of a query are memory-mapped: dataset.streaming=false"
            )


def _parts(
    found: dict[str, Found], x: str | list[str] | None, y: str | None, decoder: PictureDecoder
) -> list[tuple[Rows, Labels | None, Columns]]:
    """Rows still without labels, labels and columns of each part; the first decides what is x."""
    parts = []
    for part in found.values():
        label = _label(y, part, x)
        if x is None:
            x = _only_array(part, label)
        names = [x] if isinstance(x, str) else list(x)
        if not names or len(set(names)) != len(names):
            raise UsageError(f"x={names}: name each column once, one at least")
        for name in names:
            listed = ", ".join(part.columns)
            if name not in part.columns:
                raise UsageError(f"x={name}: {part.path} has no such column; it has {listed}")
        columns = Columns(part.first(names), names, decoder, part.path)
        if part.files is not None:
            array = Streamed(Sequential(part, columns), part.path)
        else:
            array = Stored(Mapped(part.dataset, columns), part.path)
        labels = None if label is None else labels_of(part, label)
        parts.append((Rows(array), labels, columns))
    return parts


def _label(y: str | None, part: Found, x: str | list[str] | None) -> str | None:
    if y == "none":
        return None
    if y is not None:
        listed = ", ".join(part.columns)
        if y not in part.columns:
            raise UsageError(f"y={y}: {part.path} has no such column; it has {listed}; dataset.y=none: no labels")
        if y in [x] if isinstance(x, str) else x or []:
            raise UsageError(f"y={y}: the label is also a feature: take it out of dataset.x, or set dataset.y=none")
        return y
    taken = [x] if isinstance(x, str) else x or []
    return next((name for name in ("label", "y") if name in part.columns and name not in taken), None)


def _only_array(part: Found, label: str | None) -> str:
    fitting = [f.name for f in part.schema if kind(f.type) in ("picture", "array") and f.name != label]
    if len(fitting) == 1:
        return fitting[0]
    what = "several columns hold" if fitting else "no column holds"
    listed = ", ".join(f"{field.name} ({field.type})" for field in part.schema)
    raise UsageError(
        f"x=null: {what} pictures or arrays in {part.path}. Choose one by dataset.x=NAME, or numeric columns by "
        f"dataset.x=[NAME,NAME]:\n{listed[:600]}"
    )

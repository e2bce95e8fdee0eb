"""Data on disk by the library `datasets` of Hugging Face: Parquet, Arrow, picture folders, SQL. Never the network."""

from __future__ import annotations

from typing import Literal

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source, StoredArray, StreamedArray, Variable
from aeexp.datasets.formats.arrow import MappedRows, SequentialRows, read_labels
from aeexp.datasets.formats.arrow_columns import Columns, classify
from aeexp.datasets.formats.arrow_table import convert_table
from aeexp.datasets.formats.decoding import Mode, PictureDecoder
from aeexp.datasets.formats.finding import Format, find
from aeexp.datasets.formats.hf import explain_errors, import_datasets
from aeexp.datasets.formats.lazy import Part, lazy_source
from aeexp.datasets.formats.opening import OpenedData, open_mapped, open_shards, read_mapped
from aeexp.datasets.formats.query import query_database
from aeexp.datasets.formats.query_stream import stream_query
from aeexp.datasets.formats.table_source import Missing, Reading, make_source
from aeexp.errors import UsageError
from aeexp.ranges import Count

LANES, COLUMNS = 8, 80  # parts that are read side by side, and columns of them: each holds some megabytes
LABELS = ("label", "y", "Label", "Y")  # columns that are found as labels


@DataSet
def huggingface(
    path: str | None = None,
    test: str | None = None,
    format: Literal["auto", "parquet", "arrow", "imagefolder", "disk"] = "auto",
    sql: str | None = None,
    database: str | None = None,
    test_sql: str | None = None,
    key: str | None = None,
    x: str | list[str] | None = None,
    y: str | None = None,
    streaming: bool = False,
    missing: Missing = "error",
    size: list[Count] | None = None,
    mode: Mode = "auto",
) -> Source:
    """A column of pictures, of arrays or lists (D,), (H, W), (C, H, W), or numeric columns side by side as features.

    `path` is a .parquet or .arrow file, a folder of them, a folder of pictures (one folder a class), or what
    `Dataset.save_to_disk` wrote; else `sql` is a query to `database`, asked anew by each run. `test` or `test_sql`
    gives the official test set. Rows are memory-mapped, any row can be read at any time; `streaming` reads the files
    from their beginning instead, and copies nothing to the cache (HF_HOME); a query is then asked for one range of its
    unique `key` after another. `missing` fills gaps in columns side by side, or leaves such rows out, by the rules of
    `csv`: columns of texts are one-hot then.
    """
    _check(path, test, sql, database, test_sql, key, streaming)
    decoder = PictureDecoder(mode, size)
    if sql is not None and database is not None:
        queries = {"sql": sql, "test_sql": test_sql}
        sources = {
            option: stream_query(option, query, database, key) if streaming else query_database(option, query, database)
            for option, query in queries.items()
            if query is not None
        }
    else:
        sources = open_files(path or "", test, format, streaming)
    if missing != "error":
        return _read_table(sources, x, y, missing, streaming)
    train, *others = _open_parts(sources, x, y, decoder)
    instead = "leave them out (dataset.y=none), or take them as x"
    return lazy_source(train, others[0] if others else None, instead)


def _read_table(
    sources: dict[str, OpenedData], x: str | list[str] | None, y: str | None, missing: Missing, streaming: bool
) -> Source:
    """Columns side by side, in memory, as `csv` reads them."""
    if x is None or streaming:
        what = "streaming=true reads rows one by one" if streaming else "x=null is pictures or arrays"
        way = "dataset.streaming=false" if streaming else "name columns, as in dataset.x=[height,weight]"
        raise UsageError(f"missing={missing} acts on columns side by side, and {what}: {way}")
    names = [x] if isinstance(x, str) else x
    tables, label = {}, None
    for option, opened in sources.items():
        label = _choose_label(y, opened, names)
        _check_columns(names, opened)
        assert opened.dataset is not None  # what is not streamed is mapped
        with explain_errors(opened.path, option):
            table = read_mapped(opened.dataset, [*names, *([] if label is None else [label])], slice(None))
        tables["path" if option in ("path", "sql") else "test"] = convert_table(f"{option}={opened.path}", table)
    source = make_source(tables, Reading(label, columns=tuple(names), missing=missing))
    feature = next(iter(sources.values())).features.get(label or "")
    if feature is None or not isinstance(feature, import_datasets().ClassLabel):
        return source
    return name_classes(source, list(feature.names or ()))


def name_classes(source: Source, names: list[str]) -> Source:
    """Classes that are numbers by their names, which keep their order; -1 is no class."""
    lookup = np.array([int(number) for number in source.classes] + [-1])  # the last for -1

    def renumber(rows: Rows | None) -> Rows | None:
        return rows if rows is None or rows.y is None else rows._replace(y=lookup[rows.y].clip(min=-1))

    rows = renumber(source.rows)
    assert rows is not None
    return source._replace(rows=rows, test=renumber(source.test), classes=tuple(names))


def _check_columns(names: list[str], opened: OpenedData) -> None:
    if not names or len(set(names)) != len(names):
        raise UsageError(f"x={names}: name each column once, one at least")
    for name in names:
        if name not in opened.columns:
            raise UsageError(f"x={name}: {opened.path} has no such column; it has {', '.join(opened.columns)}")


def open_files(path: str, test: str | None, format: Format, streaming: bool) -> dict[str, OpenedData]:
    """The rows, and the official test set by `test` or as a part of a saved DatasetDict."""
    places = {"path": find("path", path, format)}
    if test is not None:
        places["test"] = find("test", test, format)
    elif places["path"].test is not None:
        places["test"] = find("test", places["path"].test, "disk")
    return {option: (open_shards if streaming else open_mapped)(option, place) for option, place in places.items()}


def _check(
    path: str | None, test: str | None, sql: str | None, database: str | None, test_sql: str | None, key: str | None,
    streaming: bool,
) -> None:  # fmt: skip
    if key is not None and (sql is None or not streaming):
        raise UsageError(
            f"key={key} says by which ranges a query is streamed: give dataset.sql and dataset.streaming=true, "
            "or leave it out"
        )
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


def _open_parts(
    sources: dict[str, OpenedData], x: str | list[str] | None, y: str | None, decoder: PictureDecoder
) -> list[Part]:
    """The rows and labels of each; the first decides what is x."""
    parts = []
    names = [x] if isinstance(x, str) else x
    for option, opened in sources.items():
        label = _choose_label(y, opened, names or [])
        if names is None:
            names = [_find_array(opened, label)]
        _check_columns(names, opened)
        columns = Columns(opened.read_first(names), names, decoder, opened.path)
        if opened.dataset is not None:
            array = StoredArray(MappedRows(opened.dataset, columns), opened.path)
        else:
            lanes = max(1, min(LANES, COLUMNS // len(names)))
            array = StreamedArray(SequentialRows(opened, columns), opened.path, lanes=lanes)
        variables = tuple(Variable(name) for name in names) if columns.kind == "number" else ()
        parts.append(Part(option, array, None if label is None else read_labels(opened, label), variables))
    return parts


def _choose_label(y: str | None, opened: OpenedData, x: list[str]) -> str | None:
    """The column of the labels. Raises UsageError where it was named and is not there, or is a feature."""
    if y == "none":
        return None
    if y is None:
        return next((name for name in LABELS if name in opened.columns and name not in x), None)
    if y not in opened.columns:
        listed = ", ".join(opened.columns)
        raise UsageError(f"y={y}: {opened.path} has no such column; it has {listed}; dataset.y=none: no labels")
    if y in x:
        raise UsageError(f"y={y}: the label is also a feature: take it out of dataset.x, or set dataset.y=none")
    return y


def _find_array(part: OpenedData, label: str | None) -> str:
    fitting = [f.name for f in part.schema if classify(f.type) in ("picture", "array") and f.name != label]
    if len(fitting) == 1:
        return fitting[0]
    what = "several columns hold" if fitting else "no column holds"
    listed = ", ".join(f"{field.name} ({field.type})" for field in part.schema)
    raise UsageError(
        f"x=null: {what} pictures or arrays in {part.path}. Choose one by dataset.x=NAME, or numeric columns by "
        f"dataset.x=[NAME,NAME]:\n{listed[:600]}"
    )

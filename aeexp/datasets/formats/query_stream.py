"""The rows of a query to a database, read range by range of a key and kept nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, final

from aeexp.datasets.formats.hf import explain_errors
from aeexp.datasets.formats.opening import OpenedData
from aeexp.datasets.formats.query import check_database
from aeexp.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy

ROWS = 2**16  # of a range
LOOKED_AT = 1000  # rows that say what the columns hold
READ_ROWS, READ_FILES = 8192, 256  # rows that are fetched at once: numbers, and those that hold whole files


def stream_query(option: str, query: str, database: str, key: str | None) -> OpenedData:
    """A query whose rows stay where they are; `key` is a column of unique values by which ranges of them are read."""
    import sqlalchemy
    from sqlalchemy.pool import NullPool

    check_database(database)
    text = " ".join(query.split())  # a query may have many lines, a message has one
    if key is None and "order by" not in text.lower():
        raise UsageError(
            f"{option}={text}: a database may give rows in another order each time: name a column of unique values, as "
            "in dataset.key=id, or end the query by ORDER BY"
        )
    with explain_errors(text, option):
        opened = Query(option, text, query.strip().rstrip(";"), sqlalchemy.create_engine(database, poolclass=NullPool))
        parts = opened.cut(key)
        if not sum(part.rows for part in parts):
            raise UsageError(f"{option}={text} has no rows")
        return OpenedData(text, opened.schema, {}, parts=parts)


class QueryPart(NamedTuple):
    """The rows whose key is at least `low` and below `high`; with no key, all."""

    query: Query
    rows: int
    key: str | None = None
    low: Any = None
    high: Any = None  # None: no bound

    def read(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """These columns, some rows at a time, in the order of the key."""
        return self.query.read(self, names)


@final
class Query:
    """A query with the types of its columns, as its first rows have them."""

    def __init__(self, option: str, text: str, statement: str, engine: sqlalchemy.Engine):
        import pyarrow as pa
        import sqlalchemy

        self.option = option
        self.text = text
        self.statement = sqlalchemy.text(statement.replace(":", r"\:"))
        self.engine = engine
        with engine.connect() as opened:
            result = opened.execution_options(stream_results=True).execute(self.statement)
            names = list(result.keys())
            first = list(zip(*result.fetchmany(LOOKED_AT), strict=True)) or [()] * len(names)
        if len(set(names)) < len(names):
            raise UsageError(f"{option}={text}: columns have the same name: rename one by AS; there are {names}")
        self.schema = pa.schema([(name, _find_type(values)) for name, values in zip(names, first, strict=True)])
        files = any(pa.types.is_binary(kind) for kind in self.schema.types)
        self.fetched = READ_FILES if files else READ_ROWS

    def cut(self, key: str | None) -> list[QueryPart]:
        """Ranges of `ROWS` rows each, found by one pass of the database over the key."""
        from sqlalchemy import func, or_, select

        rows = self._table()
        with self.engine.connect() as opened:
            if key is None:
                return [QueryPart(self, opened.execute(select(func.count()).select_from(rows)).scalar_one())]
            if key not in self.schema.names:
                raise UsageError(f"key={key}: the query has no such column; it has {', '.join(self.schema.names)}")
            column = rows.c[key]
            total, known = opened.execute(select(func.count(), func.count(column))).one()
            if known < total:
                raise UsageError(f"key={key}: {total - known} rows have none (null); name another column")
            number, before = func.row_number().over(order_by=column) - 1, func.lag(column).over(order_by=column)
            numbered = select(column.label("k"), number.label("n"), before.label("before")).subquery("numbered")
            wanted = or_(numbered.c.n % ROWS == 0, numbered.c.k == numbered.c.before)
            found = select(numbered).where(wanted).order_by(numbered.c.n)
            bounds = []
            for value, _, before in opened.execution_options(stream_results=True).execute(found):
                if value == before:
                    raise UsageError(f"key={key}: two rows have {value!r}; name a column of unique values")
                bounds.append(value)
        return [QueryPart(self, min(ROWS, total - ROWS * number), key, low, high)
                for number, (low, high) in enumerate(zip(bounds, [*bounds[1:], None], strict=False))]  # fmt: skip

    def read(self, part: QueryPart, names: Sequence[str]) -> Iterator[pa.Table]:
        """Those of a part."""
        import pyarrow as pa
        from sqlalchemy import select

        rows, statement = self._table(), self.statement
        wanted = [rows.c[name] for name in names]
        if part.key is not None:
            column = rows.c[part.key]
            bounds = [column >= part.low, *([] if part.high is None else [column < part.high])]
            statement = select(*wanted).where(*bounds).order_by(column)
        with explain_errors(self.text, self.option), self.engine.connect() as opened:
            result = opened.execution_options(stream_results=True, max_row_buffer=self.fetched).execute(statement)
            places = [list(result.keys()).index(name) for name in names]
            while fetched := result.fetchmany(self.fetched):
                columns = list(zip(*fetched, strict=True))
                start = f"{self.option}={self.text}: column"
                arrays = [_convert(f"{start} {name}", columns[at], self.schema.field(name).type)
                          for at, name in zip(places, names, strict=True)]  # fmt: skip
                yield pa.table(arrays, names=list(names))

    def _table(self) -> sqlalchemy.Subquery:
        from sqlalchemy import column

        return self.statement.columns(*map(column, self.schema.names)).subquery("rows_of_query")


def _find_type(values: Sequence[Any]) -> pa.DataType:
    import pyarrow as pa

    try:
        return _infer(values).type
    except pa.ArrowException:  # texts among numbers, or what Arrow does not know
        return pa.string()


def _convert(what: str, values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """As the first rows have it; a column of whole numbers may have fractions later."""
    import pyarrow as pa

    try:
        array = _infer(values)
    except pa.ArrowException as error:
        raise UsageError(f"{what} holds texts and numbers: make them one by CAST") from error
    wider = pa.types.is_floating(kind) and pa.types.is_integer(array.type)
    return array.cast(kind) if wider or pa.types.is_null(array.type) else array


def _infer(values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    array = pa.array(values)
    return array.cast(pa.float64()) if pa.types.is_decimal(array.type) else array

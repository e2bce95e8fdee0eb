"""A query that does not fit is streamed: by ranges of a key, the same rows, in an order of each epoch's own."""

from __future__ import annotations

import sqlite3
from functools import partial

import numpy as np
import pytest
import torch
from arrow_files import load, png, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from aeexp.datasets.core.records import StreamedArray
from aeexp.datasets.core.stream import Stream
from aeexp.types import Share

pytest.importorskip("sqlalchemy")
N = 250
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 2)).astype(np.float32)
PICTURES = RNG.integers(0, 256, (N, 4, 3), np.uint8)
KEYS = RNG.permutation(5 * N)[:N] - 300  # gaps, negative ones, no order


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("sql") / "rows ä.db"
    with sqlite3.connect(path) as opened:
        opened.execute(
            'CREATE TABLE rows ("id ä" INTEGER PRIMARY KEY, a REAL, b REAL, n INTEGER, t TEXT, label TEXT, p BLOB)'
        )
        rows = [(int(key), float(a), float(b), i, f"t{i:04d}", None if i % 7 == 0 else f"c{i % 3}", png(picture))
                for i, (key, (a, b), picture) in enumerate(zip(KEYS, X, PICTURES, strict=True))]  # fmt: skip
        opened.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    opened.close()
    return f"sqlite:///{path}"


@pytest.fixture(autouse=True)
def few_rows(monkeypatch):
    monkeypatch.setattr("aeexp.datasets.formats.query_stream.ROWS", 32)


@pytest.fixture
def streamed(database):
    return partial(load, None, database=database, streaming=True)


@pytest.mark.parametrize("key", ["id ä", "n", "t"])
def test_the_rows_are_those_of_the_query_in_the_order_of_the_key(streamed, database, key):
    source = streamed(sql="SELECT * FROM rows;", key=key, x=["a", "b"])
    order = np.argsort(KEYS) if key == "id ä" else np.arange(N)
    assert isinstance(source.rows.x, StreamedArray) and len(source.rows.x.shards.counts) == -(-N // 32)
    assert np.array_equal(source.rows.x.read(), X[order])
    assert source.classes == ("c0", "c1", "c2")
    assert source.rows.y.tolist() == [-1 if i % 7 == 0 else i % 3 for i in order]
    mapped = load(None, database=database, sql=f'SELECT * FROM rows ORDER BY "{key}"', x=["a", "b"])
    assert np.array_equal(mapped.rows.x.read(), X[order]) and mapped.rows.y.tolist() == source.rows.y.tolist()


def test_a_query_with_an_order_of_its_own_is_one_range(streamed):
    source = streamed(sql="SELECT a, b FROM rows -- all\nWHERE t <> 'x:y' AND n % 2 = 1 ORDER BY n DESC", x=["a", "b"])
    assert source.rows.x.shards.counts == [N // 2] and np.array_equal(source.rows.x.read(), X[1::2][::-1])


def test_pictures_and_a_test_query(streamed):
    query = "SELECT n, p, label FROM rows WHERE n {} 200"
    source = streamed(sql=query.format("<"), test_sql=query.format(">="), key="n", x="p")
    assert np.array_equal(source.rows.x.read()[:, 0], PICTURES[:200])
    assert np.array_equal(source.test.x.read()[:, 0], PICTURES[200:])


@settings(max_examples=15)  # each asks a database some fifty times
@given(st.integers(1, 40), st.integers(1, 3), st.integers(0, 3), st.integers(0, 5))
def test_epochs_go_on_and_are_shared_as_those_of_files(tmp_path_factory, size, processes, epoch, start):
    path = tmp_path_factory.getbasetemp() / "numbers.db"
    if not path.exists():
        with sqlite3.connect(path) as opened:
            opened.execute("CREATE TABLE numbers (k INTEGER PRIMARY KEY, v REAL)")
            opened.executemany("INSERT INTO numbers VALUES (?, ?)", [(i * i, float(i)) for i in range(N)])
        opened.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aeexp.datasets.formats.query_stream.ROWS", 32)
        patch.setattr("aeexp.datasets.core.stream.BUFFER", 100)
        keys = {"sql": "SELECT * FROM numbers", "database": f"sqlite:///{path}", "key": "k", "x": "v", "y": "none"}
        split = Stream(load(None, streaming=True, **keys).rows)
        whole = list(split.epoch(1, epoch, size))
        assert sorted(torch.cat([batch.x for batch in whole]).ravel().tolist()) == list(range(N))
        parts = [list(split.epoch(1, epoch, size, start, Share(rank, processes))) for rank in range(processes)]
        for number, batch in enumerate(whole[start:]):
            shares = [Share(rank, processes).find(len(batch.x)) for rank in range(processes)]
            own = [part[number].x for part, (first, last) in zip(parts, shares, strict=True) if last > first]
            assert torch.equal(torch.cat(own), batch.x)


def test_whole_numbers_that_become_fractions_are_numbers(streamed, tmp_path):
    with sqlite3.connect(tmp_path / "late.db") as opened:
        opened.execute("CREATE TABLE late (k INTEGER PRIMARY KEY, v, y)")
        opened.executemany(
            "INSERT INTO late VALUES (?, ?, ?)", [(i, i if i < 1500 else i + 0.5, i % 2) for i in range(2000)]
        )
        opened.execute("INSERT INTO late VALUES (9999, 1, 'two')")
    opened.close()
    late = partial(
        streamed, sql="SELECT * FROM late WHERE k < 9000", key="k", x="v", database=f"sqlite:///{tmp_path}/late.db"
    )
    x = late(y="y").rows.x.read()[:, 0]
    assert x[1499] == 1499 and x[1500] == 1500.5
    other = {"database": f"sqlite:///{tmp_path}/late.db", "key": "k", "x": "v", "streaming": True}
    assert "make them one by CAST" in refused(None, "sql=", sql="SELECT * FROM late", y="y", **other)


def test_queries_that_cannot_be_streamed_are_refused(database):
    keys = {"database": database, "x": "a", "streaming": True}
    assert "dataset.key=id" in refused(None, "sql=", sql="SELECT a FROM rows", **keys)
    assert "id ä, a" in refused(None, "key=lost", sql="SELECT * FROM rows", key="lost", **keys)
    assert "two rows have 'c0'" in refused(
        None, "key=label", sql="SELECT * FROM rows WHERE label > ''", key="label", **keys
    )
    assert "36 rows have none" in refused(None, "key=label", sql="SELECT * FROM rows", key="label", **keys)
    assert "has no rows" in refused(None, "sql=", sql="SELECT * FROM rows WHERE n > 999", key="n", **keys)
    assert "no such table" in refused(None, "sql=", sql="SELECT a FROM lost", key="a", **keys)
    refused(None, "sql=", sql="SELECT a, b AS a FROM rows", key="a", **keys)
    gap = "SELECT n, CASE WHEN n = 1 THEN NULL ELSE n END AS m FROM rows"
    assert "row 1 " in refused(None, "x=m", sql=gap, key="n", database=database, x="m", streaming=True)
    assert "dataset.streaming=true" in refused(None, "key=n", sql="SELECT * FROM rows", key="n", database=database)
    refused(None, "key=n", sql=None, key="n", streaming=True)


def test_a_table_that_changes_is_told(streamed, database):
    path = database.removeprefix("sqlite:///")
    source = streamed(sql="SELECT * FROM rows", key="n", x="a", y="none")
    with sqlite3.connect(path) as opened:
        opened.execute("UPDATE rows SET n = n + 1000 WHERE n = 40")
    try:
        with pytest.raises(ValueError, match="shard 1 holds other rows than when it was counted"):
            source.rows.x.read()
    finally:
        with sqlite3.connect(path) as opened:
            opened.execute("UPDATE rows SET n = n - 1000 WHERE n = 1040")

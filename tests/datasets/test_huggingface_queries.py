"""Rows of a query to a database: asked anew by each run, and words for those that do not fit."""

from __future__ import annotations

import sqlite3
import sys

import numpy as np
import pytest
from arrow_files import X, Y, check, load, refused

pytestmark = pytest.mark.usefixtures("arrow_cache")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    pytest.importorskip("sqlalchemy")
    path = tmp_path_factory.mktemp("sql") / "rows ä.db"
    with sqlite3.connect(path) as opened:
        opened.execute("CREATE TABLE rows (a REAL, b REAL, n INTEGER, label TEXT)")
        rows = [(float(a), float(b), i, f"c{y}") for i, (a, b, y) in enumerate(zip(X[:, 0], X[:, 1], Y, strict=True))]
        opened.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", rows)
    opened.close()
    return path


def test_a_query_and_its_test_query(database):
    query = "SELECT a, b, label FROM rows WHERE n {} 15 ORDER BY n"
    keys = {"x": ["a", "b"], "database": f"sqlite:///{database}", "sql": query.format("<")}
    source = check(None, X[:15, :2], streamable=False, test_sql=query.format(">="), **keys)
    assert np.array_equal(source.test.x.read(), X[15:, :2])
    assert source.classes == ("c0", "c1", "c2") and source.rows.y.tolist() == Y[:15].tolist()


def test_a_query_is_asked_anew(tmp_path):
    pytest.importorskip("sqlalchemy")
    for value in (1.0, 2.0):
        opened = sqlite3.connect(tmp_path / "a.db")
        opened.execute("CREATE TABLE IF NOT EXISTS t (a REAL)")
        opened.execute("INSERT INTO t VALUES (?)", [value])
        opened.commit()
        opened.close()
        rows = load(None, sql="SELECT a FROM t", database=f"sqlite:///{tmp_path / 'a.db'}", x="a").rows.x.read()
        assert rows.ravel().tolist() == [1.0, 2.0][: int(value)]


def test_the_cache_of_a_query_ends_with_its_rows(database, arrow_cache):
    source = load(None, sql="SELECT a FROM rows", database=f"sqlite:///{database}", x="a")
    assert list(arrow_cache.glob("aeexp-sql-*"))
    del source
    assert not list(arrow_cache.glob("aeexp-sql-*"))


def test_queries_that_do_not_fit_are_refused(database, tmp_path, arrow_folder):
    uri = f"sqlite:///{database}"
    assert "no such table" in refused(None, "sql=", sql="SELECT a\nFROM lost", database=uri, x="a")
    refused(None, "sql=", sql="SELECT a\nFROM\nrows\nWHERE n > 99", database=uri, x="a")
    assert "lost.db" in refused(None, "database=", sql="SELECT 1", database=f"sqlite:///{tmp_path}/lost.db")
    assert not (tmp_path / "lost.db").exists()
    refused(None, "database=", sql="SELECT 1", database="no uri")
    refused(None, "sql=", sql="SELECT 1")
    refused(arrow_folder, "path=", sql="SELECT 1", database=uri)
    refused(arrow_folder, "database=", database=uri)
    refused(arrow_folder, "test_sql=", test_sql="SELECT 1")
    refused(None, "test=", sql="SELECT 1", database=uri, test="x")
    assert "dataset.key" in refused(None, "sql=", sql="SELECT 1", database=uri, streaming=True)
    assert "a, b, n" in refused(None, "x=c", sql="SELECT * FROM rows", database=uri, x="c")
    query = "SELECT CASE WHEN n = 5 THEN NULL ELSE n END AS m FROM rows"
    assert "row 5 " in refused(None, "x=m", sql=query, database=uri, x="m")


def test_a_missing_driver_library_is_named_with_the_way_to_install_it(database, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    message = refused(None, "database=", sql="SELECT 1", database=f"sqlite:///{database}")
    assert "pip install 'aeexp[huggingface]'" in message

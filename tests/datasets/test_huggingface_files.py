"""Which files and which of their rows the library datasets reads: any places, new files, odd names."""

from __future__ import annotations

import os

import numpy as np
import pytest
from arrow_files import COUNTS, PICTURES, N, X, Y, arrow, check, load, nested, parquet
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("arrow_cache")


def test_the_only_column_of_arrays_is_chosen(tmp_path):
    path = parquet(tmp_path / "x.parquet", a=X[:, 0], name=["t"] * N, v=nested(X), label=Y)
    check(path, X)


@pytest.mark.parametrize("form", ["parquet", "stream", "file"])
def test_a_file_with_new_rows_gives_the_new_rows(tmp_path, form):
    path = tmp_path / ("x.parquet" if form == "parquet" else "x.arrow")
    for x in (X, X[::-1].copy()):  # of one size, and one time
        if form == "parquet":
            parquet(path, v=nested(x))
        else:
            arrow(path, form, v=nested(x))
        os.utime(path, (1e9, 1e9))
        check(path, x)


def test_a_folder_with_a_new_file_gives_its_rows_too(tmp_path):
    parquet(tmp_path / "0.parquet", v=nested(X[:5]))
    check(tmp_path, X[:5])
    parquet(tmp_path / "1.parquet", v=nested(X[5:]))
    check(tmp_path, X)


@pytest.mark.parametrize("form", ["parquet", "stream", "file"])
def test_a_file_without_rows_among_others_changes_nothing(tmp_path, form):
    for number, x in enumerate((X[:0], X[:5], X[:0], X[5:])):
        if form == "parquet":
            parquet(tmp_path / f"{number}.parquet", v=nested(x), label=Y[: len(x)])
        else:
            arrow(tmp_path / f"{number}.arrow", form, v=nested(x), label=Y[: len(x)])
    check(tmp_path, X)


@pytest.mark.parametrize("name", ["a b.parquet", "Größe*.parquet", "{x,y}.parquet", "日本[0].parquet", "a?b#c.parquet"])
def test_any_file_name_will_do(tmp_path, name):
    check(parquet(tmp_path / "o r d" / name, v=nested(X)), X)
    check(tmp_path / "o r d", X)


# ---------------------------------------------------------------- any places


@pytest.fixture(scope="module")
def mapped(arrow_folder):
    return {name: load(arrow_folder, x=name).rows.x for name in ("v", "img")}


@pytest.fixture(scope="module")
def streamed(arrow_folder):
    return {name: load(arrow_folder, x=name, streaming=True).rows.x.shards for name in ("v", "img")}


ROWS = {"v": X, "img": PICTURES[:, None]}


@given(st.sampled_from(["v", "img"]), st.lists(st.integers(0, N - 1), max_size=40))
def test_any_index_gives_those_rows(mapped, name, index):
    index = np.array(index, np.int64)
    rows = mapped[name][index]
    assert rows.dtype == ROWS[name].dtype and np.array_equal(rows, ROWS[name][index])


@settings(max_examples=25)
@given(
    st.sampled_from(["v", "img"]),
    st.integers(0, 2).flatmap(lambda s: st.tuples(st.just(s), st.sets(st.integers(0, COUNTS[s] - 1)))),
)
def test_any_ascending_places_of_a_shard_give_those_rows(streamed, name, wanted):
    shard, places = wanted
    places = np.array(sorted(places), np.int64)
    rows = list(streamed[name].read(shard, places))
    expected = ROWS[name][sum(COUNTS[:shard]) + places]
    assert len(rows) == len(places)
    assert all(np.array_equal(x, row) for x, row in zip(rows, expected, strict=True))


@pytest.mark.parametrize("streaming", [False, True])
def test_more_rows_than_are_read_at_once(tmp_path, streaming):
    x = np.arange(3000.0, dtype=np.float32).reshape(1500, 2)
    path = parquet(tmp_path / "x.parquet", v=nested(x))
    assert np.array_equal(load(path, streaming=streaming).rows.x.read(), x)
    places = np.array([0, 3, 511, 512, 513, 1023, 1024, 1499])
    rows = load(path, streaming=streaming).rows.x.take(places)
    assert np.array_equal(rows.read(), x[places])

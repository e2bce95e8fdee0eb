"""Which files and which of their rows the library datasets reads: any places, new files, odd names."""

from __future__ import annotations

import os

import numpy as np
import pytest
from arrow_files import COUNTS, PICTURES, N, X, Y, arrow, check, datasets, load, nested, parquet, refused
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
    rows = [row for block in streamed[name].read(shard, places) for row in block]
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


@pytest.mark.parametrize("missing", ["drop", "mean", "median", "most_frequent"])
def test_gaps_follow_the_rules_of_csv(tmp_path, arrow_cache, missing):
    from aeexp.datasets.formats.csv import csv

    columns = {"a": [1.0, None, 3.0, 3.0], "b": [2, 4, None, 2], "t": ["u", "v", "u", "u"], "label": [0, 1, 1, None]}
    path = parquet(tmp_path / "t.parquet", **columns)
    one = load(path, x=["a", "b", "t"], missing=missing)
    other = csv.load(path=str(path), label="label", missing=missing)
    rows = [source.fit(source.rows.x)(source.rows.x) for source in (one, other)]
    assert np.array_equal(*rows) and one.rows.y.tolist() == other.rows.y.tolist()
    assert one.classes == other.classes and one.continuous.tolist() == [True, True, *[False] * (rows[0].shape[1] - 2)]


def test_gaps_are_told_with_the_way_out_and_fillings_need_columns(tmp_path, arrow_cache):
    path = parquet(tmp_path / "t.parquet", a=[1.0, None], b=[2.0, 3.0])
    assert "dataset.missing=drop, mean, median or most_frequent fills" in refused(path, "x=a,b", x=["a", "b"])
    assert "x=null is pictures or arrays" in refused(path, "missing=mean", missing="mean")
    assert "streaming=true reads rows" in refused(path, "missing=mean", missing="mean", x=["a"], streaming=True)
    assert "no such column" in refused(path, "x=q", missing="mean", x=["q"])


def test_names_of_classes_are_kept_where_gaps_are_filled(tmp_path, arrow_cache):
    data = datasets.Dataset.from_dict({"a": [-1.0, None, 3.0], "label": [2, 0, -1]})
    feature = datasets.ClassLabel(names=["yes", "no", "maybe"])
    data.cast(datasets.Features(a=datasets.Value("float64"), label=feature)).save_to_disk(tmp_path / "d")
    source = load(tmp_path / "d", x=["a"], missing="mean")
    assert source.classes == ("yes", "no", "maybe") and source.rows.y.tolist() == [2, 0, -1]
    assert source.fit(source.rows.x)(source.rows.x).tolist() == [[-1], [1], [3]]

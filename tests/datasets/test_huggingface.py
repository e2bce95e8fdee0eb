"""Rows by the library datasets: as written from every format, at any places, and words for what is damaged."""

from __future__ import annotations

import io
import os
import sqlite3
import sys
import tempfile
from importlib.util import find_spec

os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="aeexp-hf-")  # before the library is imported

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aeexp.datasets.core.records import StoredArray, StreamedArray
from aeexp.datasets.core.splits import Official
from aeexp.datasets.formats.hf import import_datasets
from aeexp.datasets.formats.huggingface import huggingface
from aeexp.errors import UsageError

if find_spec("datasets") is None:
    pytest.skip("needs the library datasets", allow_module_level=True)
datasets = import_datasets()
datasets.disable_progress_bars()

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

N = 23
COUNTS = (9, 10, 4)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 6)).astype(np.float32)
PICTURES = RNG.integers(0, 256, (N, 5, 4), np.uint8)
Y = np.arange(N) * 7 % 3


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Also where another test imported the library before this file set HF_HOME."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield


def load(path, **keys):
    return huggingface.load(path=path if path is None else str(path), **keys)


def png(x: np.ndarray) -> bytes:
    Image.fromarray(x).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


def nested(x: np.ndarray, fixed: bool = False) -> pa.Array:
    """Rows as lists in lists."""
    column = pa.array(x.ravel())
    for length in x.shape[:0:-1]:
        if fixed:
            column = pa.FixedSizeListArray.from_arrays(column, length)
        else:
            ends = np.arange(0, len(column) + 1, length, dtype=np.int32)
            column = pa.ListArray.from_arrays(pa.array(ends), column)
    return column


def parquet(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=4)
    return path


def arrow(path, form, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as file, getattr(pa.ipc, f"new_{form}")(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    return path


def parts(*arrays):
    """The arrays cut into files of COUNTS rows."""
    ends = np.cumsum(COUNTS)[:-1]
    return zip(*(np.split(array, ends) for array in arrays), strict=True)


def check(path, rows: np.ndarray, streamable: bool = True, **keys):
    """Both ways of reading give these rows; returns the map-style source."""
    source = load(path, **keys)
    assert isinstance(source.rows.x, StoredArray)
    assert source.rows.x.dtype == rows.dtype and source.scale == (1 / 255 if rows.dtype == np.uint8 else 1)
    assert np.array_equal(source.rows.x.read(), rows)
    if streamable:
        streamed = load(path, streaming=True, **keys)
        assert isinstance(streamed.rows.x, StreamedArray)
        assert streamed.classes == source.classes and streamed.scale == source.scale
        for one, other in ((streamed.rows, source.rows), (streamed.test, source.test)):
            assert (one is None) == (other is None)
            if one is not None:
                assert one.x.dtype == other.x.dtype and np.array_equal(one.x.read(), other.x.read())
                assert (one.y is None) == (other.y is None) and (one.y is None or (one.y == other.y).all())
    return source


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three Parquet files: a vector, a picture, two numbers, labels as integers and texts."""
    folder = tmp_path_factory.mktemp("hf") / "zwei Wörter [1]"
    for number, (x, p, y) in enumerate(parts(X, PICTURES, Y)):
        columns = {"v": nested(x), "a": x[:, 0], "b": x[:, 1].astype(np.float64), "label": y}
        parquet(folder / f"{number}.parquet", **columns, img=[png(one) for one in p], text=[f"ä{n}" for n in y])
    return folder


# ---------------------------------------------------------------- what fits


@pytest.mark.parametrize("form", ["parquet", "new_stream", "new_file"])
@pytest.mark.parametrize("fixed", [False, True], ids=["lists", "fixed lists"])
@pytest.mark.parametrize(
    ("kind", "shape"), [("f4", (6,)), ("f8", (2, 3)), ("u1", (3, 2, 2)), ("i2", (1, 3, 4)), ("?", (5,)), ("f2", (4,))]
)
def test_lists_of_any_depth_and_number_type_come_back_as_written(tmp_path, form, fixed, kind, shape):
    x = RNG.integers(0, 2 if kind == "?" else 200, (N, *shape)).astype(kind)  # exact in float32
    for number, (x_part, y) in enumerate(parts(x, Y)):
        columns = {"v": nested(x_part, fixed), "label": y}
        if form == "parquet":
            parquet(tmp_path / f"{number}.parquet", **columns)
        else:
            arrow(tmp_path / f"{number}.arrow", form.removeprefix("new_"), **columns)
    rows = x.reshape(N, 1, *shape) if len(shape) == 2 else x
    source = check(tmp_path, rows if kind == "u1" else rows.astype(np.float32))
    assert source.rows.y.tolist() == Y.tolist() and source.rows.y.dtype == np.int64


@pytest.mark.parametrize("saved", [False, True], ids=["parquet", "disk"])
@pytest.mark.parametrize("shape", [(5, 4), (3, 5, 4)])
def test_array_features_come_back_as_written(tmp_path, saved, shape):
    x = RNG.normal(size=(N, *shape)).astype(np.float32)
    kind = {2: datasets.Array2D, 3: datasets.Array3D}[len(shape)]
    features = datasets.Features({"x": kind(shape, "float32")})
    made = datasets.Dataset.from_dict({"x": list(x)}, features=features)
    path = tmp_path / "x.parquet"
    if saved:
        made.save_to_disk(path := tmp_path / "x", num_shards=3)
    else:
        made.to_parquet(path)
    assert check(path, x.reshape(N, -1, 5, 4)).rows.y is None


def test_pictures_by_bytes_and_by_the_image_feature(tmp_path, folder):
    check(folder, PICTURES[:, None], x="img")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["z", "b", "a"])})
    pictures = [{"bytes": png(x), "path": None} for x in PICTURES]
    made = datasets.Dataset.from_dict({"image": pictures, "label": Y}, features=features)
    made.to_parquet(tmp_path / "p.parquet")
    made.save_to_disk(tmp_path / "disk")
    for path in (tmp_path / "p.parquet", tmp_path / "disk"):
        source = check(path, PICTURES[:, None])
        assert source.classes == ("z", "b", "a") and source.rows.y.tolist() == Y.tolist()
    color = check(tmp_path / "p.parquet", np.repeat(PICTURES[:, None], 3, 1), mode="color")
    assert color.rows.x.shape == (N, 3, 5, 4)
    assert load(tmp_path / "p.parquet", size=[3, 2]).rows.x.shape == (N, 1, 3, 2)


def test_a_folder_of_pictures_has_its_folders_as_classes(tmp_path):
    expected = []
    for name in ("bär", "ant [1]"):
        (tmp_path / "a b" / name).mkdir(parents=True)
    for number, x in enumerate(PICTURES[:7]):
        name = ("ant [1]", "bär")[number % 2]
        (tmp_path / "a b" / name / f"{number}.png").write_bytes(png(x))
    source = load(tmp_path / "a b")
    assert source.classes == ("ant [1]", "bär")
    for x, y in zip(source.rows.x.read(), source.rows.y, strict=True):
        expected.append(next(n for n, picture in enumerate(PICTURES[:7]) if np.array_equal(picture, x[0])))
        assert expected[-1] % 2 == y
    assert sorted(expected) == list(range(7))
    refused(tmp_path / "a b", "streaming=true", streaming=True)


def test_saved_train_and_test_are_rows_and_official_test_set(tmp_path):
    made = {"train": (X[:14], Y[:14]), "test": (X[14:], Y[14:])}
    made = {name: datasets.Dataset.from_dict({"v": x, "label": y}) for name, (x, y) in made.items()}
    datasets.DatasetDict(made).save_to_disk(tmp_path / "both")
    source = check(tmp_path / "both", X[:14])
    assert np.array_equal(source.test.x.read(), X[14:]) and source.test.y.tolist() == Y[14:].tolist()
    source = check(tmp_path / "both" / "test", X[14:])
    assert source.test is None
    datasets.DatasetDict({"other": made["test"]}).save_to_disk(tmp_path / "one")
    assert "other" in refused(tmp_path / "one")


def test_train_and_test_files_share_their_class_numbers(tmp_path):
    train = parquet(tmp_path / "a.parquet", v=nested(X[:4]), y=["b", "d", None, "b"])
    test = parquet(tmp_path / "t.parquet", v=nested(X[4:7]), y=["a", "d", "b"])
    source = check(train, X[:4], test=str(test))
    assert source.classes == ("a", "b", "d")
    assert source.rows.y.tolist() == [1, 2, -1, 1] and source.test.y.tolist() == [0, 2, 1]
    assert np.array_equal(source.test.x.read(), X[4:7])


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        (["cat", "ant", None, "cat"], ("ant", "cat"), [1, 0, -1, 1]),
        ([100, 7, 9, -1], ("7", "9", "100"), [2, 0, 1, -1]),
        ([None, 7, None, 9], ("7", "9"), [-1, 0, -1, 1]),
        ([True, False, True, True], ("False", "True"), [1, 0, 1, 1]),
        ([None] * 4, (), [-1] * 4),
    ],
    ids=["texts", "integers", "some", "bools", "none"],
)
def test_labels_are_numbered_in_sorted_order_and_null_is_unlabelled(tmp_path, labels, classes, numbers):
    path = parquet(tmp_path / "x.parquet", v=nested(X[:4]), kind=labels)
    source = check(path, X[:4], y="kind")
    assert source.classes == classes and source.rows.y.tolist() == numbers


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("top", [1, 2])
def test_bytes_mean_parts_of_255_unless_all_are_0_or_1(tmp_path, top, streaming):
    x = (PICTURES % 2).astype(np.uint8)
    path = parquet(tmp_path / "x.parquet", v=nested(x))
    x[-1, 0, 0] = top
    test = parquet(tmp_path / "t.parquet", v=nested(x))
    source = load(path, test=str(test), streaming=streaming)
    assert source.scale == (1 if top == 1 else 1 / 255)


def test_a_label_is_no_feature_and_a_measurement_no_label(folder):
    message = refused(folder, "y=label: the label is also a feature", x=["a", "label"], y="label")
    assert "take it out of dataset.x, or set dataset.y=none" in message
    assert "are no classes; leave them out (dataset.y=none)" in refused(folder, "y: 23 different labels", x="v", y="a")


def test_labels_by_texts_and_none_at_all(folder):
    assert check(folder, X, x="v", y="text").classes == ("ä0", "ä1", "ä2")
    source = check(folder, X, x="v", y="none")
    assert source.rows.y is None and source.classes == ()


def test_numbers_side_by_side_and_one_alone(folder):
    check(folder, X[:, :2], x=["a", "b"])
    check(folder, X[:, 1::-1], x=["b", "a"])
    check(folder, X[:, :1], x="a")
    check(folder, np.stack([Y, X[:, 0]], 1).astype(np.float32), x=["label", "a"], y="text")


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


def test_the_cache_of_a_query_ends_with_its_rows(database):
    folder = datasets.config.HF_DATASETS_CACHE
    source = load(None, sql="SELECT a FROM rows", database=f"sqlite:///{database}", x="a")
    assert list(folder.glob("aeexp-sql-*"))
    del source
    assert not list(folder.glob("aeexp-sql-*"))


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
def mapped(folder):
    return {name: load(folder, x=name).rows.x for name in ("v", "img")}


@pytest.fixture(scope="module")
def streamed(folder):
    return {name: load(folder, x=name, streaming=True).rows.x.shards for name in ("v", "img")}


ROWS = {"v": X, "img": PICTURES[:, None]}


@given(st.sampled_from(["v", "img"]), st.lists(st.integers(0, N - 1), max_size=40))
def test_any_index_gives_those_rows(mapped, name, index):
    index = np.array(index, np.int64)
    found = mapped[name][index]
    assert found.dtype == ROWS[name].dtype and np.array_equal(found, ROWS[name][index])


@settings(max_examples=25)
@given(
    st.sampled_from(["v", "img"]),
    st.integers(0, 2).flatmap(lambda s: st.tuples(st.just(s), st.sets(st.integers(0, COUNTS[s] - 1)))),
)
def test_any_ascending_places_of_a_shard_give_those_rows(streamed, name, wanted):
    shard, places = wanted
    places = np.array(sorted(places), np.int64)
    found = list(streamed[name].read(shard, places))
    expected = ROWS[name][sum(COUNTS[:shard]) + places]
    assert len(found) == len(places)
    assert all(np.array_equal(x, row) for x, row in zip(found, expected, strict=True))


@pytest.mark.parametrize("streaming", [False, True])
def test_more_rows_than_are_read_at_once(tmp_path, streaming):
    x = np.arange(3000.0, dtype=np.float32).reshape(1500, 2)
    path = parquet(tmp_path / "x.parquet", v=nested(x))
    assert np.array_equal(load(path, streaming=streaming).rows.x.read(), x)
    places = np.array([0, 3, 511, 512, 513, 1023, 1024, 1499])
    rows = load(path, streaming=streaming).rows.x.take(places)
    assert np.array_equal(rows.read(), x[places])


def test_the_whole_command_takes_it(folder, tmp_path):
    test = parquet(tmp_path / "t.parquet", v=nested(X), label=Y)
    data = huggingface(name="huggingface", split=Official(0.2), path=str(folder), x="v", test=str(test))
    assert len(data["train"]) + len(data["val"]) == N and np.array_equal(data["test"].x.read(), X)


# ---------------------------------------------------------------- what does not


def refused(path, start="path=", **keys) -> str:
    with pytest.raises(UsageError) as error:
        source = load(path, **keys)
        source.rows.x.read()
    message = str(error.value)
    assert message.removeprefix("dataset.").startswith(start) and len(message.splitlines()) <= 2, message
    return message


BOTH = pytest.mark.parametrize("streaming", [False, True])


@BOTH
def test_the_choice_of_columns_is_explained(folder, tmp_path, streaming):
    message = refused(folder, "x=null", streaming=streaming)
    assert all(name in message for name in ("v (list", "img (binary)", "a (float)", "b (double)", "text (string)"))
    path = parquet(tmp_path / "x.parquet", a=X[:, 0], label=Y)
    assert "no column" in refused(path, "x=null", streaming=streaming)
    assert "v, a, b" in refused(folder, "x=w", x="w", streaming=streaming)
    assert "v, a, b" in refused(folder, "y=w", x="v", y="w", streaming=streaming)
    assert "string" in refused(folder, "x=text", x="text", streaming=streaming)
    assert "list" in refused(folder, "x=v", x=["a", "v"], streaming=streaming)
    refused(folder, "x=", x=["a", "a"], streaming=streaming)
    refused(folder, "x=", x=[], streaming=streaming)
    assert "list" in refused(folder, "y=v", x="img", y="v", streaming=streaming)
    refused(folder, "size=", x="v", size=[2, 2], streaming=streaming)


RAGGED = [*X[:11].tolist(), [1.0, 2.0], *X[12:].tolist()]
HOLE = [*X[:11].tolist(), None, *X[12:].tolist()]
INNER = [*X[:11].tolist(), [1.0, None, *[0.0] * 4], *X[12:].tolist()]
DEEP = [[[1.0, 2.0], [3.0, 4.0]]] * 11 + [[[1.0, 2.0], [3.0]]] + [[[1.0, 2.0], [3.0, 4.0]]] * (N - 12)
BROKEN = [*map(png, PICTURES[:11]), b"no picture", *map(png, PICTURES[12:])]
UNEQUAL = [*map(png, PICTURES[:11]), png(PICTURES[0][:3]), *map(png, PICTURES[12:])]
LOST = [*map(png, PICTURES[:11]), None, *map(png, PICTURES[12:])]
NUMBER = [*X[:11, 0].tolist(), None, *X[12:, 0].tolist()]


@BOTH
@pytest.mark.parametrize(
    "column",
    [RAGGED, HOLE, INNER, DEEP, BROKEN, UNEQUAL, LOST, NUMBER],
    ids=["ragged", "null row", "null in a row", "ragged inside", "no picture", "unequal", "no bytes", "null number"],
)
def test_a_row_that_does_not_fit_is_named(tmp_path, column, streaming):
    path = parquet(tmp_path / "x.parquet", v=column)
    assert "row 11 " in refused(path, "x=v: ", x="v", streaming=streaming)


@BOTH
def test_nan_and_infinity_are_refused_with_their_row(tmp_path, streaming):
    for value in (np.nan, 1e300):  # the second is infinity in float32
        x = X.astype(np.float64)
        x[13, 2] = value
        assert "row 13 " in refused(parquet(tmp_path / "x.parquet", v=nested(x)), streaming=streaming)


@BOTH
def test_five_axes_and_empty_lists_are_refused(tmp_path, streaming):
    deep = parquet(tmp_path / "d.parquet", v=nested(np.ones((4, 1, 1, 2, 2))))
    assert "(1, 1, 2, 2)" in refused(deep, "x=v", streaming=streaming)
    refused(parquet(tmp_path / "e.parquet", v=pa.array([[]] * 3, pa.list_(pa.float32()))), "x=v", streaming=streaming)
    nothing = parquet(tmp_path / "n.parquet", v=pa.array([], pa.list_(pa.float32())))
    assert "no rows" in refused(nothing, streaming=streaming)


@BOTH
@pytest.mark.parametrize("form", ["parquet", "stream", "file", "disk"])
@pytest.mark.parametrize("share", [0, 0.3, 0.9, -9])
def test_a_file_that_lost_its_end_is_refused_by_name(tmp_path, form, share, streaming):
    if form == "disk":
        datasets.Dataset.from_dict({"v": X, "label": Y}).save_to_disk(tmp_path / "d", num_shards=2)
        path, file = tmp_path / "d", tmp_path / "d" / "data-00001-of-00002.arrow"
    elif form == "parquet":
        path = file = parquet(tmp_path / "d.parquet", v=nested(X), label=Y)
    else:
        path = file = arrow(tmp_path / "d.arrow", form, v=nested(X), label=Y)
    content = file.read_bytes()
    file.write_bytes(content[:share] if share < 0 else content[: int(share * len(content))])
    assert str(path) in refused(path, streaming=streaming)


@BOTH
@settings(max_examples=40)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255), form=st.sampled_from(["parquet", "stream"]))
def test_a_changed_byte_is_refused_or_keeps_the_number_of_rows(tmp_path_factory, streaming, place, byte, form):
    """Neither format has checksums here: values may change unseen, but nothing else is raised and nothing crashes."""
    path = tmp_path_factory.getbasetemp() / ("flipped." + ("parquet" if form == "parquet" else "arrow"))
    made = parquet(path, v=nested(X), label=Y) if form == "parquet" else arrow(path, form, v=nested(X), label=Y)
    content = bytearray(made.read_bytes())
    content[int(place * len(content))] ^= byte
    path.write_bytes(content)
    try:
        x = load(path, streaming=streaming).rows.x.read()
    except UsageError as error:
        assert 1 <= len(str(error).splitlines()) <= 2 and "=" in str(error).split()[0]
    else:
        assert len(x) == N


def test_paths_formats_and_keys_that_do_not_fit_are_refused(tmp_path, folder):
    assert "no such file" in refused(tmp_path / "none.parquet")
    refused(tmp_path)
    refused(None, "path is empty")
    refused("", "path is empty")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    assert "format=" in refused(tmp_path / "x.csv")
    refused(tmp_path / "x.csv", format="parquet")
    refused(folder, format="arrow")
    refused(folder, format="disk")
    refused(folder / "0.parquet", "format=imagefolder", format="imagefolder")
    (tmp_path / "m").mkdir()
    parquet(tmp_path / "m" / "x.parquet", v=nested(X))
    arrow(tmp_path / "m" / "x.arrow", "stream", v=nested(X))
    refused(tmp_path / "m", "format=auto")
    refused(folder, "size=", x="img", size=[0, 3])
    refused(folder, "test=", x="v", test=str(tmp_path / "none"))
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "readme.txt").write_text("no picture")
    refused(tmp_path / "words")


@BOTH
def test_files_and_parts_unlike_the_first_are_refused(tmp_path, folder, streaming):
    other = parquet(tmp_path / "0.parquet", v=nested(X[:, :2]), label=Y)
    assert "(2,)" in refused(folder, "test=", x="v", test=str(other), streaming=streaming)
    parquet(tmp_path / "1.parquet", w=nested(X), label=Y)
    refused(tmp_path, x="v", streaming=streaming)


def test_queries_that_do_not_fit_are_refused(database, tmp_path, folder):
    uri = f"sqlite:///{database}"
    assert "no such table" in refused(None, "sql=", sql="SELECT a\nFROM lost", database=uri, x="a")
    refused(None, "sql=", sql="SELECT a\nFROM\nrows\nWHERE n > 99", database=uri, x="a")
    assert "lost.db" in refused(None, "database=", sql="SELECT 1", database=f"sqlite:///{tmp_path}/lost.db")
    assert not (tmp_path / "lost.db").exists()
    refused(None, "database=", sql="SELECT 1", database="no uri")
    refused(None, "sql=", sql="SELECT 1")
    refused(folder, "path=", sql="SELECT 1", database=uri)
    refused(folder, "database=", database=uri)
    refused(folder, "test_sql=", test_sql="SELECT 1")
    refused(None, "test=", sql="SELECT 1", database=uri, test="x")
    refused(None, "streaming=", sql="SELECT 1", database=uri, streaming=True)
    assert "a, b, n" in refused(None, "x=c", sql="SELECT * FROM rows", database=uri, x="c")
    query = "SELECT CASE WHEN n = 5 THEN NULL ELSE n END AS m FROM rows"
    assert "row 5 " in refused(None, "x=m", sql=query, database=uri, x="m")


def test_the_network_is_off_whoever_imported_the_library_before(monkeypatch):
    from huggingface_hub import constants, is_offline_mode

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    import_datasets()
    assert datasets.config.HF_HUB_OFFLINE and is_offline_mode()


def test_a_missing_library_is_named_with_the_way_to_install_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install 'aeexp[huggingface]'" in refused(folder, "dataset=huggingface", x="v")


def test_a_missing_driver_library_is_named_with_the_way_to_install_it(database, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    message = refused(None, "database=", sql="SELECT 1", database=f"sqlite:///{database}")
    assert "pip install 'aeexp[huggingface]'" in message

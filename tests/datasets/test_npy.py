"""Arrays beyond memory: rows stay in their files, are what was written when they are read, and damage is told."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeexp.datasets.core.records import StoredArray
from aeexp.datasets.core.splits import Fractions, Official
from aeexp.datasets.formats.npy import npy
from aeexp.errors import UsageError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = np.arange(40) % 4


@pytest.fixture(scope="module")
def save(tmp_path_factory):
    """save(name, array): its path, in a folder with a space and an umlaut."""
    folder = tmp_path_factory.mktemp("npy") / "zwei Wörter"
    folder.mkdir()

    def write(name, array):
        path = folder / f"{name}.npy"
        path.unlink(missing_ok=True)  # another file, not the bytes under a map that is still open
        np.save(path, array)
        return str(path)

    return write


def load(path, **keys):
    return npy.load(str(path), **keys)


def refused(path, named=None, **keys) -> str:
    with pytest.raises(UsageError) as error:
        load(path, **keys)
    message = str(error.value)
    assert str(named or path) in message and 1 <= len(message.splitlines()) <= 2
    return message


# ---------------------------------------------------------------- what fits

TYPES = [np.uint8, np.float32, np.float64, np.float16, np.int8, np.uint16, np.int64, np.bool_, ">f4", ">i2"]


@given(
    st.sampled_from(TYPES),
    st.sampled_from([(6,), (4, 5), (2, 3, 5), (3, 4, 5), (5, 4, 3), (5, 2, 1)]),
    st.integers(1, 20),
    st.sampled_from("CF"),
)
def test_rows_of_any_type_layout_and_order_are_read_as_written(save, kind, shape, n, order):
    x = RNG.integers(0, 2 if kind is np.bool_ else 100, (n, *shape)).astype(kind, order=order)  # exact in every type
    source = load(save("x", x))
    rows = source.rows.x
    expected = x if x.ndim == 2 else x[:, None] if x.ndim == 3 else np.moveaxis(x, -1, 1) if shape[0] == 5 else x
    assert isinstance(rows, StoredArray) and rows.shape == expected.shape
    assert rows.dtype == (np.uint8 if kind in (np.uint8, np.bool_) else np.float32)
    index = RNG.integers(0, n, 7)
    for values, wanted in ((rows[index], expected[index]), (rows.read(3), expected), (rows[1:5], expected[1:5])):
        assert np.array_equal(values, wanted) and values.dtype == rows.dtype


def test_labels_in_a_column_are_labels_and_measurements_are_none(save):
    path = save("x", X)
    assert load(path, labels=save("y", Y[:, None])).rows.y.tolist() == Y.tolist()
    assert "y.argmax(1)" in refused(path, labels=save("y", np.eye(4)[Y]), named="y.npy")
    fractions = save("y", np.arange(40) / 7)
    message = refused(path, labels=fractions, named="y.npy")
    assert message.startswith("labels=") and f"\"dataset.target='{fractions}'\" dataset.labels=null" in message
    assert load(path, target=fractions).rows.response.shape == (40,)


def test_no_row_is_read_before_it_is_asked_for(save):
    path = save("large", np.ones((50_000, 64)))  # 25.6 MB of float64
    tracemalloc.start()
    rows = load(path).rows.x
    rows[np.array([3, 49_999])]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21  # 0.4 MB of row numbers and small change; one copy as float32 would be 12.8 MB


def test_labels_targets_and_attributes_go_with_their_rows_in_both_parts(save):
    masks = RNG.integers(0, 300, (40, 2, 3)).astype(np.int16)
    keys = {"labels": np.array(["b", "a", "c", "ä"])[Y], "target": masks, "attributes": X[:, :2]}
    files = {key: save(key, array[:30]) for key, array in keys.items()}
    files |= {f"test_{key}": save(f"test_{key}", array[30:]) for key, array in keys.items()}
    source = load(save("x", X[:30]), test=save("t", X[30:]), **files)
    for rows, part in ((source.rows, slice(None, 30)), (source.test, slice(30, None))):
        assert np.array_equal(rows.x.read(), X[part]) and np.array_equal(rows.s, X[part, :2])
        assert np.array_equal(rows.target.read(), masks[part]) and rows.target.dtype == np.int64
        assert [source.classes[i] for i in rows.y] == keys["labels"][part].tolist()
        assert type(rows.y) is np.ndarray and type(rows.s) is np.ndarray  # in memory
    assert source.attributes == ("attributes[0]", "attributes[1]")


def test_bytes_mean_parts_of_255_unless_all_are_0_or_1(save):
    bits = RNG.integers(0, 2, (20, 6), dtype=np.uint8)
    assert load(save("x", bits)).scale == 1 and load(save("x", bits == 1)).scale == 1
    assert load(save("x", bits * 255)).scale == 1 / 255
    assert load(save("x", bits), test=save("t", bits * 2)).scale == 1 / 255


def test_the_splits_of_a_run_hold_the_rows_of_the_file(save):
    keys = {"name": "npy", "path": save("x", X), "labels": save("l", Y)}
    data = npy(split=Fractions([8, 1, 1]), **keys)
    for split in data.splits.values():
        batch = split.batch(slice(0, 3))
        assert np.array_equal(batch.x.numpy(), X[split.ids[:3]]) and batch.y.tolist() == Y[split.ids[:3]].tolist()
    data = npy(split=Official(0.2), test=save("t", X[:5]), test_labels=save("tl", Y[:5]), **keys)
    assert np.array_equal(data["test"].batch(slice(None)).x.numpy(), X[:5])


# ---------------------------------------------------------------- what does not


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_told_with_their_row_when_they_are_read(save, kind, bad):
    x = X.astype(kind)
    x[17, 2] = bad
    path = save("bad", x)
    rows = load(path).rows.x
    assert np.array_equal(rows[:17], x[:17].astype(np.float32))
    with pytest.raises(UsageError, match="row 17 holds NaN or infinity") as error:
        rows[np.array([3, 17, 5])]
    assert path in str(error.value)


@pytest.mark.parametrize(
    ("x", "word"),
    [
        (np.ones((0, 6)), "(0, 6)"),
        (np.ones((40, 0)), "(40, 0)"),
        (np.ones(40), "(40,)"),
        (np.ones(()), "()"),
        (np.ones((4, 1, 2, 3, 4)), "(1, 2, 3, 4)"),
        (np.array([["a"]]), "numbers"),
        (np.ones((4, 2), complex), "complex128"),
        (np.zeros((4, 2), [("a", int)]), "numbers"),
        (np.array([[None]]), "not unpickled"),
    ],
)
def test_rows_that_are_none_are_refused(save, x, word):
    path = save("none", x)
    message = refused(path)
    assert message.startswith("path=") and word in message


@pytest.mark.parametrize("option", ["labels", "target", "attributes"])
def test_companions_of_another_length_or_type_are_refused(save, option):
    path, short, objects = save("x", X), save("short", Y[:39]), save("objects", np.array([None] * 40))
    message = refused(path, short, **{option: short})
    assert message.startswith(f"{option}=") and "40 rows" in message
    assert "not unpickled" in refused(path, objects, **{option: objects})
    assert refused(path, "nowhere", **{option: "nowhere"}).startswith(f"{option}=nowhere: no such file")


@pytest.mark.parametrize("option", ["labels", "target", "attributes"])
def test_test_rows_have_the_companions_that_the_training_rows_have(save, option):
    path, y = save("x", X), save("y", Y)
    assert refused(path, y, test=path, **{option: y}).startswith(f"test_{option}=null: ")
    assert refused(path, y, test=path, **{f"test_{option}": y}).startswith(f"test_{option}=")
    assert refused(path, y, **{option: y, f"test_{option}": y}).startswith(f"test_{option}=")


def test_test_rows_unlike_the_others_are_refused(save):
    path = save("x", X)
    for name, other in (("narrow", X[:, :5]), ("bytes", X.astype(np.uint8))):
        test = save(name, other)
        assert refused(path, test, test=test).startswith("test=")
    texts = save("texts", np.array(["a"] * 40))
    message = refused(path, texts, test=path, labels=save("y", Y), test_labels=texts)
    assert message.startswith("test_labels=") and "another kind" in message


def test_no_file_a_folder_and_other_formats_are_refused(tmp_path):
    assert "no such file" in refused(tmp_path / "none.npy")
    refused(tmp_path)
    np.savez(tmp_path / "a.npz", x=X)
    assert "dataset=npz" in refused(tmp_path / "a.npz")
    (tmp_path / "text.npy").write_text("1,2\n")
    assert "numpy.save" in refused(tmp_path / "text.npy")
    (tmp_path / "empty.npy").write_bytes(b"")
    refused(tmp_path / "empty.npy")
    with pytest.raises(UsageError, match="^path is empty"):
        load("")


# ---------------------------------------------------------------- laws: refused in words, or sound


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")

    def write(content: bytes):
        path = folder / "rows.npy"
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        return path

    return write


def content_of(save, x) -> bytes:
    with open(save("good", x), "rb") as file:
        return file.read()


def sound_or_refused(path, **keys) -> None:
    tracemalloc.start()
    try:
        rows = load(path, **keys).rows
        x = rows.x.read()
    except UsageError as error:
        assert path.name in str(error) and 1 <= len(str(error).splitlines()) <= 2
    else:
        assert x.dtype in (np.uint8, np.float32) and x.ndim in (2, 4) and x.size and np.isfinite(x).all()
        assert rows.y is None or (rows.y.dtype == np.int64 and rows.y.shape == (len(x),))
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2**22  # the files have a kilobyte


@settings(max_examples=80)
@given(st.sampled_from([X, Y.reshape(8, 5), X.astype(">f8").reshape(5, 6, 8, 1)]), st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(save, scratch, x, share):
    content = content_of(save, x)
    refused(scratch(content[: int(share * len(content))]))


@settings(max_examples=250)
@given(
    st.sampled_from([X, X > 0, Y.reshape(8, 5), X.astype(">f8").reshape(5, 6, 8, 1)]),
    st.lists(st.tuples(st.integers(0, 80) | st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
)
def test_a_mutated_file_is_refused_or_sound(save, scratch, x, changes):
    content = bytearray(content_of(save, x))
    for place, byte in changes:
        content[place if isinstance(place, int) else int(place * len(content))] = byte
    sound_or_refused(scratch(bytes(content)))


@settings(max_examples=150)
@given(
    st.sampled_from([Y, np.array(["a", "bc", "ä", ""] * 10), np.array([b"a", b"\xff"] * 20), Y * 0.5]),
    st.lists(st.tuples(st.integers(0, 80) | st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
)
def test_mutated_labels_are_refused_or_sound(save, scratch, y, changes):
    content = bytearray(content_of(save, y))
    for place, byte in changes:
        content[place if isinstance(place, int) else int(place * len(content))] = byte
    path = scratch(bytes(content))
    try:
        source = load(save("x", X), labels=str(path))
    except UsageError as error:
        assert path.name in str(error) and 1 <= len(str(error).splitlines()) <= 2
    else:
        assert source.rows.y.shape == (40,) and -1 <= source.rows.y.min() and source.rows.y.max() < len(source.classes)
        "".join(source.classes).encode()


@settings(max_examples=200)
@given(
    st.sampled_from(["<f4", "|u1", "|b1", "<U3", "|O", ">i8", "<M8[s]", "<f16", "nonsense", "|V0", "<U0"]),
    st.lists(st.sampled_from([0, 1, 2, 3, 10**4, 10**9, 2**31, 2**62, 2**64, -1, -6]), max_size=5).map(tuple),
    st.booleans(),
    st.binary(max_size=80),
)
def test_a_header_that_does_not_fit_its_array_is_refused_or_sound(scratch, kind, shape, order, body):
    header = str({"descr": kind, "fortran_order": order, "shape": shape}).encode() + b"\n"
    sound_or_refused(scratch(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body))


@settings(max_examples=100)
@given(st.sampled_from([b"", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x03\x00\x02\x00", b"\x80\x04"]), st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(scratch, magic, content):
    refused(scratch(magic + content))

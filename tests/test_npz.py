"""The user's own arrays: what fits is read as it is, what does not is refused in words, never otherwise."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeexp.data.npz import npz
from aeexp.data.splits import Fractions, Official
from aeexp.errors import UsageError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = np.arange(40) % 4


def read(path, split=None, **keys):
    return npz(name="npz", split=split or Fractions([8, 1, 1]), path=str(path), **keys)


def all_rows(data) -> tuple[np.ndarray, np.ndarray | None]:
    """Values in units and labels of all splits, in the order of the file."""
    ids = np.concatenate([split.ids for split in data.splits.values()])
    x = np.concatenate([split.batch(slice(None)).x.numpy() for split in data.splits.values()])
    y = None if data["train"].y is None else np.concatenate([split.y.numpy() for split in data.splits.values()])
    return x[ids.argsort()], None if y is None else y[ids.argsort()]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """file(x=..., y=..., ...): a path that holds these arrays, overwritten by the next call."""
    path = tmp_path_factory.mktemp("npz") / "data.npz"

    def save(**arrays):
        np.savez(path, **arrays)
        return path

    return save


def refused(path, **keys) -> str:
    """The message: one or two lines that name the file."""
    with pytest.raises(UsageError) as error:
        read(path, **keys)
    message = str(error.value)
    assert path.name in message and 1 <= len(message.splitlines()) <= 2
    return message


# ---------------------------------------------------------------- what fits

TYPES = [np.float32, np.float64, np.float16, np.int8, np.uint16, np.int64, np.bool_, ">f4", ">i2"]


@given(
    st.sampled_from(TYPES),
    st.sampled_from([(6,), (4, 5), (2, 3, 4)]),
    st.integers(3, 30),
    st.sampled_from([None, 0.25, 3.0]),
)
def test_rows_and_pictures_of_any_number_type_come_back_as_written_times_the_scale(file, kind, shape, n, scale):
    x = RNG.integers(0, 2 if kind is np.bool_ else 100, (n, *shape)).astype(kind)  # exact in every type
    data = read(file(x=x), scale=scale)
    folded = x if len(shape) == 1 else x.reshape(n, -1, *shape[-2:])
    values, labels = all_rows(data)
    assert np.array_equal(values, folded.astype(np.float64) * (scale or 1))  # products of small integers: exact
    assert labels is None and data["train"].y is None


def test_bytes_stay_bytes_and_mean_parts_of_255(file):
    x = RNG.integers(0, 256, (20, 4, 5), dtype=np.uint8)
    data = read(file(x=x))
    assert data["train"].x.numpy().dtype == np.uint8
    np.testing.assert_allclose(all_rows(data)[0][:, 0], x / 255, rtol=2**-22)  # two float32 roundings


def test_shape_folds_flat_rows_in_the_order_of_memory(file):
    values, _ = all_rows(read(file(x=X), shape=[1, 2, 3]))
    assert np.array_equal(values, X.reshape(40, 1, 2, 3))
    assert np.array_equal(all_rows(read(file(x=X), shape=[2, 3]))[0], X.reshape(40, 1, 2, 3))


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        (np.array(["cat", "ant", "bee", "ant"] * 10), ("ant", "bee", "cat"), [2, 0, 1, 0] * 10),
        (np.array(["Äpfel", "日本", "a b", "Äpfel"] * 10), ("a b", "Äpfel", "日本"), [1, 2, 0, 1] * 10),
        (np.array([7, 3, 3, 100] * 10), ("3", "7", "100"), [1, 0, 0, 2] * 10),
        (np.array([7, -1, -5, 3] * 10), ("3", "7"), [1, -1, -1, 0] * 10),
        (np.array([-1] * 40), (), [-1] * 40),
        (np.array([True, False] * 20), ("False", "True"), [1, 0] * 20),
        (np.array([1.0, 0.0, 2.0, -1.0] * 10), ("0.0", "1.0", "2.0"), [1, 0, 2, -1] * 10),
        (np.array([2, 9] * 20, np.uint8), ("2", "9"), [0, 1] * 20),
    ],
    ids=["text", "umlauts", "gaps", "unlabelled", "none labelled", "bool", "float", "bytes"],
)
def test_labels_are_numbered_in_sorted_order_and_negative_ones_are_unlabelled(file, labels, classes, numbers):
    data = read(file(x=X, y=labels))
    assert data.classes == classes
    assert all_rows(data)[1].tolist() == numbers


def test_train_and_test_labels_share_their_numbers(file):
    path = file(a=X[:30], la=np.array(["b", "d"] * 15), b=X[30:], lb=np.array(["a", "d"] * 5))
    data = read(path, Official(0.2), x="a", y="la", x_test="b", y_test="lb")
    assert data.classes == ("a", "b", "d")
    assert np.array_equal(data["test"].y.numpy(), [0, 2] * 5)
    assert np.array_equal(data["test"].x.numpy(), X[30:])
    assert set(data["train"].y.tolist()) == {1, 2}


def test_labels_may_be_absent_or_left_out(file):
    path = file(x=X, y=Y)
    assert read(path)["train"].y is not None
    assert read(path, y=None)["train"].y is None
    assert read(file(x=X))["train"].y is None


@pytest.mark.parametrize("name", ["with space.npz", "Größe.npz", "日本.npz", "a=b,c[1].npz"])
def test_any_file_name_will_do(tmp_path, name):
    folder = tmp_path / "two words"
    folder.mkdir()
    np.savez(folder / name, x=X)
    assert np.array_equal(all_rows(read(folder / name))[0], X)


def test_usps_has_its_published_counts_and_intensities_from_zero_to_one(shared_data):
    data = read(
        shared_data / "usps" / "usps.npz", Official(0.1),
        x="x_train", y="y_train", x_test="x_test", y_test="y_test", scale=1 / 2000,
    )  # fmt: skip
    assert [len(data[name]) for name in ("train", "val", "test")] == [7291 - 729, 729, 2007]
    assert data.shape == (1, 16, 16) and data.classes == tuple("0123456789")
    assert data.limits == (0.0, 1.0)
    counts = data["train"].y.bincount() + data["val"].y.bincount()
    assert counts.tolist() == [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
    assert data["test"].y.bincount().tolist() == [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]


# ---------------------------------------------------------------- what does not


@given(row=st.integers(0, 39), column=st.integers(0, 5), bad=st.sampled_from([np.nan, np.inf, -np.inf, 1e39]))
def test_a_value_that_is_no_float32_number_is_refused_with_its_key_and_row(file, row, column, bad):
    x = X.astype(np.float64)
    x[row, column] = bad
    x[-1, 0] = np.nan
    message = refused(file(pixels=x), x="pixels")
    assert message.startswith("x=pixels: ") and f" row {row} " in message
    assert f"({len({row, 39})} such rows)" in message


@given(st.integers(0, 4).filter(lambda n: n != 1), st.integers(0, 3))
def test_rows_of_a_wrong_number_of_dimensions_are_refused(file, extra, flat):
    shape = () if extra == 0 and flat == 0 else (40,) if extra == 0 else (40, *[2] * (extra + 2))
    message = refused(file(x=np.ones(shape)))
    assert message.startswith("x=x: ") and str(shape) in message or str(shape[1:]) in message


@given(st.sampled_from([(0, 6), (40, 0), (0,), (0, 0), (40, 0, 5)]))
def test_empty_arrays_are_refused_with_their_shape(file, shape):
    message = refused(file(x=np.ones(shape)))
    assert message.startswith("x=x: ") and str(shape) in message


@pytest.mark.parametrize(
    "x",
    [
        np.array([["a", "b"]] * 10),
        np.array([[b"a", b"b"]] * 10),
        np.ones((10, 2), complex),
        np.zeros((10, 2), "datetime64[s]"),
        np.zeros((10, 2), [("a", int), ("b", float)]),
    ],
    ids=["text", "bytes", "complex", "dates", "records"],
)
def test_arrays_of_anything_but_numbers_are_refused_with_their_type(file, x):
    message = refused(file(x=x))
    assert message.startswith("x=x: ") and str(x.dtype) in message


@pytest.mark.parametrize("key", ["x", "y", "other"])
def test_objects_are_never_unpickled(tmp_path, key, monkeypatch):
    bomb = type("Bomb", (), {"__reduce__": lambda self: (pytest.fail, ("was unpickled",))})
    content = {"x": X, "y": Y, key: np.array([bomb()] * 40, object)}
    np.savez(tmp_path / "o.npz", **content)
    assert "nothing is unpickled" in refused(tmp_path / "o.npz")


@given(n=st.integers(0, 60), extra=st.booleans())
def test_labels_that_do_not_match_the_rows_are_refused(file, n, extra):
    labels = np.zeros((n, 1) if extra else n, int)
    if labels.shape == (40,):
        return
    message = refused(file(x=X, l=labels), y="l")
    assert message.startswith("y=l: ") and str(labels.shape) in message and "40 rows" in message


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        (np.zeros(40, complex), "complex128"),
        (np.zeros(40, "datetime64[s]"), "datetime64"),
        (np.zeros(40, [("a", int)]), "[('a', '<i8')]"),
        (np.where(np.arange(40) == 17, np.nan, 1.0), "row 17"),
        (np.where(np.arange(40) == 3, np.inf, 1.0), "row 3"),
    ],
)
def test_labels_that_are_neither_numbers_nor_texts_are_refused(file, labels, word):
    message = refused(file(x=X, y=labels))
    assert message.startswith("y=y: ") and word in message


@pytest.mark.parametrize("option", ["x", "y", "x_test", "y_test"])
def test_a_key_that_is_not_there_is_refused_with_those_that_are(file, option):
    path = file(x=X, y=Y, a=X)
    keys = {"x_test": "a", option: "lables"}
    message = refused(path, **keys)
    assert message.startswith(f"{option}=lables: ") and "a, x, y" in message


@pytest.mark.parametrize(
    "shape", [[7], [2, 2], [1, 2, 3, 1], [-1, 6], [-2, -3], [0, 6], [], [1, 1, 1, 2, 3]]
)  # fmt: skip
def test_a_shape_that_a_row_does_not_fill_is_refused(file, shape):
    with pytest.raises(UsageError, match=r"^(shape=\[|x=x: rows .*is needed)"):
        read(file(x=X), shape=shape)


def test_an_empty_shape_is_refused_also_for_rows_of_one_value(file):
    with pytest.raises(UsageError, match=r"^shape=\[\] "):
        read(file(x=X[:, :1]), shape=[])


@pytest.mark.parametrize("scale", [0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_no_unit_is_refused(file, scale):
    with pytest.raises(UsageError, match=f"^scale={scale} "):
        read(file(x=X), scale=scale)


@pytest.mark.parametrize(
    ("test", "word"),
    [(X[:10, :5], "(5,)"), (X[:10].astype(np.uint8), "uint8"), (X[:10].reshape(10, 2, 3), "(1, 2, 3)")],
)
def test_test_rows_unlike_the_others_are_refused(file, test, word):
    message = refused(file(x=X, t=test), x_test="t")
    assert message.startswith("x_test=t: ") and word in message


def test_numbers_and_texts_as_labels_of_one_data_set_are_refused(file):
    with pytest.raises(UsageError, match="^y_test: "):
        read(file(x=X, y=Y, t=X, u=np.array(["a"] * 40)), x_test="t", y_test="u")


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_rows_for_three_splits_are_refused(file, n):
    with pytest.raises(UsageError, match=f"{n} rows are too few"):
        read(file(x=X[:n]))


def test_no_file_a_folder_a_single_array_and_other_formats_are_refused(tmp_path):
    refused(tmp_path / "none.npz")
    refused(tmp_path)
    np.save(tmp_path / "single.npy", X)
    assert "numpy.savez" in refused(tmp_path / "single.npy")
    (tmp_path / "empty.npz").write_bytes(b"")
    refused(tmp_path / "empty.npz")
    (tmp_path / "text.npz").write_text("a,b\n1,2\n")
    refused(tmp_path / "text.npz")
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("x", "no array")
    refused(tmp_path / "zip.npz")
    with pytest.raises(UsageError, match="^path is empty"):
        npz(name="npz", split=Fractions([8, 1, 1]), path="")


def packed(save) -> bytes:
    save(buffer := io.BytesIO(), x=X, y=Y)
    return buffer.getvalue()


GOOD = {"stored": packed(np.savez), "compressed": packed(np.savez_compressed)}


@settings(max_examples=150)
@given(st.sampled_from(sorted(GOOD)), st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(tmp_path_factory, kind, share):
    path = tmp_path_factory.getbasetemp() / "cut.npz"
    path.write_bytes(GOOD[kind][: int(share * len(GOOD[kind]))])
    refused(path)


@settings(max_examples=400)
@given(
    st.sampled_from(sorted(GOOD)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_damaged_file_is_refused_or_the_damage_touched_nothing(tmp_path_factory, kind, changes):
    content = bytearray(GOOD[kind])
    for place, byte in changes:
        content[int(place * len(content))] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(content)
    try:
        data = read(path)
    except UsageError as error:
        assert path.name in str(error)
    else:  # a date in the archive's directory, say
        assert np.array_equal(all_rows(data)[0], X)


@settings(max_examples=100)
@given(st.binary(max_size=300), st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY\x01\x00", b"\x80\x04"]))
def test_arbitrary_bytes_are_refused(tmp_path_factory, content, magic):
    path = tmp_path_factory.getbasetemp() / "noise.npz"
    path.write_bytes(magic + content)
    refused(path)

"""Arrays of .npz files that are no rows, labels or companions are refused in words that name their key."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from npz_files import X, Y, all_rows, read, refused

from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.formats.npz import npz
from aeexp.errors import UsageError


@given(row=st.integers(0, 39), column=st.integers(0, 5), bad=st.sampled_from([np.nan, np.inf, -np.inf, 1e39]))
def test_a_value_that_is_no_float32_number_is_refused_with_its_key_and_row(npz_file, row, column, bad):
    x = X.astype(np.float64)
    x[row, column] = bad
    x[-1, 0] = np.nan
    message = refused(npz_file(pixels=x), x="pixels")
    assert message.startswith("x=pixels: ") and f" row {row} " in message
    assert f"({len({row, 39})} such rows)" in message


@given(st.integers(0, 4).filter(lambda n: n != 1), st.integers(0, 3))
def test_rows_of_a_wrong_number_of_dimensions_are_refused(npz_file, extra, flat):
    shape = () if extra == 0 and flat == 0 else (40,) if extra == 0 else (40, *[2] * (extra + 2))
    message = refused(npz_file(x=np.ones(shape)))
    assert message.startswith("x=x: ") and str(shape) in message or str(shape[1:]) in message


@given(st.sampled_from([(0, 6), (40, 0), (0,), (0, 0), (40, 0, 5)]))
def test_empty_arrays_are_refused_with_their_shape(npz_file, shape):
    message = refused(npz_file(x=np.ones(shape)))
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
def test_arrays_of_anything_but_numbers_are_refused_with_their_type(npz_file, x):
    message = refused(npz_file(x=x))
    assert message.startswith("x=x: ") and str(x.dtype) in message


@pytest.mark.parametrize("key", ["x", "y", "other"])
def test_objects_are_never_unpickled_and_those_that_are_not_asked_for_do_not_matter(tmp_path, key):
    bomb = type("Bomb", (), {"__reduce__": lambda self: (pytest.fail, ("was unpickled",))})
    content = {"x": X, "y": Y, key: np.array([bomb()] * 40, object)}
    np.savez(tmp_path / "o.npz", **content)
    if key == "other":
        assert np.array_equal(all_rows(read(tmp_path / "o.npz"))[0], X)
    else:
        assert "nothing is unpickled" in refused(tmp_path / "o.npz")


@given(n=st.integers(0, 60), extra=st.booleans())
def test_labels_that_do_not_match_the_rows_are_refused(npz_file, n, extra):
    labels = np.zeros((n, 1) if extra else n, int)
    if n == 40:
        return
    message = refused(npz_file(x=X, l=labels), y="l")
    assert message.startswith("y=l: ") and str(labels.shape) in message and "40 rows" in message


def test_labels_in_a_column_are_labels_and_one_hot_ones_are_told_the_way(npz_file):
    source = npz.load(str(npz_file(x=X, y=Y[:, None])))
    assert source.rows.y.tolist() == Y.tolist()
    assert "become classes by y.argmax(1)" in refused(npz_file(x=X, y=np.eye(4)[Y]))


@given(st.lists(st.integers(0, 30), min_size=40, max_size=40), st.sampled_from([1.0, 0.5]))
def test_fractions_are_classes_only_if_they_are_few_and_whole_numbers_if_they_do_not_name_rows(npz_file, numbers, step):
    labels = np.array(numbers) * step
    path = npz_file(x=X, y=labels)
    if ((labels % 1 == 0).all() and len(set(numbers)) <= 20) or len(set(numbers)) <= 10:
        assert len(npz.load(str(path)).classes) == len(set(numbers))
    else:
        message = refused(path)
        assert message.startswith("y=y: ") and "(dataset.target=y dataset.y=none)" in message
        assert npz.load(str(path), target="y", y="none").rows.response.tolist() == labels.tolist()


def test_more_fractions_than_half_the_labels_are_measurements(npz_file):
    for labels, numbers in (([0.5, 1, 0.5, 1], [0, 1, 0, 1]), ([0.5, 0.5, -1, -1], [0, 0, -1, -1])):
        source = npz.load(str(npz_file(x=X[:4], y=np.array(labels))))
        assert source.rows.y.tolist() == numbers
    assert "3 different labels in 4 rows" in refused(npz_file(x=X[:4], y=np.array([0.5, 1, 2, 1])))


def test_offsets_that_nobody_named_are_told(npz_file, caplog):
    steps = {"x": np.ones((5, 2)), "offsets": np.array([0, 2, 5])}
    assert "dataset.offsets=offsets" in refused(npz_file(**steps, y=np.array([1, 0])))
    with caplog.at_level("INFO"):
        assert len(npz.load(str(npz_file(**steps))).rows.x) == 5
    assert "cut the 5 rows into 2 sequences: dataset.offsets=offsets takes them" in caplog.text
    caplog.clear()
    npz.load(str(npz_file(x=np.ones((5, 2)), offsets=np.array([0, 2, 4]))))
    npz.load(str(npz_file(**steps)), offsets="offsets")
    assert not caplog.text


def test_an_axis_of_channels_that_may_be_either_is_told(npz_file, caplog):
    for shape, logged in (((4, 8, 3), True), ((8, 8, 3), False), ((3, 8, 8), False), ((8, 3), False)):
        caplog.clear()
        with caplog.at_level("INFO"):
            npz.load(str(npz_file(x=np.ones((5, *shape)))))
        assert (f"rows {shape} taken as (C, H, W)" in caplog.text) == logged == bool(caplog.text)


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
def test_labels_that_are_neither_numbers_nor_texts_are_refused(npz_file, labels, word):
    message = refused(npz_file(x=X, y=labels))
    assert message.startswith("y=y: ") and word in message


@pytest.mark.parametrize("option", ["x", "y", "s", "target", "offsets"])
def test_a_key_that_is_not_there_is_refused_with_those_that_are(npz_file, option):
    message = refused(npz_file(x=X, y=Y, a=X), **{option: "lables"})
    assert message.startswith(f"{option}=lables: ") and "a, x, y" in message


@pytest.mark.parametrize("option", ["y", "s", "target", "offsets"])
@pytest.mark.parametrize("part", ["val", "test"])
def test_official_rows_need_what_the_training_rows_have(npz_file, option, part):
    path = npz_file(**{"x": X, "x_" + part: X, "k": np.arange(41)[option != "offsets" :]})
    message = refused(path, **{option: "k"})
    assert message.startswith(f"{option}=k: ") and f"x_{part}" in message and f"k_{part}" in message


@pytest.mark.parametrize("parts", [["a", "b"], ["a", "b", "b"], ["", "a", "b"], ["a", "b", "c", "d"]])
def test_parts_are_three_different_words(npz_file, parts):
    with pytest.raises(UsageError, match=r"^parts=\["):
        read(npz_file(x=X), parts=parts)


@pytest.mark.parametrize("option", ["s", "target"])
@pytest.mark.parametrize(
    ("array", "word"),
    [
        (Y[:39], "40 rows"),
        (np.array(["a"] * 40), "numbers"),
        (np.ones(()), "40 rows"),
        (np.ones((40, 0)), "40 rows"),
        (np.where(Y[:, None] == 2, np.nan, [1.0, 2.0]), "row 2 holds NaN"),
        (np.full(40, np.inf), "row 0 holds"),
    ],
    ids=["too few", "texts", "single", "empty", "NaN", "infinity"],
)
def test_attributes_and_targets_are_numbers_one_for_each_row(npz_file, option, array, word):
    message = refused(npz_file(x=X, k=array), **{option: "k"})
    assert message.startswith(f"{option}=k: ") and word in message


@pytest.mark.parametrize(
    "shape", [[7], [2, 2], [1, 2, 3, 1], [-1, 6], [-2, -3], [0, 6], [], [1, 1, 1, 2, 3]]
)  # fmt: skip
def test_a_shape_that_a_row_does_not_fill_is_refused(npz_file, shape):
    with pytest.raises(UsageError, match=r"^(shape=\[|x=x: .* has rows .*is needed)"):
        read(npz_file(x=X), shape=shape)


def test_an_empty_shape_is_refused_also_for_rows_of_one_value(npz_file):
    with pytest.raises(UsageError, match=r"^shape=\[\] "):
        read(npz_file(x=X[:, :1]), shape=[])


@pytest.mark.parametrize("scale", [0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_no_unit_is_refused(npz_file, scale):
    with pytest.raises(UsageError, match=f"^scale={scale} "):
        read(npz_file(x=X), scale=scale)


@pytest.mark.parametrize(
    ("test", "word"),
    [(X[:10, :5], "(5,)"), (X[:10].astype(np.uint8), "uint8"), (X[:10].reshape(10, 2, 3), "(1, 2, 3)")],
)
def test_test_rows_unlike_the_others_are_refused(npz_file, test, word):
    message = refused(npz_file(x=X, x_test=test))
    assert message.startswith("x=x: x_test of ") and word in message


def test_numbers_and_texts_as_labels_of_one_data_set_are_refused(npz_file):
    message = refused(npz_file(x=X, y=Y, x_test=X, y_test=np.array(["a"] * 40)))
    assert message.startswith("y=y: y_test of ") and "another kind" in message


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_rows_for_three_splits_are_refused(npz_file, n):
    with pytest.raises(UsageError, match=f"{n} rows are too few"):
        read(npz_file(x=X[:n]))


def test_no_file_a_folder_a_single_array_and_other_formats_are_refused(tmp_path):
    assert "no such file" in refused(tmp_path / "none.npz")
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

"""The user's own arrays: what fits is read as it is, in the parts and with the labels that the file names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from npz_files import RNG, X, Y, all_rows, read

from aeexp.datasets.core.splits import Official
from aeexp.datasets.formats.npz import npz

TYPES = [np.float32, np.float64, np.float16, np.int8, np.uint16, np.int64, np.bool_, ">f4", ">i2"]


@given(
    st.sampled_from(TYPES),
    st.sampled_from([(6,), (4, 5), (2, 3, 5)]),
    st.integers(3, 30),
    st.sampled_from([None, 0.25, 3.0]),
)
def test_rows_and_pictures_of_any_number_type_come_back_as_written_times_the_scale(npz_file, kind, shape, n, scale):
    x = RNG.integers(0, 2 if kind is np.bool_ else 100, (n, *shape)).astype(kind)  # exact in every type
    data = read(npz_file(x=x), scale=scale)
    folded = x if len(shape) == 1 else x.reshape(n, -1, *shape[-2:])
    values, labels = all_rows(data)
    assert np.array_equal(values, folded.astype(np.float64) * (scale or 1))  # products of small integers: exact
    assert labels is None and data["train"].y is None


def test_bytes_stay_bytes_and_mean_parts_of_255(npz_file):
    x = RNG.integers(0, 256, (20, 4, 5), dtype=np.uint8)
    data = read(npz_file(x=x))
    assert data["train"].x.numpy().dtype == np.uint8
    np.testing.assert_allclose(all_rows(data)[0][:, 0], x / 255, rtol=2**-22)  # two float32 roundings


def test_shape_folds_flat_rows_in_the_order_of_memory(npz_file):
    values, _ = all_rows(read(npz_file(x=X), shape=[1, 2, 3]))
    assert np.array_equal(values, X.reshape(40, 1, 2, 3))
    assert np.array_equal(all_rows(read(npz_file(x=X), shape=[2, 3]))[0], X.reshape(40, 1, 2, 3))


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
def test_labels_are_numbered_in_sorted_order_and_negative_ones_are_unlabelled(npz_file, labels, classes, numbers):
    data = read(npz_file(x=X, y=labels))
    assert data.classes == classes
    assert all_rows(data)[1].tolist() == numbers


def test_train_and_test_labels_share_their_numbers(npz_file):
    path = npz_file(a=X[:30], l=np.array(["b", "d"] * 15), a_test=X[30:], l_test=np.array(["a", "d"] * 5))
    data = read(path, Official(0.2), x="a", y="l")
    assert data.classes == ("a", "b", "d")
    assert np.array_equal(data["test"].y.numpy(), [0, 2] * 5)
    assert np.array_equal(data["test"].x.numpy(), X[30:])
    assert set(data["train"].y.tolist()) == {1, 2}


def test_labels_may_be_absent_or_left_out(npz_file):
    path = npz_file(x=X, y=Y)
    assert read(path)["train"].y is not None
    assert read(path, y="none")["train"].y is None
    assert read(npz_file(x=X))["train"].y is None


@pytest.mark.parametrize(
    ("keys", "options", "parts"),
    [
        (("x", "x_val", "x_test"), {}, ("y", "y_val", "y_test")),
        (("x_train", "x_val", "x_test"), {}, ("y_train", "y_val", "y_test")),
        (("train_b", "valid_b", "test_b"), {"x": "train_b", "y": "train_y", "parts": ["train", "valid", "test"]},
         ("train_y", "valid_y", "test_y")),
        (("x_1", "x_2", "x_3"), {"parts": ["1", "2", "3"]}, ("y_1", "y_2", "y_3")),
    ],
)  # fmt: skip
def test_official_parts_are_found_by_their_keys(npz_file, keys, options, parts):
    rows, labels = np.split(X, [20, 30]), np.split(Y, [20, 30])
    path = npz_file(**dict(zip(keys, rows, strict=True)), **dict(zip(parts, labels, strict=True)))
    data = read(path, Official(), **options)
    for part, x, y in zip(("train", "val", "test"), rows, labels, strict=True):
        assert np.array_equal(data[part].x.numpy(), x) and np.array_equal(data[part].y.numpy(), y)


def test_x_stands_before_x_train_and_labels_of_one_are_not_taken_for_the_other(npz_file):
    source = npz.load(str(npz_file(x=X, x_train=X[:9], y_train=Y[:9])))
    assert source.rows.x.shape == (40, 6) and source.rows.y is None and source.test is None
    source = npz.load(str(npz_file(x_train=X, y=Y)))
    assert source.rows.y is None


def test_attributes_and_targets_go_with_their_rows(npz_file):
    masks = RNG.integers(0, 5, (40, 2, 3))
    masks, numbers = masks.astype(np.uint8), Y.astype(np.uint8)
    path = npz_file(x=X, s=numbers, m=masks, x_test=X[:9], s_test=numbers[:9], m_test=masks[:9])
    source = npz.load(str(path), s="s", target="m")
    assert np.array_equal(source.rows.s, Y) and np.array_equal(source.test.s, Y[:9])
    assert np.array_equal(source.rows.target, masks) and np.array_equal(source.test.target, masks[:9])
    assert source.attributes == ("s",)
    source = npz.load(str(npz_file(x=X, f=X[:, :2].astype(np.float64), m=X > 0)), s="f", target="m")
    assert np.array_equal(source.rows.s, X[:, :2]) and source.attributes == ("f[0]", "f[1]")
    assert np.array_equal(source.rows.target, X > 0) and source.rows.target.dtype == np.uint8


@given(
    st.sampled_from([1, 3, 4]),
    st.integers(2, 6).filter(lambda n: n not in (3, 4)),
    st.integers(1, 5),
)
def test_channels_move_to_the_front_only_where_they_are_surely_last(npz_file, channels, height, width):
    last = RNG.integers(0, 256, (4, height, width, channels), dtype=np.uint8)
    first = np.ascontiguousarray(last.transpose(0, 3, 1, 2))
    assert np.array_equal(npz.load(str(npz_file(x=last))).rows.x, first)
    assert np.array_equal(npz.load(str(npz_file(x=first))).rows.x, first)  # axis 1 is 1, 3 or 4: as it is


def test_bytes_of_0_and_1_in_all_parts_are_binary_data(npz_file):
    bits = RNG.integers(0, 2, (20, 6), dtype=np.uint8)
    assert npz.load(str(npz_file(x=bits, x_test=bits))).scale == 1
    assert npz.load(str(npz_file(x=bits == 1))).scale == 1
    assert npz.load(str(npz_file(x=bits, x_test=bits * 255))).scale == 1 / 255

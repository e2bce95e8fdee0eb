"""The user's own arrays: what fits is read as it is, what does not is refused in words, never otherwise."""

from __future__ import annotations

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aeexp.datasets.core.splits import Fractions, Official
from aeexp.datasets.formats.npz import npz
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
    st.sampled_from([(6,), (4, 5), (2, 3, 5)]),
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
    path = file(a=X[:30], l=np.array(["b", "d"] * 15), a_test=X[30:], l_test=np.array(["a", "d"] * 5))
    data = read(path, Official(0.2), x="a", y="l")
    assert data.classes == ("a", "b", "d")
    assert np.array_equal(data["test"].y.numpy(), [0, 2] * 5)
    assert np.array_equal(data["test"].x.numpy(), X[30:])
    assert set(data["train"].y.tolist()) == {1, 2}


def test_labels_may_be_absent_or_left_out(file):
    path = file(x=X, y=Y)
    assert read(path)["train"].y is not None
    assert read(path, y="none")["train"].y is None
    assert read(file(x=X))["train"].y is None


@pytest.mark.parametrize(
    ("keys", "words", "parts"),
    [
        (("x", "x_val", "x_test"), {}, ("y", "y_val", "y_test")),
        (("x_train", "x_val", "x_test"), {}, ("y_train", "y_val", "y_test")),
        (("train_b", "valid_b", "test_b"), {"x": "train_b", "y": "train_y", "parts": ["train", "valid", "test"]},
         ("train_y", "valid_y", "test_y")),
        (("x_1", "x_2", "x_3"), {"parts": ["1", "2", "3"]}, ("y_1", "y_2", "y_3")),
    ],
)  # fmt: skip
def test_official_parts_are_found_by_their_keys(file, keys, words, parts):
    rows, labels = np.split(X, [20, 30]), np.split(Y, [20, 30])
    path = file(**dict(zip(keys, rows, strict=True)), **dict(zip(parts, labels, strict=True)))
    data = read(path, Official(), **words)
    for part, x, y in zip(("train", "val", "test"), rows, labels, strict=True):
        assert np.array_equal(data[part].x.numpy(), x) and np.array_equal(data[part].y.numpy(), y)


def test_x_stands_before_x_train_and_labels_of_one_are_not_taken_for_the_other(file):
    source = npz.load(str(file(x=X, x_train=X[:9], y_train=Y[:9])))
    assert source.rows.x.shape == (40, 6) and source.rows.y is None and source.test is None
    source = npz.load(str(file(x_train=X, y=Y)))
    assert source.rows.y is None


def test_attributes_and_targets_go_with_their_rows(file):
    masks = RNG.integers(0, 5, (40, 2, 3))
    masks, numbers = masks.astype(np.uint8), Y.astype(np.uint8)
    path = file(x=X, s=numbers, m=masks, x_test=X[:9], s_test=numbers[:9], m_test=masks[:9])
    source = npz.load(str(path), s="s", target="m")
    assert np.array_equal(source.rows.s, Y) and np.array_equal(source.test.s, Y[:9])
    assert np.array_equal(source.rows.target, masks) and np.array_equal(source.test.target, masks[:9])
    assert source.attributes == ("s",)
    source = npz.load(str(file(x=X, f=X[:, :2].astype(np.float64), m=X > 0)), s="f", target="m")
    assert np.array_equal(source.rows.s, X[:, :2]) and source.attributes == ("f[0]", "f[1]")
    assert np.array_equal(source.rows.target, X > 0) and source.rows.target.dtype == np.uint8


@given(
    st.sampled_from([1, 3, 4]),
    st.integers(2, 6).filter(lambda n: n not in (3, 4)),
    st.integers(1, 5),
)
def test_channels_move_to_the_front_only_where_they_are_surely_last(file, channels, height, width):
    last = RNG.integers(0, 256, (4, height, width, channels), dtype=np.uint8)
    first = np.ascontiguousarray(last.transpose(0, 3, 1, 2))
    assert np.array_equal(npz.load(str(file(x=last))).rows.x, first)
    assert np.array_equal(npz.load(str(file(x=first))).rows.x, first)  # axis 1 is 1, 3 or 4: as it is


def test_bytes_of_0_and_1_in_all_parts_are_binary_data(file):
    bits = RNG.integers(0, 2, (20, 6), dtype=np.uint8)
    assert npz.load(str(file(x=bits, x_test=bits))).scale == 1
    assert npz.load(str(file(x=bits == 1))).scale == 1
    assert npz.load(str(file(x=bits, x_test=bits * 255))).scale == 1 / 255


# ---------------------------------------------------------------- sequences and bits


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=2, max_size=3), st.integers(1, 4))
def test_offsets_cut_steps_into_sequences_padded_to_the_longest_of_all_parts(file, lengths, width):
    names = ("train", "val", "test")[: len(lengths)]
    steps = [RNG.normal(size=(sum(part), width)).astype(np.float32) for part in lengths]
    ends = {f"o_{name}": np.cumsum([0, *part]).astype(np.int32) for name, part in zip(names, lengths, strict=True)}
    path = file(**{f"x_{name}": x for name, x in zip(names, steps, strict=True)}, **ends)
    source = npz.load(str(path), offsets="o_train")
    longest = max(max(part) for part in lengths)
    for name, part, x in zip(names, lengths, steps, strict=True):
        rows = source.rows if name == "train" else getattr(source, name)
        assert rows.lengths.tolist() == part and rows.x.shape == (len(part), longest, width)
        real = np.arange(longest) < rows.lengths[:, None]
        assert np.array_equal(rows.x[real], x) and not rows.x[~real].any()


def test_labels_of_sequences_count_sequences_and_flat_steps_have_one_feature(file):
    path = file(x=np.arange(5.0), o=np.array([0, 2, 5]), y=np.array([1, 0]))
    source = npz.load(str(path), offsets="o")
    assert source.rows.x[:, :, 0].tolist() == [[0, 1, 0], [2, 3, 4]] and source.rows.y.tolist() == [1, 0]
    assert "2 rows" in refused(file(x=np.ones((5, 2)), o=np.array([0, 2, 5]), y=np.arange(5)), offsets="o")


@pytest.mark.parametrize(
    ("offsets", "word"),
    [
        (np.array([0, 2, 2, 5]), "sequence 1 has no step"),
        (np.array([0, 3, 2, 5]), "sequence 1 has no step"),
        (np.array([0, 200, 5], np.uint8), "sequence 1 has no step"),
        (np.array([0, 2, 6]), "5 steps"),
        (np.array([1, 2, 5]), "5 steps"),
        (np.array([-1, 2, 5]), "5 steps"),
        (np.array([0.0, 5.0]), "integers (n+1,)"),
        (np.array([0]), "integers (n+1,)"),
        (np.array([[0, 5]]), "integers (n+1,)"),
        (np.array(["0", "5"]), "integers (n+1,)"),
    ],
)
def test_offsets_that_are_none_are_refused(file, offsets, word):
    message = refused(file(x=np.ones((5, 2)), o=offsets), offsets="o")
    assert message.startswith("offsets=o: ") and word in message


def test_sequences_of_equal_length_are_neither_features_nor_pictures(file):
    x = RNG.normal(size=(8, 5, 3)).astype(np.float32)
    source = npz.load(str(file(x=x, x_test=x[:3, :4])), sequences=True)
    assert np.array_equal(source.rows.x, x) and source.rows.lengths.tolist() == [5] * 8
    assert np.array_equal(source.test.x[:, :4], x[:3, :4]) and not source.test.x[:, 4].any()
    assert source.test.lengths.tolist() == [4] * 3
    source = npz.load(str(file(x=x[:, :, 0])), sequences=True)
    assert np.array_equal(source.rows.x, x[:, :, :1])
    folded = npz.load(str(file(x=x.reshape(8, 15))), sequences=True, shape=[5, 3])
    assert np.array_equal(folded.rows.x, x)
    assert "sequences=true" in refused(file(x=x[..., None]), sequences=True)
    with pytest.raises(UsageError, match=r"^offsets=o .*drop dataset\.sequences"):
        read(file(x=x, o=Y), offsets="o", sequences=True)
    with pytest.raises(UsageError, match=r"^offsets=o .*drop dataset\.shape"):
        read(file(x=x, o=Y), offsets="o", shape=[3])


@given(st.integers(1, 20), st.sampled_from([(7,), (3, 4)]))
def test_unpack_undoes_packbits(file, bits, lead):
    x = RNG.integers(0, 2, (*lead, bits), dtype=np.uint8)
    source = npz.load(str(file(x=np.packbits(x, axis=-1))), unpack=bits)
    assert np.array_equal(source.rows.x.reshape(x.shape), x) and source.scale == 1


@pytest.mark.parametrize("bits", [0, -1, 17])
def test_more_bits_than_there_are_or_none_are_refused(file, bits):
    assert refused(file(x=np.ones((5, 2), np.uint8)), unpack=bits).startswith(f"unpack={bits}: ")
    assert refused(file(x=np.ones((5, 2))), unpack=8).startswith("unpack=8: ")


# ---------------------------------------------------------------- real files


def test_jsb_chorales_are_the_pieces_that_the_packed_file_holds(shared_data):
    path = shared_data / "polyphonic-music" / "jsb_chorales.npz"
    source = npz.load(str(path), "train_bits", offsets="train_offsets", unpack=88, parts=["train", "valid", "test"])
    found = {"train": source.rows, "valid": source.val, "test": source.test}
    assert [len(rows.x) for rows in found.values()] == [229, 76, 77] and source.scale == 1
    with np.load(path) as file:
        for part, rows in found.items():
            ends = file[f"{part}_offsets"]
            piece = np.unpackbits(file[f"{part}_bits"], axis=1)[ends[3] : ends[4], :88]
            assert np.array_equal(rows.x[3, : rows.lengths[3]], piece) and not rows.x[3, rows.lengths[3] :].any()
            assert rows.lengths.sum() == len(file[f"{part}_bits"])


def test_camvid_has_its_three_parts_pictures_and_masks(shared_data):
    path = shared_data / "camvid" / "camvid_96x128.npz"
    assert "target" in refused(path)  # y_train are masks, no labels
    source = npz.load(str(path), y="none", target="y_train")
    parts = (source.rows, source.val, source.test)
    assert [rows.x.shape for rows in parts] == [(n, 3, 96, 128) for n in (367, 101, 233)]
    assert all(rows.target.shape == (len(rows.x), 96, 128) and rows.target.max() <= 11 for rows in parts)
    with np.load(path) as file:
        assert np.array_equal(source.val.x[7, 2], file["x_val"][7, :, :, 2])


def test_ecg5000_has_its_classes(shared_data):
    path = shared_data / "ucr-timeseries" / "ecg5000.npz"
    source = npz.load(str(path), sequences=True)
    assert source.rows.x.shape == (500, 140, 1) and source.test.x.shape == (4499, 140, 1)
    assert np.bincount(source.rows.y).tolist() == [292, 177, 10, 19, 2] and source.classes == tuple("12345")
    assert npz.load(str(path)).rows.x.shape == (500, 140)


@pytest.mark.parametrize("name", ["with space.npz", "Größe.npz", "日本.npz", "a=b,c[1].npz"])
def test_any_file_name_will_do(tmp_path, name):
    folder = tmp_path / "two words"
    folder.mkdir()
    np.savez(folder / name, x=X)
    assert np.array_equal(all_rows(read(folder / name))[0], X)


def test_usps_has_its_published_counts_and_intensities_from_zero_to_one(shared_data):
    data = read(shared_data / "usps" / "usps.npz", Official(0.1), scale=1 / 2000)
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
def test_objects_are_never_unpickled_and_those_that_are_not_asked_for_do_not_matter(tmp_path, key):
    bomb = type("Bomb", (), {"__reduce__": lambda self: (pytest.fail, ("was unpickled",))})
    content = {"x": X, "y": Y, key: np.array([bomb()] * 40, object)}
    np.savez(tmp_path / "o.npz", **content)
    if key == "other":
        assert np.array_equal(all_rows(read(tmp_path / "o.npz"))[0], X)
    else:
        assert "nothing is unpickled" in refused(tmp_path / "o.npz")


@given(n=st.integers(0, 60), extra=st.booleans())
def test_labels_that_do_not_match_the_rows_are_refused(file, n, extra):
    labels = np.zeros((n, 1) if extra else n, int)
    if n == 40:
        return
    message = refused(file(x=X, l=labels), y="l")
    assert message.startswith("y=l: ") and str(labels.shape) in message and "40 rows" in message


def test_labels_in_a_column_are_labels_and_one_hot_ones_are_told_the_way(file):
    source = npz.load(str(file(x=X, y=Y[:, None])))
    assert source.rows.y.tolist() == Y.tolist()
    assert "become classes by y.argmax(1)" in refused(file(x=X, y=np.eye(4)[Y]))


@given(st.lists(st.integers(0, 30), min_size=40, max_size=40), st.sampled_from([1.0, 0.5]))
def test_fractions_are_classes_only_if_they_are_few(file, numbers, step):
    labels = np.array(numbers) * step
    path = file(x=X, y=labels)
    if (labels % 1 == 0).all() or len(set(numbers)) <= 10:
        assert len(npz.load(str(path)).classes) == len(set(numbers))
    else:
        message = refused(path)
        assert message.startswith("y=y: ") and "(dataset.s=y dataset.y=none)" in message
        assert npz.load(str(path), s="y", y="none").rows.s.tolist() == labels.tolist()


def test_more_fractions_than_half_the_labels_are_measurements(file):
    for labels, numbers in (([0.5, 1, 0.5, 1], [0, 1, 0, 1]), ([0.5, 0.5, -1, -1], [0, 0, -1, -1])):
        source = npz.load(str(file(x=X[:4], y=np.array(labels))))
        assert source.rows.y.tolist() == numbers
    assert "3 different labels in 4 rows" in refused(file(x=X[:4], y=np.array([0.5, 1, 2, 1])))


def test_offsets_that_nobody_named_are_told(file, caplog):
    steps = {"x": np.ones((5, 2)), "offsets": np.array([0, 2, 5])}
    assert "dataset.offsets=offsets" in refused(file(**steps, y=np.array([1, 0])))
    with caplog.at_level("INFO"):
        assert len(npz.load(str(file(**steps))).rows.x) == 5
    assert "cut the 5 rows into 2 sequences: dataset.offsets=offsets takes them" in caplog.text
    caplog.clear()
    npz.load(str(file(x=np.ones((5, 2)), offsets=np.array([0, 2, 4]))))
    npz.load(str(file(**steps)), offsets="offsets")
    assert not caplog.text


def test_an_axis_of_channels_that_may_be_either_is_told(file, caplog):
    for shape, told in (((4, 8, 3), True), ((8, 8, 3), False), ((3, 8, 8), False), ((8, 3), False)):
        caplog.clear()
        with caplog.at_level("INFO"):
            npz.load(str(file(x=np.ones((5, *shape)))))
        assert (f"rows {shape} taken as (C, H, W)" in caplog.text) == told == bool(caplog.text)


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


@pytest.mark.parametrize("option", ["x", "y", "s", "target", "offsets"])
def test_a_key_that_is_not_there_is_refused_with_those_that_are(file, option):
    message = refused(file(x=X, y=Y, a=X), **{option: "lables"})
    assert message.startswith(f"{option}=lables: ") and "a, x, y" in message


@pytest.mark.parametrize("option", ["y", "s", "target", "offsets"])
@pytest.mark.parametrize("part", ["val", "test"])
def test_official_rows_need_what_the_training_rows_have(file, option, part):
    path = file(**{"x": X, "x_" + part: X, "k": np.arange(41)[option != "offsets" :]})
    message = refused(path, **{option: "k"})
    assert message.startswith(f"{option}=k: ") and f"x_{part}" in message and f"k_{part}" in message


@pytest.mark.parametrize("parts", [["a", "b"], ["a", "b", "b"], ["", "a", "b"], ["a", "b", "c", "d"]])
def test_parts_are_three_different_words(file, parts):
    with pytest.raises(UsageError, match=r"^parts=\["):
        read(file(x=X), parts=parts)


@pytest.mark.parametrize("option", ["s", "target"])
@pytest.mark.parametrize(
    ("array", "word"),
    [
        (Y[:39], "40 rows"),
        (np.array(["a"] * 40), "numbers"),
        (np.ones(()), "40 rows"),
        (np.ones((40, 0)), "40 rows"),
        (np.where(Y == 2, np.nan, 1.0), "row 2 holds NaN"),
    ],
    ids=["too few", "texts", "single", "empty", "NaN"],
)
def test_attributes_and_targets_are_numbers_one_for_each_row(file, option, array, word):
    message = refused(file(x=X, k=array), **{option: "k"})
    assert message.startswith(f"{option}=k: ") and word in message


@pytest.mark.parametrize(
    "shape", [[7], [2, 2], [1, 2, 3, 1], [-1, 6], [-2, -3], [0, 6], [], [1, 1, 1, 2, 3]]
)  # fmt: skip
def test_a_shape_that_a_row_does_not_fill_is_refused(file, shape):
    with pytest.raises(UsageError, match=r"^(shape=\[|x=x: .* has rows .*is needed)"):
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
    message = refused(file(x=X, x_test=test))
    assert message.startswith("x=x: x_test of ") and word in message


def test_numbers_and_texts_as_labels_of_one_data_set_are_refused(file):
    message = refused(file(x=X, y=Y, x_test=X, y_test=np.array(["a"] * 40)))
    assert message.startswith("y=y: y_test of ") and "another kind" in message


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_rows_for_three_splits_are_refused(file, n):
    with pytest.raises(UsageError, match=f"{n} rows are too few"):
        read(file(x=X[:n]))


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


# ---------------------------------------------------------------- laws: refused in words, or sound


def read_or_refused(path, **keys):
    """The Source, or None after a message; never more memory than damage of a small file may ask for."""
    tracemalloc.start()
    try:
        source = npz.load(str(path), **keys)
    except UsageError as error:
        assert path.name in str(error) and 1 <= len(str(error).splitlines()) <= 2
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**24  # the files have kilobytes; a page of numpy's header cache and copies are far below 16 MiB
    return source


def assert_sound(source) -> None:
    for rows in (source.rows, source.val, source.test):
        if rows is None:
            continue
        assert rows.x.dtype in (np.uint8, np.float32) and rows.x.ndim in (2, 3, 4) and rows.x.size
        assert (rows.lengths is not None) == (rows.x.ndim == 3)
        for field in rows:
            assert field is None or (len(field) == len(rows.x) and np.isfinite(field).all())
        if rows.y is not None:
            assert rows.y.dtype == np.int64 and -1 <= rows.y.min() and rows.y.max() < len(source.classes)
        if rows.lengths is not None:
            assert rows.lengths.min() >= 1 and rows.lengths.max() <= rows.x.shape[1]
        assert rows.s is None or rows.s.dtype in (np.int64, np.float32)
        assert rows.target is None or rows.target.dtype in (np.uint8, np.int64, np.float32)


ANY = st.one_of(
    hnp.scalar_dtypes(),
    hnp.unicode_string_dtypes(max_len=3),
    hnp.byte_string_dtypes(max_len=3),
    st.just(np.dtype("<U0")),
).flatmap(
    lambda kind: st.tuples(
        st.just(kind), st.lists(st.integers(0, 5), max_size=5).map(tuple), st.binary(min_size=64, max_size=64)
    )
)


def filled(kind: np.dtype, shape: tuple[int, ...], content: bytes) -> np.ndarray:
    """An array of arbitrary bits: signalling NaN, booleans of 7, numbers beyond Unicode."""
    size = int(np.prod(shape)) * kind.itemsize
    if kind.itemsize == 0:
        return np.zeros(shape, kind)
    return np.frombuffer((content * (size // 64 + 1))[:size], kind).reshape(shape)


@settings(max_examples=200)
@given(
    st.dictionaries(st.sampled_from(["x", "y", "x_test", "y_test", "x_val", "y_val", "k", "k_test"]), ANY, max_size=6),
    st.fixed_dictionaries({}, optional={
        "s": st.just("k"), "target": st.just("k"), "offsets": st.just("k"), "y": st.sampled_from(["none", "k"]),
        "unpack": st.integers(-1, 20), "sequences": st.booleans(), "shape": st.lists(st.integers(-1, 4), max_size=4),
    }),
)  # fmt: skip
def test_arrays_of_any_type_and_shape_are_refused_in_words_or_sound(file, arrays, keys):
    arrays = {key: filled(*parts) for key, parts in arrays.items()}
    try:
        source = npz.load(str(file(**arrays)), **keys)
    except UsageError as error:
        assert 1 <= len(str(error).splitlines()) <= 2 and ("=" in str(error).split()[0])
    else:
        assert_sound(source)


@settings(max_examples=100)
@given(st.integers(1, 12), st.sampled_from([(6,), (4, 5), (2, 3, 3)]), ANY, ANY, st.booleans())
def test_rows_with_any_labels_and_companions_are_refused_in_words_or_sound(file, n, shape, y, k, fits):
    x = RNG.integers(0, 9, (n, *shape)).astype(np.int16)
    y, k = (filled(kind, (n, *sizes[1:]) if fits else sizes, content) for kind, sizes, content in (y, k))
    for keys in ({"s": "k"}, {"target": "k"}, {"y": "none", "s": "y"}):
        if (source := read_or_refused(file(x=x, y=y, k=k), **keys)) is not None:
            assert_sound(source)


def zipped(header: bytes, body: bytes) -> bytes:
    """An archive whose checksums are right and whose array is not."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body)
    return buffer.getvalue()


@settings(max_examples=100)
@given(
    st.sampled_from(["<f4", "|u1", "|b1", "<U3", "|O", ">i8", "<M8[s]", "<f16", "nonsense", "|V0", "<U0"]),
    st.lists(st.sampled_from([0, 1, 2, 3, 10**4, 10**9, 2**31, 2**62, 2**64, -1, -6]), max_size=5).map(tuple),
    st.booleans(),
    st.binary(max_size=80),
)
def test_a_header_that_does_not_fit_its_array_is_refused_before_room_is_made(
    tmp_path_factory, kind, shape, order, body
):
    path = tmp_path_factory.getbasetemp() / "header.npz"
    path.write_bytes(zipped(str({"descr": kind, "fortran_order": order, "shape": shape}).encode() + b"\n", body))
    if (source := read_or_refused(path)) is not None:
        assert_sound(source)


@settings(max_examples=100)
@given(st.data())
def test_a_mutated_header_with_right_checksums_is_refused_or_sound(tmp_path_factory, data):
    header = bytearray(b"{'descr': '<f4', 'fortran_order': False, 'shape': (40, 6), }\n")
    for _ in range(data.draw(st.integers(1, 3))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "mutated.npz"
    path.write_bytes(zipped(bytes(header), X.tobytes()))
    if (source := read_or_refused(path)) is not None:
        assert_sound(source)

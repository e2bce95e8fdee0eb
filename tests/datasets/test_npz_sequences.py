"""Sequences of .npz files, cut by offsets or of equal length, packed bits, and published files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from npz_files import RNG, X, Y, all_rows, read, refused

from aeexp.datasets.core.splits import Official
from aeexp.datasets.formats.npz import npz
from aeexp.errors import UsageError


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=2, max_size=3), st.integers(1, 4))
def test_offsets_cut_steps_into_sequences_padded_to_the_longest_of_all_parts(npz_file, lengths, width):
    names = ("train", "val", "test")[: len(lengths)]
    steps = [RNG.normal(size=(sum(part), width)).astype(np.float32) for part in lengths]
    ends = {f"o_{name}": np.cumsum([0, *part]).astype(np.int32) for name, part in zip(names, lengths, strict=True)}
    path = npz_file(**{f"x_{name}": x for name, x in zip(names, steps, strict=True)}, **ends)
    source = npz.load(str(path), offsets="o_train")
    longest = max(max(part) for part in lengths)
    for name, part, x in zip(names, lengths, steps, strict=True):
        rows = source.rows if name == "train" else getattr(source, name)
        assert rows.lengths.tolist() == part and rows.x.shape == (len(part), longest, width)
        real = np.arange(longest) < rows.lengths[:, None]
        assert np.array_equal(rows.x[real], x) and not rows.x[~real].any()


def test_labels_of_sequences_count_sequences_and_flat_steps_have_one_feature(npz_file):
    path = npz_file(x=np.arange(5.0), o=np.array([0, 2, 5]), y=np.array([1, 0]))
    source = npz.load(str(path), offsets="o")
    assert source.rows.x[:, :, 0].tolist() == [[0, 1, 0], [2, 3, 4]] and source.rows.y.tolist() == [1, 0]
    assert "2 rows" in refused(npz_file(x=np.ones((5, 2)), o=np.array([0, 2, 5]), y=np.arange(5)), offsets="o")


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
def test_offsets_that_are_none_are_refused(npz_file, offsets, word):
    message = refused(npz_file(x=np.ones((5, 2)), o=offsets), offsets="o")
    assert message.startswith("offsets=o: ") and word in message


def test_sequences_of_equal_length_are_neither_features_nor_pictures(npz_file):
    x = RNG.normal(size=(8, 5, 3)).astype(np.float32)
    source = npz.load(str(npz_file(x=x, x_test=x[:3, :4])), sequences=True)
    assert np.array_equal(source.rows.x, x) and source.rows.lengths.tolist() == [5] * 8
    assert np.array_equal(source.test.x[:, :4], x[:3, :4]) and not source.test.x[:, 4].any()
    assert source.test.lengths.tolist() == [4] * 3
    source = npz.load(str(npz_file(x=x[:, :, 0])), sequences=True)
    assert np.array_equal(source.rows.x, x[:, :, :1])
    folded = npz.load(str(npz_file(x=x.reshape(8, 15))), sequences=True, shape=[5, 3])
    assert np.array_equal(folded.rows.x, x)
    assert "sequences=true" in refused(npz_file(x=x[..., None]), sequences=True)
    with pytest.raises(UsageError, match=r"^offsets=o .*drop dataset\.sequences"):
        read(npz_file(x=x, o=Y), offsets="o", sequences=True)
    with pytest.raises(UsageError, match=r"^offsets=o .*drop dataset\.shape"):
        read(npz_file(x=x, o=Y), offsets="o", shape=[3])


@given(st.integers(1, 20), st.sampled_from([(7,), (3, 4)]))
def test_unpack_undoes_packbits(npz_file, bits, lead):
    x = RNG.integers(0, 2, (*lead, bits), dtype=np.uint8)
    source = npz.load(str(npz_file(x=np.packbits(x, axis=-1))), unpack=bits)
    assert np.array_equal(source.rows.x.reshape(x.shape), x) and source.scale == 1


@pytest.mark.parametrize("bits", [0, -1, 17])
def test_more_bits_than_there_are_or_none_are_refused(npz_file, bits):
    assert refused(npz_file(x=np.ones((5, 2), np.uint8)), unpack=bits).startswith(f"unpack={bits}: ")
    assert refused(npz_file(x=np.ones((5, 2))), unpack=8).startswith("unpack=8: ")


# ---------------------------------------------------------------- published files


def test_jsb_chorales_are_the_pieces_that_the_packed_file_holds(shared_data):
    path = shared_data / "polyphonic-music" / "jsb_chorales.npz"
    source = npz.load(str(path), "train_bits", offsets="train_offsets", unpack=88, parts=["train", "valid", "test"])
    parts = {"train": source.rows, "valid": source.val, "test": source.test}
    assert [len(rows.x) for rows in parts.values()] == [229, 76, 77] and source.scale == 1
    with np.load(path) as file:
        for part, rows in parts.items():
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

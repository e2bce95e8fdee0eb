"""IDX files: what is written comes back, and what is damaged is refused in words before room is made for it."""

from __future__ import annotations

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeexp.datasets.core.splits import Official
from aeexp.datasets.formats.idx import TYPES, idx
from aeexp.errors import UsageError

RNG = np.random.default_rng(0)
NAMES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
CODES = {np.dtype(kind): code for code, kind in TYPES.items()}
PICTURES = RNG.integers(0, 256, (30, 4, 5), dtype=np.uint8)
LABELS = (np.arange(30) % 3).astype(np.uint8)


def packed(x: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{x.ndim}I", 0, 0, CODES[x.dtype], x.ndim, *x.shape) + x.tobytes()


def load(path, **keys):
    return idx.load(str(path), **keys)


def refused(path, named=None, **keys) -> str:
    """The message: one or two lines that name the file."""
    with pytest.raises(UsageError) as error:
        load(path, **keys)
    message = str(error.value)
    assert (named or path.name) in message and 1 <= len(message.splitlines()) <= 2
    return message


@pytest.fixture
def folder(tmp_path):
    """MNIST's four files with 20 and 10 pictures; the labels are gzipped."""
    place = tmp_path / "zwei Wörter"
    place.mkdir()
    for name, array in zip(NAMES, (PICTURES[:20], LABELS[:20], PICTURES[20:], LABELS[20:]), strict=True):
        if "labels" in name:
            (place / f"{name}.gz").write_bytes(gzip.compress(packed(array)))
        else:
            (place / name).write_bytes(packed(array))
    return place


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("idx") / "rows"


# ---------------------------------------------------------------- what fits


@given(
    st.sampled_from(sorted(TYPES)),
    st.sampled_from([(6,), (4, 5), (2, 3, 5)]),
    st.integers(1, 20),
    st.booleans(),
)
def test_every_type_and_dimension_comes_back_as_written(scratch, code, shape, n, zipped):
    x = RNG.integers(-100 if code != 0x08 else 0, 101, (n, *shape)).astype(TYPES[code])
    x[0, ..., 0] = 100  # bytes of 0 and 1 alone would be binary data
    scratch.write_bytes(gzip.compress(packed(x)) if zipped else packed(x))  # told by content: the name is the same
    source = load(scratch)
    assert np.array_equal(source.rows.x, x[:, None] if x.ndim == 3 else x)
    assert source.rows.x.dtype == (np.uint8 if code == 0x08 else np.float32) and source.rows.x.flags.writeable
    assert source.scale == (1 / 255 if code == 0x08 else 1)
    assert source.rows.y is None and source.test is None


def test_a_folder_has_labels_and_an_official_test_set(folder):
    data = idx(name="idx", split=Official(0.2), path=str(folder))
    assert np.array_equal(data["test"].x.numpy()[:, 0], PICTURES[20:])
    assert data["test"].y.tolist() == LABELS[20:].tolist() and data.classes == ("0", "1", "2")
    assert len(data["train"]) + len(data["val"]) == 20


def test_the_files_beside_a_file_are_found_and_can_be_left_out(folder):
    path = folder / NAMES[0]
    assert load(path).test.y.tolist() == LABELS[20:].tolist()
    assert load(path, test="none").test is None
    source = load(path, labels="none")
    assert source.rows.y is None and source.test.y is None and len(source.test.x) == 10
    (folder / NAMES[2]).unlink()
    assert load(folder).test is None and load(folder).rows.y.tolist() == LABELS[:20].tolist()
    alone = folder / "rows"
    path.rename(alone)
    assert load(alone).rows.y is None
    assert load(alone, labels=str(folder / f"{NAMES[1]}.gz")).rows.y.tolist() == LABELS[:20].tolist()


def test_channels_that_are_last_move_to_the_front(scratch):
    x = RNG.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
    scratch.write_bytes(packed(x))
    assert np.array_equal(load(scratch).rows.x, x.transpose(0, 3, 1, 2))


def test_mnist_has_its_counts(shared_data):
    source = load(shared_data / "MNIST" / "raw")
    assert source.rows.x.shape == (60000, 1, 28, 28) and source.test.x.shape == (10000, 1, 28, 28)
    assert np.bincount(source.test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


# ---------------------------------------------------------------- what does not


def test_missing_files_and_companions_are_refused(folder, tmp_path):
    assert "no such file" in refused(tmp_path / "none")
    assert NAMES[0] in refused(tmp_path)
    with pytest.raises(UsageError, match="^path is empty"):
        load("")
    path = folder / NAMES[0]
    assert refused(path, "nowhere", labels="nowhere").startswith("labels=nowhere: no such file")
    assert refused(path, "nowhere", test="nowhere", test_labels="x").startswith("test=nowhere: no such file")
    message = refused(path, labels="none", test_labels=str(path))
    assert message.startswith("test_labels=") and "has no labels" in message
    assert refused(path, "words", test="none", test_labels="words").startswith("test_labels=words: there are no test")
    (folder / f"{NAMES[3]}.gz").unlink()
    assert refused(folder, NAMES[2]).startswith("test_labels=null: ")


def test_counts_shapes_and_types_that_do_not_fit_are_refused(folder):
    (folder / NAMES[1]).write_bytes(packed(LABELS[:19]))  # stands before the .gz
    assert "(19,)" in refused(folder, NAMES[1]) and "20 rows" in refused(folder, NAMES[1])
    (folder / NAMES[1]).write_bytes(packed(LABELS[:20, None].repeat(2, 1)))
    assert refused(folder, NAMES[1]).startswith("labels=")
    (folder / NAMES[1]).write_bytes(packed((np.arange(20) / 8).astype(">f4")))
    message = refused(folder, NAMES[1])
    assert message.startswith("labels=") and "are no classes; leave them out (dataset.labels=none)" in message
    (folder / NAMES[1]).write_bytes(packed(LABELS[:20, None]))
    assert np.array_equal(load(folder).rows.y, load(folder, labels=str(folder / f"{NAMES[1]}.gz")).rows.y)
    (folder / NAMES[1]).unlink()
    (folder / NAMES[2]).write_bytes(packed(PICTURES[20:, :3]))
    assert refused(folder, NAMES[2]).startswith("test=")
    assert refused(folder / f"{NAMES[1]}.gz").startswith("path=")  # labels are no rows


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_values_that_are_no_float32_are_refused_with_their_row(scratch, bad):
    x = np.ones((9, 4), ">f8")
    x[5, 2] = bad
    scratch.write_bytes(packed(x))
    assert "row 5" in refused(scratch)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "(none)"),
        (b"\0\0", "00 00"),
        (b"\0\0\x0a\x02" + b"\0\0\0\x01" * 2 + b"a", "type"),
        (b"\0\0\x08\x00a", "dimensions"),
        (b"\0\0\x08\x05" + b"\0\0\0\x01" * 5 + b"a", "dimensions"),
        (b"\0\0\x08\x03\0\0\0\x01\0", "within its header"),
        (b"\0\0\x08\x02\0\0\0\0\0\0\0\x01", "holds nothing"),
        (b"\0\0\x08\x04" + b"\xff" * 16, "header speaks of"),
        (packed(PICTURES)[:-1], "600 bytes, but 599"),
        (packed(PICTURES) + b"\0", "600 bytes, but 601"),
        (gzip.compress(packed(PICTURES)[:-1]), "600 bytes, but 599"),
        (gzip.compress(packed(PICTURES) + b"\0"), "more"),
        (gzip.compress(packed(PICTURES))[:-9], "gzip"),
        (gzip.compress(packed(PICTURES)) + b"rest", "gzip"),
        (b"\x1f\x8b", "gzip"),
    ],
)
def test_a_damaged_file_is_refused_with_what_is_wrong(scratch, content, word):
    scratch.write_bytes(content)
    message = refused(scratch)
    assert message.startswith("path=") and word in message


# ---------------------------------------------------------------- laws: refused in words, or sound


def sound_or_refused(path) -> None:
    tracemalloc.start()
    try:
        source = load(path)
    except UsageError as error:
        assert path.name in str(error) and 1 <= len(str(error).splitlines()) <= 2
    else:
        x = source.rows.x
        assert x.dtype in (np.uint8, np.float32) and x.ndim in (2, 4) and x.size and np.isfinite(x).all()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2**23  # the files have kilobytes; one piece of a gzip is 1 MiB, and a few copies of it are allowed


GOOD = packed(PICTURES), packed(RNG.normal(size=(9, 6)).astype(">f4")), packed(np.arange(8, dtype="i1").reshape(4, 2))


@settings(max_examples=150)
@given(st.sampled_from(GOOD), st.floats(0, 1, exclude_max=True), st.booleans())
def test_a_truncated_file_is_refused(scratch, content, share, zipped):
    content = gzip.compress(content) if zipped else content
    scratch.write_bytes(content[: int(share * len(content))])
    refused(scratch)


@settings(max_examples=250)
@given(
    st.sampled_from(GOOD),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 19) | st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
)
def test_a_mutated_file_is_refused_or_sound(scratch, content, zipped, changes):
    content = bytearray(gzip.compress(content) if zipped else content)
    for place, byte in changes:
        content[place if isinstance(place, int) else int(place * len(content))] = byte
    scratch.write_bytes(content)
    sound_or_refused(scratch)


@settings(max_examples=150)
@given(st.sampled_from([b"", b"\0\0\x08\x02", b"\0\0\x0d\x01", b"\0\0\x0e\x03\0", b"\x1f\x8b\x08\0"]),
       st.binary(max_size=200), st.booleans())  # fmt: skip
def test_arbitrary_bytes_are_refused_or_sound(scratch, magic, content, zipped):
    scratch.write_bytes(gzip.compress(magic + content) if zipped else magic + content)
    sound_or_refused(scratch)

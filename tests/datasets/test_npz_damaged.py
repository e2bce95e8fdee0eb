"""Whatever an .npz file holds, it is refused in words or what is read is sound, and its size bounds the memory."""

from __future__ import annotations

import io
import tracemalloc
import zipfile

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from npz_files import RNG, X, Y, all_rows, read, refused

from aeexp.datasets.formats.npz import npz
from aeexp.errors import UsageError


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


# ---------------------------------------------------------------- arrays of any kind


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
def test_arrays_of_any_type_and_shape_are_refused_in_words_or_sound(npz_file, arrays, keys):
    arrays = {key: filled(*parts) for key, parts in arrays.items()}
    try:
        source = npz.load(str(npz_file(**arrays)), **keys)
    except UsageError as error:
        assert 1 <= len(str(error).splitlines()) <= 2 and ("=" in str(error).split()[0])
    else:
        assert_sound(source)


@settings(max_examples=100)
@given(st.integers(1, 12), st.sampled_from([(6,), (4, 5), (2, 3, 3)]), ANY, ANY, st.booleans())
def test_rows_with_any_labels_and_companions_are_refused_in_words_or_sound(npz_file, n, shape, y, k, fits):
    x = RNG.integers(0, 9, (n, *shape)).astype(np.int16)
    y, k = (filled(kind, (n, *sizes[1:]) if fits else sizes, content) for kind, sizes, content in (y, k))
    for keys in ({"s": "k"}, {"target": "k"}, {"y": "none", "s": "y"}):
        if (source := read_or_refused(npz_file(x=x, y=y, k=k), **keys)) is not None:
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

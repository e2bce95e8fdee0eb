"""Tar shards: rows as written at whatever places, labels in order, and words for what is damaged."""

from __future__ import annotations

import io
import json
import os
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aeexp.datasets.formats.webdataset import webdataset
from aeexp.errors import UsageError

wds = pytest.importorskip("webdataset")

COUNTS = (5, 8, 4)
N = sum(COUNTS)
RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (N, 6, 7), np.uint8)
COLOR = RNG.integers(0, 256, (N, 6, 7, 3), np.uint8)
Y = np.arange(N) * 7 % 3


def load(path, **keys):
    return webdataset.load(path=str(path), **keys)


def png(x: np.ndarray) -> bytes:
    Image.fromarray(x).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


def npy(x: np.ndarray, **keys) -> bytes:
    np.save(buffer := io.BytesIO(), x, **keys)
    return buffer.getvalue()


def write(folder, samples, counts=COUNTS, prefix="train"):
    """Shards by the library's own writer."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = iter(samples)
    for shard, count in enumerate(counts):
        with wds.TarWriter(str(folder / f"{prefix}-{shard:06d}.tar")) as tar:
            for number in range(count):
                tar.write({"__key__": f"s{shard}_{number:03d}", **next(samples)})
    return folder


def pictures(labels=None):
    labels = [str(y).encode() for y in Y] if labels is None else labels
    return [{"png": png(x), **({} if y is None else {"cls": y})} for x, y in zip(X, labels, strict=True)]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write(tmp_path_factory.mktemp("wds") / "two words, Größe", pictures())


@pytest.fixture(scope="module")
def source(shards):
    return load(shards)


# ---------------------------------------------------------------- what fits


def test_rows_labels_counts_and_scale_are_those_written(source):
    rows = source.rows
    assert list(rows.x.shards.counts) == list(COUNTS)
    assert np.array_equal(rows.x.read()[:, 0], X) and rows.x.dtype == np.uint8
    assert rows.y.tolist() == Y.tolist() and rows.y.dtype.kind == "i"
    assert source.classes == ("0", "1", "2") and source.scale == 1 / 255 and source.test is None


@given(st.integers(0, len(COUNTS) - 1).flatmap(lambda s: st.tuples(st.just(s), st.sets(st.integers(0, COUNTS[s] - 1)))))
def test_any_ascending_places_of_a_shard_give_those_rows(source, wanted):
    shard, places = wanted
    places = np.array(sorted(places), int)
    before = sum(COUNTS[:shard])
    rows = list(source.rows.x.shards.read(shard, places))
    assert len(rows) == len(places)
    assert all(np.array_equal(x[0], X[before + place]) for x, place in zip(rows, places, strict=True))


def test_only_wanted_places_are_decoded(tmp_path):
    samples = pictures()
    samples[2]["png"] = samples[7]["png"] = b"no picture"
    tars = load(write(tmp_path, samples)).rows.x.shards
    assert len(list(tars.read(0, np.array([0, 1, 3, 4])))) == 4
    with pytest.raises(UsageError, match="sample s1_002.png is no readable picture"):
        list(tars.read(1, np.array([2])))


@pytest.mark.parametrize(
    "pattern",
    ["", "train-*.tar", "train-{000000..000002}.tar", "train-00000[0-2].tar", "{train-000000,train-00000[12]}.tar"],
)
def test_a_folder_and_each_pattern_name_the_same_shards(shards, pattern):
    assert np.array_equal(load(shards / pattern).rows.x.read()[:, 0], X)


def test_one_shard_and_an_order_of_ones_own(shards):
    assert np.array_equal(load(shards / "train-000001.tar").rows.x.read()[:, 0], X[5:13])
    turned = load(shards / "train-{000002..000000}.tar")
    assert np.array_equal(turned.rows.x.read()[:, 0], np.concatenate([X[13:], X[5:13], X[:5]]))


@pytest.mark.parametrize("name", ["a=b,c[1].tar", "{1..2}.tar", "pipe:x.tar", "日本 *.tar", "q?#.tar"])
def test_any_file_name_will_do(tmp_path, shards, name):
    (tmp_path / name).write_bytes((shards / "train-000000.tar").read_bytes())
    assert np.array_equal(load(tmp_path / name).rows.x.read()[:, 0], X[:5])
    assert np.array_equal(load(tmp_path).rows.x.read()[:, 0], X[:5])


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        ([b"10", b"9", b" 9\n", b"-1"], ("9", "10"), [1, 0, 0, -1]),
        (["ä".encode(), b"b", b"a", b"b"], ("a", "b", "ä"), [2, 1, 0, 1]),
        ([b"10", b"x", b"9", b"9"], ("10", "9", "x"), [0, 2, 1, 1]),
        ([b"1", None, b"1", None], ("1",), [0, -1, 0, -1]),
        ([b"b", None, b"a", None], ("a", "b"), [1, -1, 0, -1]),
    ],
    ids=["numbers", "names", "both", "some", "some names"],
)
def test_labels_are_numbered_in_sorted_order_and_none_is_unlabelled(tmp_path, labels, classes, numbers):
    samples = [{"png": png(x), **({} if y is None else {"cls": y})} for x, y in zip(X, labels, strict=False)]
    source = load(write(tmp_path, samples, (2, 2)))
    assert source.classes == classes and source.rows.y.tolist() == numbers


def test_shards_without_labels_have_none_and_other_extensions_can_be_labels(tmp_path):
    samples = [{"png": png(x), "json": b"{}", "kind.txt": b"k"} for x in X]
    source = load(write(tmp_path, samples))
    assert source.rows.y is None and source.classes == ()
    assert load(tmp_path, y="kind.txt").classes == ("k",)
    assert "there are json, kind.txt, png; dataset.y=none" in refused(tmp_path, "y=cls", y="cls")


def json_samples(values):
    return [{"png": png(x), "json": json.dumps(value).encode()} for x, value in zip(X, values, strict=False)]


@pytest.mark.parametrize(
    ("y", "values", "classes", "numbers"),
    [
        ("json.label", [{"label": "b"}, {"label": " a"}, {"label": None}, {"id": 3}], ("a", "b"), [1, 0, -1, -1]),
        ("json.Label", [{"Label": 10, "label": 1}, {"Label": 9}], ("9", "10"), [1, 0]),
        ("json.a.b", [{"a": {"b": True}}, {"a": {"b": False}}, {"a": {}}], ("false", "true"), [1, 0, -1]),
        ("json", [3, 1, 3], ("1", "3"), [1, 0, 1]),
        ("json", ["b", "a", None], ("a", "b"), [1, 0, -1]),
    ],
)
def test_a_label_is_a_field_of_json(tmp_path, y, values, classes, numbers):
    source = load(write(tmp_path, json_samples(values), (len(values),)), y=y)
    assert source.classes == classes and source.rows.y.tolist() == numbers


@pytest.mark.parametrize(
    ("y", "value", "words"),
    [
        (
            "json",
            {"label": 1, "id": 2},
            "is an object, no label; it has 'label', 'id': name a field, as in dataset.y=json.label",
        ),
        ("json.a", {"a": {"b": 1}}, "json.a of sample s0_000"),
        ("json.a", {"a": [1]}, "is a list, no label"),
        ("json.a.b", {"a": 1}, "json.a of sample s0_000 in"),
        ("json.c", {"a": 1}, "no sample of"),
    ],
)
def test_json_that_holds_no_label_is_refused_with_its_fields(tmp_path, y, value, words):
    assert words in refused(write(tmp_path, json_samples([value] * 3), (3,)), f"y={y}: ", y=y)


@pytest.mark.parametrize("text", [b"{", b"[" * 100_000, b"9" * 10_000, b"\xff"], ids=["cut", "deep", "digits", "bytes"])
def test_damaged_json_is_refused_with_its_sample(tmp_path, text):
    samples = [*json_samples([{"a": 1}]), {"png": png(X[1]), "json": text}]
    assert "s0_001" in refused(write(tmp_path, samples, (2,)), "y", y="json.a")


def test_a_file_of_that_name_comes_before_a_field(tmp_path):
    samples = [{"png": png(x), "json": b'{"label": "field"}', "json.label": b"file"} for x in X]
    assert load(write(tmp_path, samples), y="json.label").classes == ("file",)
    samples = [{"png": png(x), "meta.json": b'{"label": "field"}'} for x in X]
    assert load(write(tmp_path / "m", samples), y="meta.json.label").classes == ("field",)


def test_a_label_for_each_row_is_refused_in_words(tmp_path):
    samples = [{"png": png(X[i % N]), "cls": f"name {i}".encode()} for i in range(41)]
    message = refused(write(tmp_path, samples, (41,)), "y: ")
    assert "41 different labels in 41 rows, such as 'name 0', name rows, no classes" in message
    assert load(tmp_path, y="none").rows.y is None
    few = [{**sample, "cls": f"{i % 20}".encode()} for i, sample in enumerate(samples)]
    assert len(load(write(tmp_path, few, (41,))).classes) == 20


def test_a_name_with_dots_is_explained(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(3):
            member = tarfile.TarInfo(f"img.{number}.png")
            member.size = len(content := png(X[number]))
            tar.addfile(member, io.BytesIO(content))
    assert "a sample's name ends at its first dot" in refused(tmp_path, "x=png;")


def test_none_ignores_labels_and_measurements_are_none(tmp_path, shards):
    assert load(shards, y="none").rows.y is None
    write(tmp_path, pictures([str(i / 7).encode() for i in range(N)]))
    assert "are no classes; leave them out (dataset.y=none)" in refused(tmp_path, "y: 17 different labels")


@pytest.mark.parametrize("top", [1, 2, 255])
def test_bytes_mean_parts_of_255_unless_all_are_0_or_1(tmp_path, top):
    x = (X % 2).astype(np.uint8)
    x[-1, 0, 0] = top
    assert load(write(tmp_path, [{"npy": npy(row)} for row in x])).scale == (1 if top == 1 else 1 / 255)


def test_train_and_test_shards_share_class_numbers(tmp_path):
    write(tmp_path, [{"png": png(x), "cls": c} for x, c in zip(X, [b"b", b"d"], strict=False)], (2,))
    write(tmp_path, [{"png": png(x), "cls": c} for x, c in zip(X[2:], [b"a", b"d"], strict=False)], (2,), "test")
    source = load(tmp_path / "train-*.tar", test=str(tmp_path / "test-*.tar"))
    assert source.classes == ("a", "b", "d")
    assert source.rows.y.tolist() == [1, 2] and source.test.y.tolist() == [0, 2]
    assert np.array_equal(source.test.x.read()[:, 0], X[2:4])


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (RNG.normal(size=(N, 5)), (5,)),
        (RNG.normal(size=(N, 3, 4)).astype(np.float32), (1, 3, 4)),
        (RNG.integers(-9, 9, (N, 2, 3, 4)), (2, 3, 4)),
        (X, (1, 6, 7)),
    ],
    ids=["features", "grey", "integers", "bytes"],
)
def test_npy_arrays_of_any_kind_come_back_as_written(tmp_path, x, shape):
    source = load(write(tmp_path, [{"npy": npy(row)} for row in x]))
    kind = np.uint8 if x.dtype == np.uint8 else np.float32
    assert source.rows.x.dtype == kind and source.scale == (1 / 255 if kind is np.uint8 else 1)
    assert np.array_equal(source.rows.x.read(), x.astype(kind).reshape(N, *shape))


def test_mode_and_size_and_the_first_extension(tmp_path):
    samples = [{"png": png(color), "b.npy": npy(x)} for color, x in zip(COLOR, X, strict=True)]
    write(tmp_path, samples)
    assert np.array_equal(load(tmp_path).rows.x.read(), COLOR.transpose(0, 3, 1, 2))
    grey = np.stack([np.asarray(Image.fromarray(color).convert("L")) for color in COLOR])
    assert np.array_equal(load(tmp_path, mode="grey").rows.x.read()[:, 0], grey)
    assert load(tmp_path, size=[4, 3]).rows.x.shape == (N, 3, 4, 3)
    assert np.array_equal(load(tmp_path, x="b.npy;png").rows.x.read()[:, 0], X)


def test_a_grey_picture_among_colored_ones_is_colored_and_not_the_reverse(tmp_path):
    first, second = {"png": png(COLOR[0])}, {"png": png(X[0])}
    mixed = load(write(tmp_path / "a", [first, second], (2,))).rows.x.read()
    assert np.array_equal(mixed[1], np.broadcast_to(X[0], (3, 6, 7)))
    with pytest.raises(UsageError, match="sample s0_001.png is colored.*mode="):
        load(write(tmp_path / "b", [second, first], (2,))).rows.x.read()


# ---------------------------------------------------------------- what does not


def refused(path, start="path=", **keys) -> str:
    with pytest.raises(UsageError) as error:
        load(path, **keys).rows.x.read()
    message = str(error.value)
    assert message.removeprefix("dataset.").startswith(start) and len(message.splitlines()) <= 2, message
    return message


@settings(max_examples=60)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_shard_that_lost_its_end_is_refused_by_name(tmp_path_factory, shards, share):
    content = (shards / "train-000000.tar").read_bytes()
    with tarfile.open(shards / "train-000000.tar") as tar:
        last = tar.getmembers()[-1]
    end = -(-(last.offset_data + last.size) // 512) * 512
    path = tmp_path_factory.getbasetemp() / "cut.tar"
    path.write_bytes(content[: int(share * (end + 512))])  # a shorter padding alone loses nothing
    assert "cut.tar" in refused(path)


@settings(max_examples=100)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_no_number_of_rows(tmp_path_factory, shards, place, byte):
    content = bytearray((shards / "train-000000.tar").read_bytes())
    content[int(place * len(content))] ^= byte
    path = tmp_path_factory.getbasetemp() / "flipped.tar"
    path.write_bytes(content)
    try:
        x = load(path).rows.x.read()
    except UsageError as error:
        assert "flipped.tar" in str(error)
    else:  # a label, a name, padding; a picture has a checksum
        assert np.array_equal(x[:, 0], X[:5])


def test_a_broken_header_in_the_middle_does_not_shorten_a_shard(tmp_path, shards):
    content = bytearray((shards / "train-000000.tar").read_bytes())
    with tarfile.open(shards / "train-000000.tar") as tar:
        members = tar.getmembers()
    middle = members[len(members) // 2]
    content[middle.offset_data - 512 + 148] ^= 1  # the header's checksum
    (tmp_path / "b.tar").write_bytes(content)
    assert "after sample s0_00" in refused(tmp_path / "b.tar")


def test_a_shard_that_changes_after_it_was_counted_is_refused(tmp_path, shards):
    path = tmp_path / "s.tar"
    path.write_bytes((shards / "train-000001.tar").read_bytes())
    source = load(path)
    path.write_bytes((shards / "train-000000.tar").read_bytes())
    with pytest.raises(UsageError, match="than when it was counted"):
        source.rows.x.read()


def test_a_shard_of_the_same_size_is_another_by_its_time(tmp_path, shards):
    path = tmp_path / "s.tar"
    path.write_bytes((shards / "train-000001.tar").read_bytes())
    source = load(path)
    os.utime(path, (1e9, 1e9))
    with pytest.raises(UsageError, match="than when it was counted"):
        source.rows.x.read()


def test_only_the_samples_that_are_asked_for_are_read(tmp_path, shards, monkeypatch):
    source = load(shards)
    monkeypatch.setattr(tarfile, "open", None)  # headers were read once, by the loader
    assert np.array_equal(next(source.rows.x.shards.read(1, np.array([6])))[0], X[11])


def test_a_sparse_file_in_a_shard_is_refused_by_name(tmp_path, shards, monkeypatch):
    monkeypatch.setattr(tarfile.TarInfo, "issparse", lambda member: member.name == "s0_001.png")
    assert "s0_001.png is a sparse file" in refused(shards / "train-000000.tar")


def test_no_file_an_empty_folder_an_empty_tar_and_no_tar_are_refused(tmp_path):
    assert "no such file" in refused(tmp_path / "none.tar")
    assert "none-2.tar" in refused(tmp_path / "none-{2..3}.tar")
    assert "no .tar file" in refused(tmp_path)
    (tmp_path / "zero.tar").write_bytes(b"")
    assert "zero.tar" in refused(tmp_path / "zero.tar")
    (tmp_path / "text.tar").write_text("a,b\n" * 300)
    assert "text.tar" in refused(tmp_path / "text.tar")
    assert "no sample" in refused(write(tmp_path / "e", [], (0,)))
    assert "empty" in refused("", start="path is")
    refused(tmp_path / "a{b.tar")
    refused("pipe:touch /tmp/never")


def test_a_sample_without_x_is_refused_with_its_key(tmp_path):
    samples = pictures()
    samples[6] = {"txt": b"words", "cls": b"1"}
    message = refused(write(tmp_path, samples), start="x=png;")
    assert "s1_001" in message and "train-000001.tar" in message and "cls, txt" in message


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"png": png(X[0][:5])}, "(1, 5, 7)"),
        ({"png": png(X[0])[:60]}, "no readable picture"),
        ({"png": b""}, "no readable picture"),
        ({"npy": npy(np.ones(3))}, "(3,)"),
        ({"npy": npy(X[0])[:50]}, "no readable .npy"),
        ({"npy": npy(np.array([{}]), allow_pickle=True)}, "no readable .npy"),
        ({"npy": npy(np.array(["a"]))}, "type <U1"),
        ({"npy": npy(np.ones((1, 2, 3, 4)))}, "(1, 2, 3, 4)"),
    ],
)
def test_a_row_unlike_the_first_or_undecodable_is_refused_with_shard_and_key(tmp_path, bad, word):
    samples = pictures()
    samples[14] = bad
    message = refused(write(tmp_path, samples))
    assert "train-000002.tar: sample s2_001." in message and word in message


def test_unequal_test_shards_nan_bad_labels_and_bad_sizes_are_refused(tmp_path, shards):
    other = write(tmp_path / "t", [{"npy": npy(x[:4])} for x in X], (3,))
    assert "(1, 4, 7)" in refused(shards, start="test=", test=str(other))
    bad = [{"npy": npy(np.array([0.0, value]))} for value in (1.0, np.nan)]
    assert "row 1" in refused(write(tmp_path / "n", bad, (2,)))
    assert "is no text" in refused(write(tmp_path / "l", pictures([b"\xff"] * N)), start="y")
    refused(shards, start="size=", size=[0, 3])
    refused(other, start="size=", size=[3, 3])
    refused(shards, start="x=", x="png;;")

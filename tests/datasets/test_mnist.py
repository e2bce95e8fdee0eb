"""MNIST from its own files where they are, and sets in its format from small files."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import torch
from picture_sets import PARTS, idx, pictures, refused

from aeexp.datasets.core.splits import Official
from aeexp.datasets.sets.vision import emnist, fashion_mnist, kmnist, mnist
from aeexp.errors import UsageError


@pytest.fixture(scope="module")
def real_mnist(shared_data):
    return mnist(name="mnist", split=Official(0.1), root=str(shared_data))


def test_mnist_is_54000_and_6000_rows_and_the_official_10000(real_mnist):
    assert {name: len(split) for name, split in real_mnist.splits.items()} == {
        "train": 54_000, "val": 6_000, "test": 10_000,
    }  # fmt: skip
    assert real_mnist.shape == (1, 28, 28) and real_mnist["train"].x.dtype == torch.uint8
    assert real_mnist.limits == (0.0, 1.0) and len(real_mnist.classes) == 10
    # published: class counts of the test set, and 0.1307 as the mean pixel of the training set
    assert real_mnist["test"].y.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    total = sum(int(real_mnist[name].x.sum(dtype=torch.int64)) for name in ("train", "val"))
    assert total / 255 / 60_000 / 784 == pytest.approx(0.1307, abs=5e-5)


def test_mnists_validation_rows_are_stratified(real_mnist):
    train, val = (real_mnist[name].y.bincount().double() for name in ("train", "val"))
    assert (abs(val - (train + val) / 10) <= 1).all()


@pytest.fixture
def small_mnist(tmp_path):
    """A folder in MNIST's format: 60 and 20 pictures."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    arrays = [pictures(60, shape=(28, 28)), np.arange(60) % 10, pictures(20, 1, shape=(28, 28)), np.arange(20) % 10]
    for name, array in zip(PARTS, arrays, strict=True):
        (raw / name).write_bytes(idx(array))
    return tmp_path


def read(root):
    return mnist(name="mnist", split=Official(0.1), root=str(root))


def test_pictures_and_labels_come_back_as_written(small_mnist):
    data = read(small_mnist)
    assert np.array_equal(data["test"].x.numpy()[:, 0], pictures(20, 1, shape=(28, 28)))
    assert np.array_equal(data["test"].y.numpy(), np.arange(20) % 10)
    assert np.array_equal(data["train"].x.numpy()[:, 0], pictures(60, shape=(28, 28))[data["train"].ids])


@pytest.mark.parametrize("gone", [PARTS, PARTS[1:2]])
def test_missing_files_are_named_with_folder_key_and_way_out(small_mnist, gone):
    raw = small_mnist / "MNIST" / "raw"
    for name in gone:
        (raw / name).unlink()
    with pytest.raises(UsageError) as error:
        read(small_mnist)
    message = str(error.value)
    assert message.startswith(f"root={small_mnist}: ") and str(raw) in message
    assert all((name in message) == (name in gone) for name in PARTS)
    assert "dataset.download=true" in message and "dataset.root" in message
    assert len(message.splitlines()) == 2


@pytest.mark.parametrize("place", ["MNIST/raw", "MNIST", "mnist", "", "raw", "gzip"])
@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("sign", ["-idx", ".idx"])
def test_files_are_read_as_people_have_them(small_mnist, place, end, sign):
    expected = read(small_mnist)
    raw, folder = small_mnist / "MNIST" / "raw", small_mnist / "other" / place
    folder.mkdir(parents=True)
    for name in PARTS:
        content = (raw / name).read_bytes()
        (folder / f"{name.replace('-idx', sign)}{end}").write_bytes(gzip.compress(content) if end else content)
    assert read(small_mnist / "other").fingerprint == expected.fingerprint


def test_another_set_of_the_format_is_looked_for_in_its_own_folder(small_mnist):
    with pytest.raises(UsageError, match="dataset=fashion_mnist .*FashionMNIST"):
        fashion_mnist(name="fashion_mnist", split=Official(), root=str(small_mnist))


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: b"",
        lambda good: good[:3],
        lambda good: good[:10],
        lambda good: good[:-1],
        lambda good: good[:3] + b"\x09" + good[4:],
        lambda good: good[:2] + b"\x0a" + good[3:],
        lambda good: good[:2] + b"\x0d" + good[3:],
        lambda good: good[:4] + b"\xff\xff\xff\xff" + good[8:],
        lambda good: b"<html>404 Not Found</html>" * 20,
    ],
)
@pytest.mark.parametrize("name", PARTS)
def test_a_damaged_file_is_a_usage_error_with_its_folder(small_mnist, name, damage):
    file = small_mnist / "MNIST" / "raw" / name
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UsageError, match="could not be read") as error:
        read(small_mnist)
    assert str(file.parent) in str(error.value)


def test_pictures_and_labels_of_different_number_are_refused(small_mnist):
    (small_mnist / "MNIST" / "raw" / PARTS[1]).write_bytes(idx(np.arange(50) % 10))
    with pytest.raises(UsageError, match="60 pictures and 50 labels"):
        read(small_mnist)


def test_a_label_beyond_the_classes_is_refused(small_mnist):
    (small_mnist / "MNIST" / "raw" / PARTS[3]).write_bytes(idx(np.arange(20)))
    assert "labels 0 to 19, but there are 10 classes" in refused(mnist, small_mnist)


def test_a_pickled_copy_of_an_old_torchvision_is_not_read(small_mnist):
    old = small_mnist / "MNIST" / "processed"
    old.mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(3, 28, 28, dtype=torch.uint8), torch.zeros(3)), old / name)
    assert len(mnist.load(str(small_mnist)).rows.x) == 60


# ---------------------------------------------------------------- others in MNIST's format


def test_kmnist_comes_back_as_written(tmp_path):
    raw = tmp_path / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, array in zip(PARTS, [pictures(20, 0, (28, 28)), np.arange(20) % 10] * 2, strict=True):
        (raw / name).write_bytes(idx(array))
    source = kmnist.load(str(tmp_path))
    assert np.array_equal(source.rows.x[:, 0], pictures(20, 0, (28, 28))) and source.classes[:2] == ("o", "ki")
    assert source.test.y.tolist() == list(range(10)) * 2


@pytest.fixture
def small_emnist(tmp_path):
    """save(subset, labels): files of EMNIST with a picture per label, transposed as they are published."""
    raw = tmp_path / "EMNIST" / "raw"
    raw.mkdir(parents=True)

    def save(subset, labels):
        for part in ("train", "test"):
            x = pictures(len(labels), 0, (28, 28)).swapaxes(1, 2)
            (raw / f"emnist-{subset}-{part}-images-idx3-ubyte").write_bytes(idx(x))
            (raw / f"emnist-{subset}-{part}-labels-idx1-ubyte").write_bytes(idx(np.array(labels)))
        return tmp_path

    return save


@pytest.mark.parametrize(
    ("subset", "count", "some"),
    [
        ("balanced", 47, {0: "0", 10: "A", 35: "Z", 36: "a", 46: "t"}),
        ("byclass", 62, {9: "9", 36: "a", 61: "z"}),
        ("bymerge", 47, {46: "t"}),
        ("digits", 10, {9: "9"}),
        ("mnist", 10, {0: "0"}),
    ],
)
def test_emnist_stands_upright_with_its_published_classes(small_emnist, subset, count, some):
    root = small_emnist(subset, list(range(count)))
    source = emnist.load(str(root), subset=subset)
    for rows in (source.rows, source.test):
        assert np.array_equal(rows.x[:, 0], pictures(count, 0, (28, 28)))
        assert rows.y.tolist() == list(range(count))
    assert len(source.classes) == count and all(source.classes[number] == name for number, name in some.items())


def test_emnists_letters_count_from_zero(small_emnist):
    source = emnist.load(str(small_emnist("letters", list(range(1, 27)))), subset="letters")
    assert "".join(source.classes) == "abcdefghijklmnopqrstuvwxyz" and source.rows.y.tolist() == list(range(26))
    assert "labels -1 to 2" in refused(emnist, small_emnist("letters", [0, 1, 2, 3]), subset="letters")


def test_emnist_looks_for_the_files_of_its_subset(small_emnist):
    message = refused(emnist, small_emnist("letters", [1, 2]))
    assert "emnist-balanced-train-images-idx3-ubyte" in message and "letters" not in message

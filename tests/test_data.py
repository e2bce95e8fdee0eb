"""Data as stored, batches in units, fingerprints, and the public sets on disk."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp.data.assemble import assemble
from aeexp.data.bundled import digits
from aeexp.data.records import Data, Rows, Source, Split
from aeexp.data.splits import Fractions, Official
from aeexp.data.vision import fashion_mnist, mnist, torchvision
from aeexp.errors import UsageError

EIGHT = Fractions([8, 1, 1])


def pictures(n=50, seed=0, shape=(1, 4, 4)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


# ---------------------------------------------------------------- splits on a device


def test_rows_lie_as_they_are_stored_and_a_batch_is_in_units():
    x = pictures()
    split = Split(Rows(x, np.arange(50), x[:, 0, 0, :2]), scale=1 / 255)
    assert split.x.dtype == torch.uint8 and split.x.data_ptr() == x.ctypes.data  # no copy, least of all as floats
    batch = split.batch(torch.tensor([7, 3, 3]))
    # one product of two float32 numbers: relative error 2^-24, and as much for 1/255 itself
    np.testing.assert_allclose(batch.x.numpy(), x[[7, 3, 3]] / 255, rtol=2**-22)
    assert batch.x.dtype == torch.float32
    assert batch.y.tolist() == [7, 3, 3]
    assert np.array_equal(batch.s.numpy(), x[[7, 3, 3], 0, 0, :2])
    assert batch.target is None and batch.mask is None


def test_values_without_a_scale_come_back_bit_for_bit():
    x = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    assert np.array_equal(Split(Rows(x), 1.0).batch(slice(0, 9)).x.numpy(), x)


@given(n=st.integers(1, 60), size=st.integers(1, 70))
def test_batches_are_all_rows_once_in_their_order(n, size):
    split = Split(Rows(pictures(n), np.arange(n)), 1.0)
    parts = list(split.batches(size))
    assert all(len(part.x) == size for part in parts[:-1]) and 1 <= len(parts[-1].x) <= size
    assert torch.cat([part.y for part in parts]).tolist() == list(range(n))


def test_limits_and_step_are_in_the_datas_units():
    data = assemble(Source(Rows(pictures() // 2), scale=1 / 255), name="p", split=EIGHT)
    x = np.concatenate([split.x.numpy() for split in data.splits.values()])
    assert data.limits == pytest.approx((x.min() / 255, x.max() / 255))
    assert data.step == 1 / 255
    real = assemble(Source(Rows(pictures().astype(np.float32))), name="p", split=EIGHT)
    assert real.step is None


# ---------------------------------------------------------------- assembly


def test_a_limit_keeps_that_many_rows_by_label_and_the_official_test_whole():
    rows = Rows(pictures(400), np.repeat(np.arange(4), [40, 80, 120, 160]))
    test = Rows(pictures(100, seed=1), np.arange(100) % 4)
    data = assemble(Source(rows, test), name="p", split=Official(0.1), limit=100)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 90, "val": 10, "test": 100}
    assert np.array_equal(data["test"].x.numpy(), test.x)
    kept = torch.cat([data["train"].y, data["val"].y]).bincount()
    assert abs(kept - torch.tensor([10, 20, 30, 40])).max() <= 1
    ids = np.concatenate([data["train"].ids, data["val"].ids])
    assert len(set(ids)) == 100  # numbers of the source, before the limit
    assert all(np.array_equal(data["train"].x[i].numpy(), rows.x[n]) for i, n in enumerate(data["train"].ids))


@pytest.mark.parametrize("limit", [2, 0, -5])
def test_a_limit_too_small_for_three_splits_is_refused(limit):
    with pytest.raises(UsageError, match=f"^limit={limit} "):
        digits(name="digits", split=EIGHT, limit=limit)


def test_a_limit_above_the_number_of_rows_changes_nothing(digit_data):
    assert digits(name="digits", split=EIGHT, limit=10**6).fingerprint == digit_data.fingerprint


def test_too_few_rows_are_refused():
    with pytest.raises(UsageError, match="2 rows are too few"):
        assemble(Source(Rows(pictures(2))), name="p", split=EIGHT)


def test_digits_are_the_1797_pictures_in_grey_levels_from_zero_to_one(digit_data):
    assert {name: len(split) for name, split in digit_data.splits.items()} == {"train": 1437, "val": 180, "test": 180}
    assert digit_data["train"].x.dtype == torch.uint8 and digit_data.shape == (1, 8, 8)
    assert digit_data.limits == (0.0, 1.0) and digit_data.step == 1 / 16
    levels = torch.cat([batch.x for batch in digit_data["train"].batches(500)]).unique() * 16
    assert levels.tolist() == list(range(17))
    assert digit_data.classes == tuple("0123456789") and digit_data.labelled


# ---------------------------------------------------------------- fingerprint


def made(x=None, y=None, seed=0, scale=1 / 255, name="p") -> Data:
    x = pictures() if x is None else x
    return assemble(Source(Rows(x, y), scale=scale), name=name, split=Fractions([8, 1, 1], seed))


def test_the_fingerprint_is_that_of_rows_and_splits_and_of_nothing_else():
    assert made().fingerprint == made().fingerprint == made(name="other").fingerprint
    assert made().fingerprint == made(x=np.asfortranarray(pictures())).fingerprint  # same rows, other layout


@given(row=st.integers(0, 49), pixel=st.integers(0, 15), change=st.integers(1, 255))
def test_a_single_pixel_changes_the_fingerprint(row, pixel, change):
    x = pictures()
    x.reshape(50, 16)[row, pixel] ^= np.uint8(change)
    assert made(x).fingerprint != made().fingerprint


def test_another_split_label_scale_or_type_changes_the_fingerprint():
    labels = np.arange(50) % 2
    prints = [
        made().fingerprint,
        made(seed=1).fingerprint,
        made(scale=1 / 256).fingerprint,
        made(x=pictures().astype(np.float32)).fingerprint,
        made(y=labels).fingerprint,
        made(y=1 - labels).fingerprint,
    ]
    assert len(set(prints)) == len(prints)


def test_a_data_set_is_labelled_where_every_split_has_a_label():
    rows = pictures()
    some, none = np.full(50, -1), np.full(50, -1)
    some[::3] = 1
    assert made(rows, some).labelled
    assert not made(rows, none).labelled
    assert not made(rows).labelled


# ---------------------------------------------------------------- MNIST and its format


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


PARTS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


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


def test_packed_files_are_no_files_and_the_message_says_so(small_mnist):
    raw = small_mnist / "MNIST" / "raw"
    for name in PARTS:
        (raw / f"{name}.gz").write_bytes(gzip.compress((raw / name).read_bytes()))
        (raw / name).unlink()
    with pytest.raises(UsageError, match="Unpack the .gz files"):
        read(small_mnist)


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


def test_torchvision_comes_in_a_fresh_interpreter_twice_and_leaves_torch_whole():
    code = (
        "import torch; from aeexp.data.vision import torchvision; "
        "a, b = torchvision(), torchvision(); "
        "assert a is b and a.MNIST.__module__ == 'torchvision.datasets.mnist'; "
        "print(torch.nn.functional.relu(torch.tensor(-1.0)).item())"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=root, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == 0
    assert torchvision() is sys.modules["torchvision.datasets"]

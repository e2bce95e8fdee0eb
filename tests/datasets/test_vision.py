"""Public picture sets, from small files in each set's own format, and MNIST from its own files where they are."""

from __future__ import annotations

import bz2
import gzip
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

from aeexp.datasets.core.splits import Official
from aeexp.datasets.sets.celeba import celeba
from aeexp.datasets.sets.vision import emnist, fashion_mnist, import_torchvision, kmnist, mnist, usps
from aeexp.datasets.sets.vision_color import cifar10, svhn
from aeexp.errors import UsageError


def pictures(n=50, seed=0, shape=(1, 4, 4)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def refused(load, root, **keys) -> str:
    """The message: one or two lines that begin with the root."""
    with pytest.raises(UsageError) as error:
        load.load(str(root), **keys)
    message = str(error.value)
    assert message.startswith(f"root={root}: dataset={load.__name__} ") and len(message.splitlines()) <= 2
    return message


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
        "import torch; from aeexp.datasets.sets.vision import import_torchvision; "
        "a, b = import_torchvision(), import_torchvision(); "
        "assert a is b and a.MNIST.__module__ == 'torchvision.datasets.mnist'; "
        "print(torch.nn.functional.relu(torch.tensor(-1.0)).item())"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=root, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == 0
    assert import_torchvision() is sys.modules["torchvision.datasets"]


def test_a_label_beyond_the_classes_is_refused(small_mnist):
    (small_mnist / "MNIST" / "raw" / PARTS[3]).write_bytes(idx(np.arange(20)))
    assert "labels 0 to 19, but there are 10 classes" in refused(mnist, small_mnist)


def test_a_pickled_copy_of_an_old_torchvision_is_not_read(small_mnist):
    old = small_mnist / "MNIST" / "processed"
    old.mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(3, 28, 28, dtype=torch.uint8), torch.zeros(3)), old / name)
    assert len(mnist.load(str(small_mnist)).rows.x) == 60


ALL = [mnist, fashion_mnist, kmnist, emnist, usps, cifar10, svhn, celeba]


@pytest.mark.parametrize("load", ALL)
def test_every_set_says_where_it_looked_and_never_fetches_unasked(tmp_path, monkeypatch, load):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("used the network"))
    root = tmp_path / "zwei Wörter"
    root.mkdir()
    message = refused(load, root)
    assert f"looked in {root}" in message and "did not find" in message
    assert "dataset.download=true" in message and "AEEXP_DATA" in message and "dataset.root" in message
    assert not any(root.iterdir())


@pytest.mark.parametrize("load", ALL)
def test_a_download_that_fails_is_said_in_words(tmp_path, monkeypatch, load):
    def offline(*_, **__):
        raise OSError("no route to host")

    import_torchvision()
    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setattr("torchvision.datasets.celeba.download_file_from_google_drive", offline)
    assert "could not be fetched" in refused(load, tmp_path, download=True)


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


# ---------------------------------------------------------------- USPS


def libsvm(x: np.ndarray, y: np.ndarray) -> bytes:
    """Lines `label index:value ...`; labels from 1, values -1 to 1."""
    lines = (f"{k + 1} " + " ".join(f"{i}:{v:.6f}" for i, v in enumerate(row, 1)) for row, k in zip(x, y, strict=True))
    return bz2.compress("\n".join([*lines, ""]).encode())


@pytest.fixture
def small_usps(tmp_path):
    for name, n in (("usps.bz2", 20), ("usps.t.bz2", 10)):
        (tmp_path / name).write_bytes(libsvm(pictures(n, n, (256,)) / 127.5 - 1, np.arange(n) % 10))
    return tmp_path


def test_usps_is_bytes_and_labels_from_zero(small_usps):
    source = usps.load(str(small_usps))
    for rows, n in ((source.rows, 20), (source.test, 10)):
        # torchvision truncates; six written digits put a value at most one level lower
        difference = pictures(n, n, (256,)).reshape(n, 1, 16, 16).astype(int) - rows.x
        assert rows.x.dtype == np.uint8 and set(np.unique(difference)) <= {0, 1}
        assert rows.y.tolist() == [i % 10 for i in range(n)]


@pytest.mark.parametrize(
    "content",
    [b"", b"no bz2", libsvm(np.zeros((3, 255)), np.arange(3)), libsvm(np.zeros((2, 256)), np.array([3, 10]))],
    ids=["empty", "no archive", "a pixel short", "label 11"],
)
def test_a_damaged_usps_is_refused(small_usps, content):
    (small_usps / "usps.t.bz2").write_bytes(content)
    assert "could not be read" in refused(usps, small_usps)


def test_a_truncated_usps_is_refused(small_usps):
    good = (small_usps / "usps.bz2").read_bytes()
    (small_usps / "usps.bz2").write_bytes(good[: len(good) // 2])
    assert "could not be read" in refused(usps, small_usps)


# ---------------------------------------------------------------- CIFAR-10

BATCHES = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]


@pytest.fixture
def small_cifar10(tmp_path):
    """Six batches of 4 pictures; labels 0 1 2 3, 4 5 6 7, 8 9 0 1, ..."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for number, name in enumerate(BATCHES):
        labels = ((np.arange(4) + 4 * number) % 10).astype(np.uint8)
        x = pictures(4, number, (3, 32, 32))
        (folder / name).write_bytes(b"".join(bytes([k]) + row.tobytes() for k, row in zip(labels, x, strict=True)))
    return tmp_path


def test_cifar10_is_channels_first_in_the_order_of_its_batches(small_cifar10):
    source = cifar10.load(str(small_cifar10))
    assert np.array_equal(source.rows.x, np.concatenate([pictures(4, number, (3, 32, 32)) for number in range(5)]))
    assert np.array_equal(source.test.x, pictures(4, 5, (3, 32, 32)))
    assert source.rows.y.tolist() == [i % 10 for i in range(20)] and source.test.y.tolist() == [0, 1, 2, 3]
    assert source.classes[0] == "airplane" and source.classes[9] == "truck"


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("was unpickled",)


def test_the_pickled_cifar10_is_not_touched(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps(Bomb()))
    message = refused(cifar10, tmp_path)
    assert "pickled, and nothing is unpickled: the binary version is wanted" in message


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(
    ("left", "word"),
    [(0, "has 0 bytes"), (1, "has 1 bytes"), (4 * 3073 - 1, "has 12291 bytes"), (3 * 3073, "{name} 3")],
)
def test_a_truncated_batch_of_cifar10_is_refused_by_its_name(small_cifar10, name, left, word):
    file = small_cifar10 / "cifar-10-batches-bin" / name
    file.write_bytes(file.read_bytes()[:left])
    message = refused(cifar10, small_cifar10)
    assert word.format(name=name) in message and name in message


def test_a_label_that_cifar10_has_not_is_refused(small_cifar10):
    file = small_cifar10 / "cifar-10-batches-bin" / "test_batch.bin"
    file.write_bytes(b"\x0a" + file.read_bytes()[1:])
    assert "labels 1 to 10" in refused(cifar10, small_cifar10)


# ---------------------------------------------------------------- SVHN


@pytest.fixture
def whole(monkeypatch):
    """Every file has the published md5 sum."""
    import_torchvision()
    for module in ("svhn", "celeba"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.check_integrity", lambda file, md5: Path(file).is_file())


@pytest.fixture
def small_svhn(tmp_path):
    for number, name in enumerate(("train", "test", "extra")):
        x = pictures(20, number, (3, 32, 32)).transpose(2, 3, 1, 0)  # (H, W, C, N) as published
        labels = (np.arange(20) % 10 + 1).astype(np.uint8)[:, None]  # 1 to 10, which means 0
        scipy.io.savemat(tmp_path / f"{name}_32x32.mat", {"X": x, "y": labels})
    return tmp_path


def test_svhn_comes_upright_with_ten_as_zero(small_svhn, whole):
    source = svhn.load(str(small_svhn))
    assert np.array_equal(source.rows.x, pictures(20, 0, (3, 32, 32)))
    assert np.array_equal(source.test.x, pictures(20, 1, (3, 32, 32)))
    assert source.rows.y.tolist() == [*range(1, 10), 0] * 2 and source.rows.y.dtype == np.int64


def test_svhns_extra_rows_follow_the_training_rows(small_svhn, whole):
    source = svhn.load(str(small_svhn), extra=True)
    assert np.array_equal(source.rows.x[20:], pictures(20, 2, (3, 32, 32))) and len(source.rows.y) == 40
    (small_svhn / "extra_32x32.mat").unlink()
    assert "did not find extra_32x32.mat" in refused(svhn, small_svhn, extra=True)
    assert len(svhn.load(str(small_svhn)).rows.x) == 20


def test_svhn_of_another_md5_sum_is_refused(small_svhn):
    message = refused(svhn, small_svhn)
    assert "train_32x32.mat" in message and "test_32x32.mat" not in message


def test_a_damaged_svhn_is_refused(small_svhn, whole):
    (small_svhn / "test_32x32.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    assert "test_32x32.mat" in refused(svhn, small_svhn)


# ---------------------------------------------------------------- CelebA

NAMES = [f"Attribute_{i}" for i in range(38)] + ["Smiling", "Young"]
PARTITION = [0] * 6 + [1] * 2 + [2] * 3
FLAGS = np.random.default_rng(0).integers(0, 2, (11, 40))


@pytest.fixture
def small_celeba(tmp_path, whole):
    """Eleven faces of 178x218 pixels: grey is 10 times their number, but for black above and below the square."""
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    files = [f"{number:06d}.jpg" for number in range(1, 12)]
    for number, name in enumerate(files, 1):
        face = np.zeros((218, 178, 3), np.uint8)
        face[20:198] = 10 * number
        Image.fromarray(face).save(folder / "img_align_celeba" / name, format="PNG")  # exact, under the true name

    def write(name, rows, head=()):
        lines = [*head, *(f"{file} {' '.join(f'{v:2d}' for v in row)}" for file, row in zip(files, rows, strict=True))]
        (folder / name).write_text("\n".join(lines) + "\n")

    write("list_attr_celeba.txt", 2 * FLAGS - 1, ["11", " ".join(NAMES) + " "])
    write("list_eval_partition.txt", [[part] for part in PARTITION])
    write("identity_CelebA.txt", [[7]] * 11)
    write("list_bbox_celeba.txt", [[1, 2, 3, 4]] * 11, ["11", "image_id x_1 y_1 width height"])
    write("list_landmarks_align_celeba.txt", [[1] * 10] * 11, ["11", "a b c d e f g h i j"])
    return tmp_path


def test_celeba_is_cut_to_its_square_in_its_official_parts(small_celeba):
    source = celeba.load(str(small_celeba), size=16)
    numbers = [1, 2, 3, 4, 5, 6], [7, 8], [9, 10, 11]
    for rows, own in zip((source.rows, source.val, source.test), numbers, strict=True):
        x = rows.x.read()
        assert x.shape == (len(own), 3, 16, 16)
        assert np.array_equal(x, np.broadcast_to(10 * np.array(own)[:, None, None, None], x.shape))
        assert np.array_equal(rows.s, FLAGS[np.array(own) - 1]) and rows.s.dtype == np.int64
        assert rows.y is None
    assert source.attributes == tuple(NAMES) and source.classes == ()
    assert celeba.load(str(small_celeba)).rows.x.shape == (6, 3, 64, 64)


def test_an_attribute_of_celeba_may_be_its_label(small_celeba):
    source = celeba.load(str(small_celeba), label="Smiling")
    assert source.classes == ("no", "yes")
    assert np.concatenate([rows.y for rows in (source.rows, source.val, source.test)]).tolist() == FLAGS[:, 38].tolist()
    with pytest.raises(UsageError, match="^label=smiling: no such attribute.*Smiling, Young"):
        celeba.load(str(small_celeba), label="smiling")
    with pytest.raises(UsageError, match="^size=0"):
        celeba.load(str(small_celeba), size=0)


def test_a_broken_picture_of_celeba_is_named_when_it_is_read(small_celeba):
    (small_celeba / "celeba" / "img_align_celeba" / "000003.jpg").write_bytes(b"no picture")
    source = celeba.load(str(small_celeba))
    assert source.rows.x[np.array([0, 1])].shape == (2, 3, 64, 64)
    with pytest.raises(UsageError, match="^root=.*000003.jpg could not be read"):
        source.rows.x[np.array([2])]


def test_pictures_that_celeba_lacks_are_named_at_the_start(small_celeba):
    (small_celeba / "celeba" / "img_align_celeba" / "000003.jpg").unlink()
    message = refused(celeba, small_celeba)
    assert "lacks 1 of 11 pictures" in message and "000003.jpg" in message


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "list_eval_partition.txt"])
@pytest.mark.parametrize("damage", [lambda t: t[: len(t) // 2], lambda t: t.replace("1", "x"), lambda t: ""])
def test_damaged_lists_of_celeba_are_refused(small_celeba, name, damage):
    file = small_celeba / "celeba" / name
    file.write_text(damage(file.read_text()))
    assert "could not be read" in refused(celeba, small_celeba)

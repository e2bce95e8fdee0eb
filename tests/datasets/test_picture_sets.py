"""Public picture sets, from small files in each set's own format; none is fetched unasked."""

from __future__ import annotations

import bz2
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from picture_sets import pictures, refused

from aeexp.datasets.sets.celeba import celeba
from aeexp.datasets.sets.vision import emnist, fashion_mnist, import_torchvision, kmnist, mnist, usps
from aeexp.datasets.sets.vision_color import cifar10, svhn

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


@pytest.mark.slow
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
def small_svhn(tmp_path):
    for number, name in enumerate(("train", "test", "extra")):
        x = pictures(20, number, (3, 32, 32)).transpose(2, 3, 1, 0)  # (H, W, C, N) as published
        labels = (np.arange(20) % 10 + 1).astype(np.uint8)[:, None]  # 1 to 10, which means 0
        scipy.io.savemat(tmp_path / f"{name}_32x32.mat", {"X": x, "y": labels})
    return tmp_path


def test_svhn_comes_upright_with_ten_as_zero(small_svhn, any_md5):
    source = svhn.load(str(small_svhn))
    assert np.array_equal(source.rows.x, pictures(20, 0, (3, 32, 32)))
    assert np.array_equal(source.test.x, pictures(20, 1, (3, 32, 32)))
    assert source.rows.y.tolist() == [*range(1, 10), 0] * 2 and source.rows.y.dtype == np.int64


def test_svhns_extra_rows_follow_the_training_rows(small_svhn, any_md5):
    source = svhn.load(str(small_svhn), extra=True)
    assert np.array_equal(source.rows.x[20:], pictures(20, 2, (3, 32, 32))) and len(source.rows.y) == 40
    (small_svhn / "extra_32x32.mat").unlink()
    assert "did not find extra_32x32.mat" in refused(svhn, small_svhn, extra=True)
    assert len(svhn.load(str(small_svhn)).rows.x) == 20


def test_svhn_of_another_md5_sum_is_refused(small_svhn):
    message = refused(svhn, small_svhn)
    assert "train_32x32.mat" in message and "test_32x32.mat" not in message


def test_a_damaged_svhn_is_refused(small_svhn, any_md5):
    (small_svhn / "test_32x32.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    assert "test_32x32.mat" in refused(svhn, small_svhn)

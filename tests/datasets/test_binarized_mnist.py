"""Larochelle's files come back as they were written; what is no such file is told."""

from __future__ import annotations

import numpy as np
import pytest

from aeexp.datasets.sets.binarized_mnist import PARTS, PIXELS, binarized_mnist, read_amat
from aeexp.errors import UsageError


def write(folder, rows: int, seed: int, part: str, end: str = "\n") -> np.ndarray:
    bits = np.random.default_rng(seed).integers(0, 2, (rows, PIXELS))
    folder.mkdir(exist_ok=True)
    text = end.join(" ".join(map(str, row)) + " " for row in bits) + end
    (folder / f"binarized_mnist_{part}.amat").write_text(text, encoding="ascii", newline="")
    return bits.astype(np.uint8)


def test_rows_and_their_official_split_come_back(tmp_path):
    folder = tmp_path / "binarized_mnist"
    written = {part: write(folder, 3 + i, i, word) for i, (part, word) in enumerate(PARTS.items())}
    source = binarized_mnist.load(str(tmp_path))
    for part, rows in (("train", source.rows), ("val", source.val), ("test", source.test)):
        assert rows is not None and rows.x.shape[1:] == (1, 28, 28) and rows.y is None
        assert np.array_equal(np.asarray(rows.x).reshape(len(rows.x), -1), written[part])


def test_lines_of_another_system_are_read(tmp_path):
    bits = write(tmp_path, 2, 0, "train", end="\r\n")
    read = read_amat("", tmp_path / "binarized_mnist_train.amat")
    assert np.array_equal(read.reshape(2, -1), bits)


@pytest.mark.parametrize("text", ["", "0 1 0\n", "2 " * PIXELS + "\n", "0 " * PIXELS + "x\n", "0.5 " * PIXELS])
def test_another_file_is_told(text, tmp_path):
    path = tmp_path / "binarized_mnist_train.amat"
    path.write_text(text, encoding="ascii")
    with pytest.raises(UsageError, match="lines of 784 digits 0 or 1"):
        read_amat(str(tmp_path), path)


def test_a_missing_file_is_told_with_the_other_way(tmp_path):
    with pytest.raises(UsageError, match=r"did not find .*_train\.amat: set dataset\.root .* dataset\.binarise=fixed"):
        binarized_mnist.load(str(tmp_path))

"""Larochelle's binarised MNIST, as its text files have it. They are the user's; nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aeexp import files
from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source
from aeexp.errors import UsageError

PIXELS = 28 * 28
LARGEST = 1 << 28  # bytes of one file: the largest has 50,000 rows of 784 digits with a space behind each
PARTS = {"train": "train", "val": "valid", "test": "test"}
ZERO, ONE = b"0"[0], b"1"[0]


@DataSet
def binarized_mnist(root: str) -> Source:
    """Digits whose pixels were drawn once to be 0 or 1 (Larochelle and Murray 2011): 50,000, 10,000 and 10,000 rows.

    `root` holds binarized_mnist/binarized_mnist_train.amat, _valid.amat and _test.amat: a row a line, 784 digits
    between spaces. They have no labels. Published values of -log p(x) on "static" or "fixed" binarised MNIST are of
    these bits.
    """
    folder = Path(root) / "binarized_mnist"
    rows = {part: Rows(read_amat(root, folder / f"binarized_mnist_{word}.amat")) for part, word in PARTS.items()}
    return Source(rows["train"], rows["test"], val=rows["val"])


def read_amat(root: str, path: Path) -> np.ndarray:
    """(N, 1, 28, 28) bytes of 0 and 1. Raises UsageError for a file that is missing or holds anything else."""
    try:
        content = files.read_bytes(path, LARGEST)
    except FileNotFoundError as error:
        raise UsageError(
            f"root={root}: dataset=binarized_mnist did not find {path.absolute()}: set dataset.root (or AEEXP_DATA) to "
            "the folder that holds binarized_mnist, or draw bits of your own by dataset=mnist dataset.binarise=fixed"
        ) from error
    except ValueError as error:
        raise UsageError(f"root={root}: {error}") from error
    letters = np.frombuffer(content, np.uint8)
    bits = letters[(letters == ZERO) | (letters == ONE)] - ZERO
    spaces = np.isin(letters, np.frombuffer(b" \t\r\n", np.uint8)).sum()
    if not len(bits) or len(bits) % PIXELS or len(bits) + spaces != len(letters):
        raise UsageError(f"root={root}: {path} is not as it should be: lines of {PIXELS} digits 0 or 1 between spaces")
    return bits.reshape(-1, 1, 28, 28)

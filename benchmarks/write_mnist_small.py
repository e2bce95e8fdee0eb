"""The digits that ship with aeexp, out of MNIST: of each class 500 training and 100 test pictures, in the files' order.

    python benchmarks/write_mnist_small.py ../shared/data    # the folder that holds MNIST/raw

writes aeexp/datasets/sets/mnist_small.npz.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from aeexp.datasets.formats import idx

FILE = Path(__file__).resolve().parents[1] / "aeexp/datasets/sets/mnist_small.npz"
PARTS = {"train": ("train", 500), "test": ("t10k", 100)}  # beginning of the files' names, rows of each class


def draw_rows(root: Path) -> dict[str, np.ndarray]:
    """Pictures (N, 28, 28) uint8, labels (N,) uint8 and row numbers (N,) uint16 in MNIST's files of both parts."""
    random = np.random.RandomState(0)  # of all generators of numpy the one whose numbers never change
    arrays = {}
    for part, (start, count) in PARTS.items():
        pictures, labels = (
            idx.read_file(root / "MNIST/raw" / f"{start}-{kind}-ubyte", f"MNIST's {start}-{kind}")
            for kind in ("images-idx3", "labels-idx1")
        )
        rows = np.sort(np.concatenate([random.permutation(np.flatnonzero(labels == k))[:count] for k in range(10)]))
        arrays |= {f"x_{part}": pictures[rows], f"y_{part}": labels[rows], f"row_{part}": rows.astype(np.uint16)}
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder that holds MNIST/raw")
    np.savez_compressed(FILE, **draw_rows(parser.parse_args().root))
    print(f"{FILE}: {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

"""Public colour picture sets of 32x32 pixels. Nothing is fetched unless `download` is true."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source, read
from aeexp.datasets.sets.vision import explain_errors, import_torchvision, pair_labels, require_files
from aeexp.errors import UsageError

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
_PIXELS = 3 * 32 * 32


@DataSet
def cifar10(root: str, download: bool = False) -> Source:
    """60,000 colour pictures of 32x32 pixels of 10 kinds, split 50,000/10,000 (Krizhevsky 2009).

    Reads the binary version; that for Python, which torchvision wants, is pickled, and nothing is unpickled.
    """
    folder = Path(root) / "cifar-10-batches-bin"
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    hint = ""
    if (Path(root) / "cifar-10-batches-py").is_dir():
        hint = "The cifar-10-batches-py there is pickled, and nothing is unpickled: the binary version is wanted. "

    def fetch() -> None:
        import_torchvision()
        files = importlib.import_module("torchvision.datasets.utils")
        files.download_and_extract_archive(_CIFAR10_URL, root, md5=_CIFAR10_MD5)

    require_files("cifar10", root, folder, names, download, fetch, hint)
    with explain_errors("cifar10", root, folder):
        batches = [_read_batch(folder / name) for name in names]
    counts = [len(batch.x) for batch in batches]
    if len(set(counts)) != 1:
        uneven = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
        raise UsageError(
            f"root={root}: dataset=cifar10 in {folder.resolve()} is cut short: batches have as many pictures each, "
            f"but here {uneven}"
        )
    return Source(_join(batches[:-1]), batches[-1], scale=1 / 255, classes=_CIFAR10)


@DataSet
def svhn(root: str, extra: bool = False, download: bool = False) -> Source:
    """99,289 colour pictures of 32x32 pixels of house numbers, split 73,257/26,032 (Netzer et al. 2011).

    `extra` adds 531,131 easier pictures to the training rows.
    """
    dataset = import_torchvision().SVHN
    splits = ["train", "test", *(["extra"] if extra else [])]
    names = [f"{part}_32x32.mat" for part in splits]

    def fetch() -> None:
        for part in splits:
            dataset(root, part, download=True)

    require_files("svhn", root, Path(root), names, download, fetch)
    parts = {}
    for part, name in zip(splits, names, strict=True):
        with explain_errors(
            "svhn", root, Path(root), f"could not be read, or {name} is damaged (remove and fetch it again)"
        ):
            rows = dataset(root, part)
            parts[part] = pair_labels(np.ascontiguousarray(rows.data), rows.labels, 10)
    rows = _join([parts["train"], parts["extra"]]) if extra else parts["train"]
    return Source(rows, parts["test"], scale=1 / 255, classes=tuple("0123456789"))


def _read_batch(file: Path) -> Rows:
    """Rows of a byte for the label and 3072 for red, green and blue of 32x32 pixels."""
    content = np.fromfile(file, np.uint8)
    if len(content) == 0 or len(content) % (1 + _PIXELS):
        raise ValueError(f"{file.name} has {len(content)} bytes, no multiple of {1 + _PIXELS}: it is cut short")
    rows = content.reshape(-1, 1 + _PIXELS)
    return pair_labels(rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64), len(_CIFAR10))


def _join(parts: list[Rows]) -> Rows:
    y = [part.y for part in parts if part.y is not None]
    return Rows(np.concatenate([read(part.x) for part in parts]), np.concatenate(y))

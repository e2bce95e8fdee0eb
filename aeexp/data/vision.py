"""Public picture sets by torchvision. Nothing is fetched unless `download` is true."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from aeexp.data.assemble import dataset
from aeexp.data.records import Rows, Source
from aeexp.errors import UsageError, require

_IDX = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


@dataset
def mnist(root: str, download: bool = False) -> Source:
    """70,000 handwritten digits of 28x28 pixels with the official 60,000/10,000 split (LeCun et al. 1998)."""
    return _idx("MNIST", "mnist", root, download)


@dataset
def fashion_mnist(root: str, download: bool = False) -> Source:
    """70,000 pictures of clothes of 28x28 pixels in MNIST's format (Xiao et al. 2017)."""
    return _idx("FashionMNIST", "fashion_mnist", root, download)


def torchvision() -> ModuleType:
    """torchvision.datasets, also beside a torch without CUDA.

    The package index's torchvision is linked against the CUDA build; beside a CPU-only torch its import fails
    for want of two operators that no data set uses. Declaring their schemas first mends it.
    """
    try:
        return importlib.import_module("torchvision.datasets")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    for operator in ("nms", "qnms"):
        _SCHEMAS.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module("torchvision.datasets")


_SCHEMAS = torch.library.Library("torchvision", "FRAGMENT")  # dropping it would undo the declarations


def _idx(kind: str, option: str, root: str, download: bool) -> Source:
    folder = Path(root) / kind / "raw"
    if not download:
        missing = [name for name in _IDX if not (folder / name).is_file()]
        packed = any((folder / f"{name}.gz").is_file() for name in missing)
        require(
            not missing,
            f"root={root}: dataset={option} looked in {folder.resolve()} and did not find {', '.join(missing)}.\n"
            f"{'Unpack the .gz files there, or set' if packed else 'Set'} dataset.root (or AEEXP_DATA) to the folder "
            f"that holds {kind}/raw, or fetch the files with dataset.download=true.",
        )
    made = getattr(torchvision(), kind)
    try:
        parts = [made(root, train=train, download=download) for train in (True, False)]
    except Exception as error:  # a damaged file raises anything: ValueError, AssertionError, KeyError ...
        what = "could not be fetched" if download else "could not be read"
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UsageError(f"root={root}: dataset={option} in {folder.resolve()} {what}: {reason}") from error
    for part in parts:
        pictures, labels = len(part.data), len(part.targets)
        counts = f"{pictures} pictures and {labels} labels"
        require(pictures == labels, f"root={root}: dataset={option} in {folder.resolve()} has {counts}")
    rows, test = (Rows(part.data.numpy()[:, None], part.targets.numpy().astype(np.int64)) for part in parts)
    return Source(rows, test, scale=1 / 255, classes=tuple(parts[0].classes))

"""Public picture sets of one channel by torchvision. Nothing is fetched unless `download` is true."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.formats import idx
from aeexp.errors import UsageError

log = logging.getLogger(__name__)

_PARTS = ("train", "t10k")


@DataSet
def mnist(root: str, download: bool = False) -> Source:
    """70,000 handwritten digits of 28x28 pixels with the official 60,000/10,000 split (LeCun et al. 1998)."""
    return _read_idx(import_torchvision().MNIST, "mnist", root, download)


@DataSet
def fashion_mnist(root: str, download: bool = False) -> Source:
    """70,000 pictures of clothes of 28x28 pixels in MNIST's format (Xiao et al. 2017)."""
    return _read_idx(import_torchvision().FashionMNIST, "fashion_mnist", root, download)


@DataSet
def kmnist(root: str, download: bool = False) -> Source:
    """70,000 cursive hiragana of 10 kinds of 28x28 pixels in MNIST's format (Clanuwat et al. 2018)."""
    return _read_idx(import_torchvision().KMNIST, "kmnist", root, download)


@DataSet
def emnist(
    root: str,
    subset: Literal["balanced", "byclass", "bymerge", "letters", "digits", "mnist"] = "balanced",
    download: bool = False,
) -> Source:
    """Handwritten digits and letters of 28x28 pixels, upright, which the files are not (Cohen et al. 2017).

    The files of `letters` count its classes from 1; here a is 0.
    """
    dataset = import_torchvision().EMNIST
    parts = (f"emnist-{subset}-train", f"emnist-{subset}-test")
    classes = tuple(dataset.classes_split_dict[subset])
    first = 1 if classes[0] == "N/A" else 0
    return _read_idx(
        dataset, "emnist", root, download, parts, classes[first:], first, transposed=True, keys={"split": subset}
    )


@DataSet
def usps(root: str, download: bool = False) -> Source:
    """9,298 handwritten digits of 16x16 pixels from envelopes, split 7,291/2,007 (Hull 1994)."""
    dataset = import_torchvision().USPS

    def fetch() -> None:
        for train in (True, False):
            dataset(root, train, download=True)

    require_files("usps", root, Path(root), ["usps.bz2", "usps.t.bz2"], download, fetch)
    parts = []
    for train in (True, False):
        with explain_errors("usps", root, Path(root)):
            part = dataset(root, train)
            parts.append(pair_labels(part.data[:, None], np.array(part.targets, np.int64), 10))
    return Source(*parts, scale=1 / 255, classes=tuple("0123456789"))


def import_torchvision() -> ModuleType:
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


def require_files(
    option: str, root: str, folder: Path, names: list[str], download: bool, fetch: Callable[[], None], hint: str = ""
) -> None:
    """All files are in the folder, fetched if they may be. `hint` is said where they are not."""
    missing = [name for name in names if not (folder / name).exists()]
    if missing and download:
        with explain_errors(option, root, folder, "could not be fetched"):
            fetch()
        missing = [name for name in names if not (folder / name).exists()]
    if missing:
        wanted = ", ".join(names) if folder == Path(root) else folder.relative_to(root)
        raise UsageError(
            f"root={root}: dataset={option} looked in {folder.resolve()} and did not find {', '.join(missing)}.\n"
            f"{hint}Set dataset.root (or AEEXP_DATA) to the "
            f"folder that holds {wanted}, or fetch the files with dataset.download=true."
        )


@contextmanager
def explain_errors(option: str, root: str, folder: Path, what: str = "could not be read") -> Iterator[None]:
    """Say in words what a damaged file or a failed download raises."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # ValueError, AssertionError, EOFError, URLError ...
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UsageError(f"root={root}: dataset={option} in {folder.resolve()} {what}: {reason}") from error


def pair_labels(x: np.ndarray, y: np.ndarray, classes: int) -> Rows:
    """Pictures with a label each. Raises ValueError, for `explain_errors`."""
    if len(x) != len(y):
        raise ValueError(f"{len(x)} pictures and {len(y)} labels")
    if len(x) == 0:
        raise ValueError("no pictures")
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(f"labels {y.min()} to {y.max()}, but there are {classes} classes")
    return Rows(x, y)


def _read_idx(
    dataset: Any,
    option: str,
    root: str,
    download: bool,
    parts: tuple[str, str] = _PARTS,
    classes: tuple[str, ...] | None = None,
    first: int = 0,
    transposed: bool = False,
    keys: dict[str, str] | None = None,
) -> Source:
    """Training and test files in MNIST's format by torchvision's class, which takes `keys`.

    `first` is the smallest label; `transposed` says that the files hold columns where they should hold rows.
    """
    folder = Path(root) / dataset.__name__ / "raw"
    files = [(f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte") for part in parts]
    names = [name for pair in files for name in pair]
    found = find_files(root, dataset.__name__, option, names)
    if found is None:

        def fetch() -> None:
            for train in (True, False):
                dataset(root, train=train, download=True, **(keys or {}))

        require_files(option, root, folder, names, download, fetch)
        found = {name: folder / name for name in names}
    # not by torchvision's class, which prefers a pickled copy in `processed` where an old version left one
    classes = tuple(dataset.classes) if classes is None else classes
    rows = []
    for pictures, labels in files:
        start = f"root={root}: dataset={option} in {found[pictures].parent.resolve()} could not be read"
        x, y = (idx.read_file(found[name], f"{start}: {found[name].name}") for name in (pictures, labels))
        with explain_errors(option, root, found[pictures].parent):
            if (x.dtype, x.ndim, y.dtype, y.ndim) != (np.uint8, 3, np.uint8, 1):
                raise ValueError(
                    f"pictures {x.dtype} {x.shape} and labels {y.dtype} {y.shape}: bytes (N, H, W) and (N,)"
                )
            x = np.ascontiguousarray(x.swapaxes(1, 2)) if transposed else x
            rows.append(pair_labels(x[:, None], y.astype(np.int64) - first, len(classes)))
    return Source(*rows, scale=1 / 255, classes=classes)


def find_files(root: str, name: str, option: str, names: list[str]) -> dict[str, Path] | None:
    """The files of a set, plain or gzipped, in one of the folders in which people have them; None where one is missing.

    torchvision's own comes first; files that lie in `root` itself may be those of any set, and a word says so.
    """
    places = [Path(root), *(Path(root) / place for place in ("raw", "gzip"))]
    for place in [*(Path(root) / place for place in (f"{name}/raw", name, option)), *places]:
        files = {each: idx.find_file(place / each) for each in names}
        found = {each: file for each, file in files.items() if file is not None}
        if len(found) == len(names):
            if place in places:
                log.info("root=%s: the files in %s are taken for those of dataset=%s", root, place, option)
            return found
    return None

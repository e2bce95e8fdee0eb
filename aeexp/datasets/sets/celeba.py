"""Faces of celebrities. Nothing is fetched unless `download` is true."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source, StoredArray
from aeexp.datasets.formats.pictures import Pictures
from aeexp.datasets.sets.vision import explain_errors, import_torchvision, require_files
from aeexp.errors import UsageError
from aeexp.ranges import Count

_LISTS = [
    "list_attr_celeba.txt",
    "identity_CelebA.txt",
    "list_bbox_celeba.txt",
    "list_landmarks_align_celeba.txt",
    "list_eval_partition.txt",
]
_PICTURES = "img_align_celeba"


@DataSet
def celeba(root: str, size: Count = 64, label: str | None = None, download: bool = False) -> Source:
    """202,599 aligned faces with 40 binary attributes, split 162,770/19,867/19,962 by person (Liu et al. 2015).

    The 178x218 pixels are cut to the middle 178x178 and resized to `size`; they are decoded when they are read.
    s is (N, 40); `label` picks one attribute as y.
    """
    dataset = import_torchvision().CelebA
    folder = Path(root) / "celeba"
    require_files("celeba", root, folder, [*_LISTS, _PICTURES], download, lambda: dataset(root, "all", download=True))
    with explain_errors("celeba", root, folder):
        faces = dataset(root, "all")
        partition = np.loadtxt(folder / "list_eval_partition.txt", np.int64, usecols=1, ndmin=1, encoding="utf-8")
        s = faces.attr.numpy().astype(np.int64)
        names = tuple(name for name in faces.attr_names if name)  # the header line ends with a blank
        if len(names) != s.shape[1] or set(np.unique(s)) - {0, 1} or set(np.unique(partition)) != {0, 1, 2}:
            raise ValueError("the lists hold other columns or values than they should")
    if label is not None and label not in names:
        raise UsageError(f"label={label}: no such attribute of celeba; there are {', '.join(names)}")
    absent = sorted(set(faces.filename) - set(os.listdir(folder / _PICTURES)))
    if absent:
        raise UsageError(
            f"root={root}: dataset=celeba lacks {len(absent)} of {len(faces.filename)} pictures in "
            f"{(folder / _PICTURES).resolve()}, such as {absent[0]}.\nUnpack {_PICTURES}.zip there anew."
        )
    key = f"root={root}"
    pictures = Pictures([str(folder / _PICTURES / name) for name in faces.filename], key, "color", [size, size])
    y = None if label is None else s[:, names.index(label)]
    rows = Rows(StoredArray(pictures, str(folder)), y, s)
    train, val, test = (rows.take(np.flatnonzero(partition == part)) for part in range(3))
    answers = ("no", "yes")
    return Source(
        train, test, 1 / 255, () if label is None else answers, val, names, groups=tuple(answers for _ in names)
    )

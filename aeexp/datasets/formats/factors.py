"""Pictures whose factors are known, in the files that their makers give out. Nothing is downloaded."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.formats.factor_files import (
    draw_rows,
    find_file,
    read_h5,
    read_mat,
    read_norb,
    read_npz_array,
    read_npz_rows,
)
from aeexp.errors import UsageError
from aeexp.ranges import Count, Seed

SPRITES = ("color", "shape", "scale", "orientation", "x", "y")
SHAPES = ("floor hue", "wall hue", "object hue", "scale", "shape", "orientation")
MPI = ("object color", "object shape", "object size", "camera height", "background color", "horizontal axis",
       "vertical axis")  # fmt: skip
# how many values each factor has, told by how many pictures there are: 1,036,800, and of real complex 460,800
MPI_SIZES = ((6, 6, 2, 3, 3, 40, 40), (4, 4, 2, 3, 3, 40, 40))
NORB = ("instance", "elevation", "azimuth", "lighting")


@DataSet
def dsprites(path: str, rows: Count | None = None, rows_seed: Seed = 0) -> Source:
    """dSprites (Matthey et al. 2017): figures (1, 64, 64) of 0 and 1 from its .npz, with five factors `s`.

    `rows` of them are drawn, and the file is read in order: the whole has 737,280, which are 3 GB.
    """
    file = find_file(path)
    pictures, chosen, total = read_npz_rows(file, ("imgs",), rows, rows_seed)
    classes = read_npz_array(file, ("latents_classes",))
    if pictures.ndim != 3 or classes.shape != (total, len(SPRITES)):
        raise UsageError(f"path={path}: imgs {pictures.shape} and latents_classes {classes.shape} are none of dSprites")
    factors = classes[chosen][:, 1:]  # the colour never varies
    return _make_source(pictures[:, None], factors, SPRITES[1:], 1.0 if pictures.max() <= 1 else 1 / 255)


@DataSet
def shapes3d(path: str, rows: Count | None = None, rows_seed: Seed = 0) -> Source:
    """3D Shapes (Burgess and Kim 2018): rooms (3, 64, 64) from its .h5 (extra `factors`), with six factors `s`.

    `rows` of the 480,000 are drawn; the whole has 6 GB.
    """
    pictures, labels = read_h5(find_file(path), "images", "labels", rows, rows_seed)
    if pictures.ndim != 4 or labels.shape != (len(pictures), len(SHAPES)):
        raise UsageError(f"path={path}: images {pictures.shape} and labels {labels.shape} are none of 3D Shapes")
    return _make_source(pictures.transpose(0, 3, 1, 2), _number(labels), SHAPES)


@DataSet
def mpi3d(path: str, rows: Count | None = None, rows_seed: Seed = 0) -> Source:
    """MPI3D (Gondal et al. 2019): a robot's arm (3, 64, 64) from the .npz of toy, realistic, real or real complex, with
    seven factors `s`, which follow from where a picture stands in the file.

    `rows` of the 1,036,800 (complex: 460,800) are drawn, and the file is read in order; the whole has 12 GB.
    """
    pictures, chosen, total = read_npz_rows(find_file(path), ("images",), rows, rows_seed)
    sizes = next((sizes for sizes in MPI_SIZES if np.prod(sizes) == total), None)
    if sizes is None or pictures.ndim != 4:
        raise UsageError(f"path={path}: {total} pictures {pictures.shape[1:]} are none of MPI3D's files")
    factors = np.stack(np.unravel_index(chosen, sizes), 1)
    return _make_source(pictures.transpose(0, 3, 1, 2), factors, MPI)


@DataSet
def cars3d(path: str, rows: Count | None = None, rows_seed: Seed = 0) -> Source:
    """Cars3D (Reed et al. 2015): cars (3, 64, 64) from the folder of .mat files, one a car, with elevation, azimuth and
    car as factors `s`.

    Of the stored 128x128 pixels the mean of each 2x2 is taken.
    """
    folder = find_file(path)
    files = sorted(folder.rglob("*.mat")) if folder.is_dir() else []
    if not files:
        raise UsageError(f"path={path}: no .mat files there: give the folder that the archive of Cars3D unpacks to")
    pictures, factors = [], []
    for car, file in enumerate(files):
        stored = read_mat(file, "im")
        if stored.ndim != 5 or stored.shape[2] != 3:
            raise UsageError(f"path={file}: im is {stored.shape}, and (128, 128, 3, 24, 4) is needed")
        views = stored.transpose(4, 3, 2, 0, 1)  # elevation, azimuth, C, H, W
        elevation, azimuth = np.indices(views.shape[:2]).reshape(2, -1)
        pictures.append(_halve(views.reshape(-1, *views.shape[2:])))
        factors.append(np.stack([elevation, azimuth, np.full_like(azimuth, car)], 1))
    x, s = np.concatenate(pictures), np.concatenate(factors)
    chosen = draw_rows(len(x), rows, rows_seed)
    return _make_source(x[chosen], s[chosen], ("elevation", "azimuth", "car"))


@DataSet
def small_norb(
    path: str, rows: Count | None = None, rows_seed: Seed = 0, camera: Literal["left", "right", "both"] = "left"
) -> Source:
    """smallNORB (LeCun et al. 2004): toys (1, 48, 48) from the -dat.mat file (.gz as well), beside which -cat.mat and
    -info.mat lie; the category is the label, and instance, elevation, azimuth and lighting are factors `s`.

    `camera` takes the picture of one eye or both as channels; of 96x96 pixels the mean of each 2x2.
    """
    file = find_file(path)
    if "-dat" not in file.name:
        raise UsageError(f"path={path}: give the file of pictures, which ends in -dat.mat")
    pairs = read_norb(file)
    beside = {part: read_norb(find_file(str(file.with_name(re.sub("-dat", f"-{part}", file.name)))))
              for part in ("cat", "info")}  # fmt: skip
    count = len(pairs)
    if pairs.ndim != 4 or beside["cat"].shape != (count,) or beside["info"].shape != (count, len(NORB)):
        raise UsageError(f"path={path}: pictures {pairs.shape}, and beside them other numbers of labels or factors")
    chosen = draw_rows(count, rows, rows_seed)
    if camera != "left" and pairs.shape[1] < 2:
        raise UsageError(f"camera={camera}: {file.name} has the pictures of one eye: take dataset.camera=left")
    eyes = {"left": slice(0, 1), "right": slice(1, 2), "both": slice(0, 2)}[camera]
    x = _halve(pairs[chosen][:, eyes])
    source = _make_source(x, _number(beside["info"][chosen]), NORB)
    names = ("animal", "human", "airplane", "truck", "car")
    return source._replace(rows=source.rows._replace(y=beside["cat"][chosen].astype(np.int64)), classes=names)


def _make_source(x: np.ndarray, factors: np.ndarray, names: tuple[str, ...], scale: float = 1 / 255) -> Source:
    rows = Rows(np.ascontiguousarray(_to_bytes(x)), s=factors.astype(np.float32))
    return Source(rows, scale=scale, attributes=names)


def _to_bytes(x: np.ndarray) -> np.ndarray:
    """As uint8. Raises UsageError for pictures in other units, of which whole numbers would leave nothing."""
    if x.dtype == np.uint8 or (((x == 0) | ((x >= 1) & (x <= 255) & (x % 1 == 0))).all()):
        return x.astype(np.uint8)
    raise UsageError(
        f"path: pictures of type {x.dtype} from {x.min():.4g} to {x.max():.4g} are none of this data set, whose values "
        "are whole, from 0 to 255: dataset=npz takes others"
    )


def _number(values: np.ndarray) -> np.ndarray:
    """(N, F) values of each column by their order, from 0 on."""
    return np.stack([np.unique(column, return_inverse=True)[1] for column in values.T], 1)


def _halve(x: np.ndarray) -> np.ndarray:
    """(N, C, H / 2, W / 2) bytes: means of 2x2 pixels."""
    n, c, h, w = x.shape
    if h % 2 or w % 2:
        raise UsageError(f"path: pictures of {h}x{w} pixels are none of this data set")
    return _to_bytes(x).reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5)).round().astype(np.uint8)

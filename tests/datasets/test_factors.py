"""Files of pictures with factors, made small in their makers' own forms."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.formats import factors as formats
from aeexp.datasets.formats.factor_files import read_npz_rows
from aeexp.datasets.formats.factors import cars3d, dsprites, mpi3d, shapes3d, small_norb
from aeexp.errors import UsageError

SPLIT = Fractions([8, 1, 1])
RNG = np.random.default_rng(0)


def load(kind, path, **keys):
    return kind(path=str(path), name="made", split=SPLIT, **keys)


def whole(data):
    """All rows in the order of the source: pictures in the data's units, labels, factors."""
    batches = [next(data[name].batches(10_000)) for name in ("train", "val", "test")]
    ids = np.concatenate([batch.ids.numpy() for batch in batches])
    order = np.argsort(ids)
    fields = [np.concatenate([np.asarray(part) for part in parts])[order] if parts[0] is not None else None
              for parts in zip(*((b.x, b.y, b.s) for b in batches), strict=True)]  # fmt: skip
    return fields


def sprites_file(path, n=90):
    pictures = (RNG.random((n, 64, 64)) < 0.2).astype(np.uint8)
    classes = np.stack([np.zeros(n), *(np.arange(n) % k for k in (3, 6, 40, 32, 32))], 1).astype(np.int64)
    # the real file has a pickled dictionary beside them
    np.savez_compressed(path, metadata=np.array({"author": "x"}, dtype=object), imgs=pictures, latents_classes=classes)
    return pictures, classes


def test_dsprites_are_its_pictures_and_five_factors_and_nothing_is_unpickled(tmp_path):
    path = tmp_path / "dsprites.npz"
    pictures, classes = sprites_file(path)
    data = load(dsprites, path)
    x, y, s = whole(data)
    np.testing.assert_array_equal(x[:, 0], pictures)
    np.testing.assert_array_equal(s, classes[:, 1:])
    assert y is None and data.attributes == ("shape", "scale", "orientation", "x", "y") and data.is_binary
    few, _, factors = whole(load(dsprites, path, rows=30))
    places = [int(np.flatnonzero((pictures == row[0]).all((1, 2)))[0]) for row in few]
    assert len(few) == 30 and places == sorted(places)
    np.testing.assert_array_equal(factors, classes[places][:, 1:])
    assert not np.array_equal(few, whole(load(dsprites, path, rows=30, rows_seed=1))[0])


def test_rows_of_an_archive_are_read_block_by_block(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    values = RNG.integers(0, 255, (50, 7)).astype(np.uint8)
    np.savez(path, imgs=values)
    monkeypatch.setattr("aeexp.datasets.formats.factor_files.BLOCK", 40)
    found, chosen, count = read_npz_rows(path, ("imgs",), 17, 3)
    np.testing.assert_array_equal(found, values[chosen])
    assert count == 50 and len(chosen) == 17


def test_mpi3d_has_its_factors_by_the_place_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "MPI_SIZES", ((2, 2, 2, 1, 1, 3, 5),))
    path = tmp_path / "mpi3d_toy.npz"
    pictures = RNG.integers(0, 255, (120, 8, 8, 3)).astype(np.uint8)
    np.savez(path, images=pictures)
    data = load(mpi3d, path)
    x, _, s = whole(data)
    np.testing.assert_allclose(x, pictures.transpose(0, 3, 1, 2) / 255, atol=1e-6)
    np.testing.assert_array_equal(s, np.indices((2, 2, 2, 1, 1, 3, 5)).reshape(7, -1).T)
    few = load(mpi3d, path, rows=40)
    assert whole(few)[2].shape == (40, 7) and few.attributes[0] == "object color"
    np.savez(path, images=pictures[:100])
    with pytest.raises(UsageError, match="^path=.*100 pictures"):
        load(mpi3d, path)


def test_cars3d_are_means_of_2x2_pixels_of_each_view(tmp_path):
    from scipy.io import savemat

    stored = RNG.integers(0, 255, (3, 16, 16, 3, 4, 2)).astype(np.uint8)
    for car, views in enumerate(stored):
        savemat(tmp_path / f"car_{car:03d}_mesh.mat", {"im": views})
    data = load(cars3d, tmp_path)
    x, _, s = whole(data)
    assert x.shape == (24, 3, 8, 8) and data.attributes == ("elevation", "azimuth", "car")
    for picture, (elevation, azimuth, car) in zip(x, s.astype(int), strict=True):
        view = stored[car][:, :, :, azimuth, elevation].transpose(2, 0, 1)
        expected = view.reshape(3, 8, 2, 8, 2).mean((2, 4))
        np.testing.assert_allclose(picture * 255, expected, atol=0.5001)
    (tmp_path / "car_000_mesh.mat").write_bytes(b"no file of matlab")
    with pytest.raises(UsageError, match="no readable .mat"):
        load(cars3d, tmp_path)
    with pytest.raises(UsageError, match="no .mat files there"):
        load(cars3d, tmp_path / "car_001_mesh.mat")


def write_norb(path, array):
    magic = 0x1E3D4C55 if array.dtype == np.uint8 else 0x1E3D4C54
    sides = [*array.shape, *[1] * (3 - array.ndim)]
    raw = np.array([magic, array.ndim, *sides], "<u4").tobytes() + array.tobytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


@pytest.mark.parametrize("end", ["", ".gz"])
def test_small_norb_is_read_from_its_three_files(tmp_path, end):
    files = {part: tmp_path / f"smallnorb-5x46789-training-{part}.mat{end}" for part in ("dat", "cat", "info")}
    pairs = RNG.integers(0, 255, (40, 2, 12, 12)).astype(np.uint8)
    info = np.stack([np.arange(40) % 2 + 4, np.arange(40) % 3, 2 * (np.arange(40) % 5), np.arange(40) % 6], 1)
    write_norb(files["dat"], pairs)
    write_norb(files["cat"], (np.arange(40) % 5).astype("<i4"))
    write_norb(files["info"], info.astype("<i4"))
    data = load(small_norb, files["dat"])
    x, y, s = whole(data)
    np.testing.assert_allclose(x[:, 0] * 255, pairs[:, 0].reshape(40, 6, 2, 6, 2).mean((2, 4)), atol=0.5001)
    np.testing.assert_array_equal(y, np.arange(40) % 5)
    np.testing.assert_array_equal(s, np.stack([np.arange(40) % k for k in (2, 3, 5, 6)], 1))
    assert data.classes[0] == "animal" and load(small_norb, files["dat"], camera="both").shape == (2, 6, 6)
    write_norb(files["cat"], np.arange(39).astype("<i4"))
    with pytest.raises(UsageError, match="other numbers of labels"):
        load(small_norb, files["dat"])
    files["info"].unlink()
    with pytest.raises(UsageError, match="no such file"):
        load(small_norb, files["dat"])
    files["dat"].write_bytes(b"0123456789")
    with pytest.raises(UsageError, match="no file of smallNORB|cannot be read"):
        load(small_norb, files["dat"])


def test_shapes3d_is_read_by_h5py(tmp_path):
    h5py = pytest.importorskip("h5py", reason="needs h5py: pip install aeexp[factors]")
    path = tmp_path / "3dshapes.h5"
    pictures = RNG.integers(0, 255, (60, 8, 8, 3)).astype(np.uint8)
    labels = np.stack([np.arange(60) % k / 7 for k in (10, 10, 10, 8, 4, 15)], 1)
    with h5py.File(path, "w") as file:
        file["images"], file["labels"] = pictures, labels
    data = load(shapes3d, path)
    x, _, s = whole(data)
    np.testing.assert_allclose(x, pictures.transpose(0, 3, 1, 2) / 255, atol=1e-6)
    np.testing.assert_array_equal(s, np.stack([np.arange(60) % k for k in (10, 10, 10, 8, 4, 15)], 1))
    assert len(whole(load(shapes3d, path, rows=20))[0]) == 20 and data.attributes[0] == "floor hue"
    path.write_bytes(b"nothing")
    with pytest.raises(UsageError, match="no readable .h5"):
        load(shapes3d, path)


@pytest.mark.parametrize("sides", [(2**31, 2**31, 2**31, 2**31), (2**31, 2**20), (3, 4)])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_a_norb_file_whose_head_speaks_of_more_than_there_is_is_told_at_once(sides, end, tmp_path):
    path = tmp_path / f"a-dat.mat{end}"
    head = np.array([0x1E3D4C55, len(sides), *sides, 1][: max(5, 2 + len(sides))], "<u4").tobytes()
    path.write_bytes(gzip.compress(head) if end else head)
    with pytest.raises(UsageError, match="^path=.*is damaged"):
        load(small_norb, path)


@pytest.mark.parametrize("high", [1.0, 0.5, 255.0, np.nan, -3.0])
def test_pictures_in_other_units_are_refused_in_place_of_rounded(high, tmp_path):
    path = tmp_path / "dsprites.npz"
    sprites_file(path)
    with np.load(path, allow_pickle=False) as file:
        pictures, classes = file["imgs"], file["latents_classes"]
    np.savez(path, imgs=pictures.astype(np.float32) * high, latents_classes=classes)
    if high in (1.0, 255.0):  # whole numbers, as others
        np.testing.assert_allclose(whole(load(dsprites, path))[0][:, 0], pictures)
    else:
        with pytest.raises(UsageError, match="^path: pictures of type float32"):
            load(dsprites, path)
    np.savez(path, imgs=pictures, latents_classes=classes[:-1])
    with pytest.raises(UsageError, match="none of dSprites"):
        load(dsprites, path)


@pytest.mark.parametrize("kind", [dsprites, shapes3d, mpi3d, cars3d, small_norb])
def test_a_file_that_is_not_there_is_told(kind, tmp_path):
    with pytest.raises(UsageError, match="^path=.*no such file"):
        load(kind, tmp_path / "missing")


def test_another_archive_is_refused(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, x=np.zeros(3))
    with pytest.raises(UsageError, match="^path=.*has no array imgs"):
        load(dsprites, path)
    path.write_bytes(b"PK no archive")
    with pytest.raises(UsageError, match="no readable .npz"):
        load(dsprites, path)

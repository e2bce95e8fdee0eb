"""Files of one kind for the tests of this folder; each is overwritten by the next call of its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="module")
def npz_file(tmp_path_factory):
    """npz_file(x=..., y=..., ...): a path that holds these arrays."""
    path = tmp_path_factory.mktemp("npz") / "data.npz"

    def save(**arrays) -> Path:
        np.savez(path, **arrays)
        return path

    return save


@pytest.fixture(scope="module")
def csv_file(tmp_path_factory):
    """csv_file(text or bytes, name): a path that holds it."""
    folder = tmp_path_factory.mktemp("csv") / "zwei Wörter"
    folder.mkdir()

    def save(content: str | bytes, name: str = "data.csv") -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return save


@pytest.fixture(scope="module")
def arrow_cache(tmp_path_factory):
    """A cache of the library datasets of this module's own, also where it was imported with another HF_HOME."""
    from arrow_files import datasets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield datasets.config.HF_DATASETS_CACHE


@pytest.fixture(scope="module")
def arrow_folder(tmp_path_factory, arrow_cache):
    """Three Parquet files: a vector, a picture, two numbers, labels as integers and texts."""
    from arrow_files import PICTURES, X, Y, cut, nested, parquet, png

    folder = tmp_path_factory.mktemp("hf") / "zwei Wörter [1]"
    for number, (x, p, y) in enumerate(cut(X, PICTURES, Y)):
        columns = {"v": nested(x), "a": x[:, 0], "b": x[:, 1].astype(np.float64), "label": y}
        parquet(folder / f"{number}.parquet", **columns, img=[png(one) for one in p], text=[f"ä{n}" for n in y])
    return folder


@pytest.fixture
def any_md5(monkeypatch):
    """Every file of torchvision's sets has the published md5 sum."""
    from aeexp.datasets.sets.vision import import_torchvision

    import_torchvision()
    for module in ("svhn", "celeba"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.check_integrity", lambda file, md5: Path(file).is_file())


@pytest.fixture
def two_classes(tmp_path):
    """Four grey pictures: ant/0, ant/1, bee/0 and bee/deep/er/1."""
    from picture_files import grey, save

    for seed, name in enumerate(["ant/0.png", "ant/1.png", "bee/0.png", "bee/deep/er/1.png"]):
        save(tmp_path / name, grey(seed))
    return tmp_path

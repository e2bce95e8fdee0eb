"""What data is called: as its path ends, unless it is named; and arrays found by the names that people give them."""

from __future__ import annotations

import numpy as np
import pytest
from composing import composed
from npz_files import X, Y, read

from aeexp.datasets.core.assemble import find_name
from aeexp.datasets.formats.npz import npz
from aeexp.runs.config import check, make

MASKS = np.random.default_rng(0).integers(0, 3, (40, 2, 3))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data.csv", "data"), ("a/b/Größe 2.tar.gz", "Größe 2"),
        ("x/train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"),
        ("v1.5", "v1.5"), ("a/pictures/", "pictures"), ("t/train-{000000..000019}.tar", "train"), ("t/*.tar", "t"),
        ("sqlite:///rows.db", "rows"), ("csv", "csv"),
    ],
)  # fmt: skip
def test_a_name_is_the_end_of_the_path(path, name):
    assert find_name(path) == name


def test_a_folder_of_dots_has_its_own_name(tmp_path, monkeypatch):
    (tmp_path / "own" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "own")
    assert [find_name(path) for path in (".", "..", "deep/..")] == ["own", tmp_path.name, "own"]


@pytest.mark.parametrize("name", ["5 $_$ [b] <i>", "a{1..3}", "what?", "x*y", "[b]", "ends_"])
def test_a_file_that_is_there_is_called_by_its_whole_name(name, tmp_path):
    for ending in (".csv", ".npz", ".txt", ".tar.gz"):
        (tmp_path / f"{name}{ending}").touch()
        assert find_name(str(tmp_path / f"{name}{ending}")) == name


def test_a_run_calls_its_data_by_the_file_or_as_it_is_told(tmp_path):
    np.savez(tmp_path / "my_rows.npz", x=X, y=Y)
    for words, name in (([], "my_rows"), (["dataset.name=other"], "other")):
        cfg = composed("dataset=npz", f"dataset.path={tmp_path}/my_rows.npz", *words)
        check(cfg)
        assert make(cfg, "dataset").name == name
    assert make(composed("dataset=digits"), "dataset").name == "digits"


@pytest.mark.parametrize("end", ["", "_train"])
@pytest.mark.parametrize("x", ["x", "X"])
@pytest.mark.parametrize("y", ["y", "Y", "label", "labels"])
@pytest.mark.parametrize("target", ["target", "mask"])
def test_arrays_are_found_by_the_names_that_people_give(tmp_path, end, x, y, target):
    arrays = {x: X.reshape(40, 1, 2, 3), y: Y, target: MASKS}
    np.savez(tmp_path / "a.npz", **{name + end: array for name, array in arrays.items()})
    source = npz.load(str(tmp_path / "a.npz"))
    assert source.rows.y.tolist() == Y.tolist() and np.array_equal(source.rows.target, MASKS)
    left = npz.load(str(tmp_path / "a.npz"), y="none", target="none")
    assert left.rows.y is None and left.rows.target is None


def test_a_target_that_is_no_target_of_rows_is_labels_or_nothing(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, X=X, target=Y)  # as scikit-learn calls labels
    assert npz.load(str(path)).rows.y.tolist() == Y.tolist() and npz.load(str(path)).rows.target is None
    np.savez(path, X=X, mask=np.ones((7, 7)))  # one for all
    assert npz.load(str(path)).rows.target is None
    np.savez(path, X=X, y=Y, target=X[:, 0])
    source = npz.load(str(path), target="target")
    assert source.rows.y.tolist() == Y.tolist() and source.rows.response.shape == (40,)
    assert read(path).classes == ("0", "1", "2", "3")

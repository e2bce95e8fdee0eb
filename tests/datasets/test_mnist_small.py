"""The digits that ship: MNIST's own rows, as many of each class, and the data of a run that names none."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from composing import compose_as_typed

import aeexp
from aeexp.datasets.core.splits import Fractions, Official
from aeexp.datasets.formats import idx
from aeexp.datasets.sets.bundled import mnist_small
from aeexp.datasets.sets.vision import mnist
from aeexp.reference.options import read_defaults

FILE = Path(aeexp.__file__).parent / "datasets/sets/mnist_small.npz"


@pytest.fixture(scope="module")
def data():
    return mnist_small(name="mnist_small", split=Official(0.1))


def test_it_is_balanced_and_has_mnists_split(data):
    counts = {name: split.y.bincount().tolist() for name, split in data.splits.items()}
    assert counts == {"train": [450] * 10, "val": [50] * 10, "test": [100] * 10}
    assert data.shape == (1, 28, 28) and data["train"].x.dtype == torch.uint8 and data.limits == (0.0, 1.0)
    assert data.classes == tuple("0123456789")


def test_other_splits_leave_the_official_test_rows_out():
    others = mnist_small(name="mnist_small", split=Fractions([8, 1, 1]))
    assert {name: len(split) for name, split in others.splits.items()} == {"train": 4000, "val": 500, "test": 500}


def test_the_rows_are_mnists_and_the_script_makes_the_file_anew(shared_data, tmp_path, monkeypatch):
    """Arrays first, which hold anywhere; the bytes where zlib is the one that packed them."""
    monkeypatch.setattr(sys, "path", [str(FILE.parents[3]), *sys.path])
    from benchmarks.write_mnist_small import draw_rows

    made = draw_rows(shared_data)
    with np.load(FILE, allow_pickle=False) as file:
        assert set(file) == set(made)
        assert all(
            np.array_equal(file[name], array) and file[name].dtype == array.dtype for name, array in made.items()
        )
    for part, start in (("train", "train"), ("test", "t10k")):
        rows = made[f"row_{part}"]
        raw = shared_data / "MNIST/raw" / f"{start}-images-idx3-ubyte"
        assert (np.diff(rows.astype(int)) > 0).all()  # none twice, in the files' order
        assert np.array_equal(idx.read_file(raw, "pictures")[rows], made[f"x_{part}"])
    np.savez_compressed(tmp_path / "anew.npz", **made)
    if len(anew := (tmp_path / "anew.npz").read_bytes()) == FILE.stat().st_size:
        assert anew == FILE.read_bytes()


def test_none_of_its_test_rows_is_one_that_mnist_trains_on(data, shared_data):
    whole = mnist(name="mnist", split=Official(0.1), root=str(shared_data))
    trained = {row.tobytes() for name in ("train", "val") for row in whole[name].x.numpy()}
    assert not any(row.tobytes() in trained for row in data["test"].x.numpy())


def test_it_is_small_and_says_whose_it_is():
    assert FILE.stat().st_size <= 1_600_000
    said = FILE.with_suffix(".txt").read_text(encoding="utf-8")
    assert "LeCun" in said and "CC BY-SA 3.0" in said


def test_a_run_that_names_no_data_has_it():
    assert compose_as_typed().dataset.name == "mnist_small"
    assert read_defaults()["dataset"][0] == ("mnist_small",)

"""Rows that Python holds: arrays, tensors, frames and Datasets become the same run, and what is none is told."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import load_digits, load_wine
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

import aeexp
from aeexp.api.rows import give, read_rows
from aeexp.errors import UsageError

QUICK = ("trainer.steps=3", "latent.dim=2", "plot=none", "metric=none")
X, Y = load_digits(return_X_y=True)
X, Y = (X[:80].reshape(-1, 8, 8) / 16).astype(np.float32), Y[:80]


class Pairs(Dataset):
    """Items (picture with channel, label), as torchvision has them."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, place: int) -> tuple:
        return torch.from_numpy(X[place][None]), int(Y[place])


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


GIVEN = {
    "arrays": (X, Y),
    "tensors": (torch.from_numpy(X).requires_grad_(), torch.from_numpy(Y)),
    "lists": (X.tolist(), Y.tolist()),
    "with channels last": (X[..., None], Y),
    "a tensor dataset": (TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), None),
    "a dataset of pairs": (Pairs(), None),
    "a subset": (Subset(Pairs(), range(len(X))), None),
    "a stream": (Stream(), None),
    "labels beside a dataset": (TensorDataset(torch.from_numpy(X)), Y),
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Of the arrays in a file, by the loader that the command line has."""
    folder = tmp_path_factory.mktemp("rows")
    np.savez(folder / "data.npz", x=X, y=Y)
    return aeexp.fit("dataset=npz", f"dataset.path={folder / 'data.npz'}", *QUICK, folder=folder / "run")


@pytest.mark.parametrize("kind", GIVEN)
def test_rows_of_each_kind_are_the_same_rows(tmp_path, expected, kind):
    data, labels = GIVEN[kind]
    run = aeexp.fit(*QUICK, data=data, labels=labels, folder=tmp_path / "run")
    assert run.metrics["data"] == {**expected.metrics["data"], "name": "data"}
    assert run.metrics["test"] == expected.metrics["test"]
    assert np.array_equal(run.encode(data), expected.encode(X))  # each in the form in which it was given
    assert [path.suffix for path in run.folder.glob("data_*")] == [".npz"]


def test_a_later_evaluation_finds_the_rows_in_the_folder(tmp_path):
    aeexp.fit(*QUICK, data=X, labels=Y, folder=tmp_path / "run")
    numbers = aeexp.open(tmp_path / "run").evaluate("latent")
    assert 0 <= numbers["test"]["latent/l0"] <= 2


def test_other_rows_are_another_run_and_no_file_is_written_over(tmp_path):
    run = aeexp.fit(*QUICK, data=X, folder=tmp_path / "run")
    files = {path: path.read_bytes() for path in run.folder.glob("data_*")}
    with pytest.raises(UsageError, match="folder=.*holds a finished run of another configuration"):
        aeexp.fit(*QUICK, data=X[:70], folder=tmp_path / "run")
    assert {path: path.read_bytes() for path in run.folder.glob("data_*")} == files and len(files) == 1
    assert aeexp.fit(*QUICK, data=X.copy(), folder=tmp_path / "run").metrics == run.metrics


def test_official_parts_stay_apart(tmp_path):
    parts = {"train": X[:50], "test": X[50:]}
    labels = {"train": Y[:50], "test": Y[50:]}
    run = aeexp.fit(*QUICK, data=parts, labels=labels, attributes={"train": Y[:50] % 2, "test": Y[50:] % 2},
                    folder=tmp_path / "run")  # fmt: skip
    assert run.metrics["data"]["rows"] == {"train": 45, "val": 5, "test": 30}
    assert run.config["dataset"]["s"] == "s_train"
    val = aeexp.fit(*QUICK, data={**parts, "val": X[:7]}, folder=tmp_path / "val")
    assert val.metrics["data"]["rows"] == {"train": 50, "val": 7, "test": 30}


def test_a_model_that_is_told_labels_encodes_with_them(tmp_path):
    run = aeexp.fit("variant=cvae", *QUICK, data=X, labels=Y, folder=tmp_path / "run")
    assert run.encode(X[:4], Y[:4]).shape == (4, 2)
    assert not np.array_equal(run.encode(X[:4], Y[:4]), run.encode(X[:4], Y[1:5]))
    with pytest.raises(UsageError, match="these rows have no labels"):
        run.encode(X[:4])


def test_bytes_are_pixels_and_other_integers_are_not(tmp_path):
    run = aeexp.fit(*QUICK, data=(X * 255).astype(np.uint8), folder=tmp_path / "run")
    assert run.metrics["data"]["limits"] == [0.0, 1.0]
    run = aeexp.fit(*QUICK, data=(X * 16).astype(np.int64), folder=tmp_path / "other")
    assert run.metrics["data"]["limits"] == [0.0, 16.0]


@pytest.fixture(scope="module")
def wine():
    pytest.importorskip("pandas")
    frame = load_wine(as_frame=True).frame
    frame["kind"] = np.where(frame["alcohol"] > 13, "strong", "None")
    frame["grade"] = (frame.index % 3).astype(str)
    frame["grade"] = frame["grade"].astype("category")
    return frame


def test_a_frame_is_a_table_whose_columns_keep_names_and_kinds(tmp_path, wine):
    run = aeexp.fit(*QUICK, data=wine, labels="target", attributes="kind", folder=tmp_path / "run")
    node = run.config["dataset"]
    assert node["_target_"] == "aeexp.datasets.csv" and node["label"] == "target" and node["categorical"] == ["grade"]
    assert run.metrics["data"]["shape"] == [13 + 3] and node["attributes"] == ["kind"]
    assert run.encode(wine.head(6)).shape == (6, 2)
    beside = aeexp.fit(
        *QUICK, data=wine.drop(columns=["target", "kind"]), labels=wine["target"], attributes=wine[["kind"]],
        folder=tmp_path / "beside",
    )  # fmt: skip
    assert beside.metrics["test"] == run.metrics["test"]


def test_gaps_of_a_frame_are_told_and_filled_and_a_text_that_looks_like_one_is_none(tmp_path, wine):
    holes = wine.copy()
    holes.loc[3, "ash"] = np.nan
    with pytest.raises(UsageError, match="missing"):
        aeexp.fit(*QUICK, data=holes, labels="target", folder=tmp_path / "run")
    run = aeexp.fit(*QUICK, "dataset.missing=median", data=holes, labels="target", folder=tmp_path / "run")
    assert run.metrics["data"]["shape"] == [13 + 2 + 3]  # kind None beside strong


def test_a_frame_of_plain_numbers_is_an_array(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X.reshape(80, 64))
    run = aeexp.fit(*QUICK, data=frame, labels=pandas.Series(Y), folder=tmp_path / "run")
    assert run.config["dataset"]["_target_"] == "aeexp.datasets.npz" and run.metrics["data"]["shape"] == [64]
    assert np.array_equal(run.encode(frame.head(3)), run.encode(X[:3].reshape(3, 64)))


@given(arrays(st.sampled_from([np.float32, np.float64, np.uint8, np.int64, np.bool_]), (4, 3), elements=st.just(1)))
def test_what_is_read_is_what_was_given(x):
    assert np.array_equal(read_rows(x)[0], x) and np.array_equal(read_rows(torch.from_numpy(x))[0], x)
    assert list(give(x).content) == list(give(x.copy()).content) != list(give(np.vstack([x, x])).content)


@settings(max_examples=20)
@given(arrays(np.float32, (5, 2), elements=st.floats(-9, 9, width=32)), st.integers(0, 4), st.integers(0, 1))
def test_one_changed_value_is_another_file(x, row, column):
    other = x.copy()
    other[row, column] += 1
    assert list(give(x).content) != list(give(other).content)
    assert list(give(x, labels=[0, 1, 0, 1, 1]).content) != list(give(x).content)


class Odd(Dataset):
    """Items that are no rows."""

    def __init__(self, *items):
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int):
        return self.items[place]


@pytest.mark.parametrize(
    ("data", "labels", "message"),
    [
        ("rows.npz", None, "data=rows.npz: a path is no rows"),
        (Path("rows.npz"), None, "a path is no rows"),
        ([[1.0], [2.0, 3.0]], None, "data"),
        (np.zeros(5), None, r"data has shape \(5,\)"),
        (np.zeros((0, 3)), None, "rows and values"),
        (np.array([["a"], ["b"]]), None, "give a table of texts as a frame"),
        (np.array([[None], [3]], object), None, "Python objects"),
        (np.full((3, 2), np.nan), None, r"row 0 holds NaN or infinity \(3 such rows\)"),
        (X, Y[:5], r"labels has shape \(5,\), which does not fit the 80 rows"),
        (X, np.full(80, np.nan), "mark unlabelled by -1"),
        ({"train": X}, None, "train and test are needed"),
        ({"train": X, "test": X, "other": X}, None, "train and test are needed"),
        ({"train": X, "test": X}, Y, "labels has other parts than data"),
        (X, {"train": Y, "test": Y}, "labels has other parts than data"),
        (Odd(), None, "Odd has no item"),
        (Odd({"x": 1}), None, "items of Odd are dict"),
        (Odd(np.zeros(3), np.zeros(4)), None, "rows of one are needed"),
    ],
)
def test_what_is_no_rows_is_told(data, labels, message):
    with pytest.raises(UsageError, match=message):
        give(data, labels)


@pytest.mark.parametrize(
    ("words", "keys", "message"),
    [
        (("dataset=mnist",), {"data": X}, "dataset=mnist: the rows are those of data"),
        (("dataset.path=x",), {"data": X}, "dataset.path=x: the rows are those of data"),
        ((), {"labels": Y}, "belong to rows"),
        (("variant=cvae",), {"data": X}, "label"),
    ],
)
def test_words_beside_rows_are_told(tmp_path, words, keys, message):
    with pytest.raises(UsageError, match=message):
        aeexp.fit(*QUICK, *words, folder=tmp_path / "run", **keys)


def test_a_frame_has_no_such_column(wine):
    with pytest.raises(UsageError, match="data has no column kinds: it has alcohol"):
        give(wine, attributes=["kinds"])
    with pytest.raises(UsageError, match="labels: 3 values do not fit the 178 rows"):
        give(wine, labels=[1, 2, 3])


def test_without_pandas_arrays_do_and_frames_say_what_is_missing(tmp_path, monkeypatch):
    run = aeexp.fit(*QUICK, data=X, folder=tmp_path / "run")
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert list(give(X).keys) == ["path"]
    with pytest.raises(UsageError, match="pip install 'aeexp.notebook.'"):
        run.metrics.frame  # noqa: B018


NUMBERS = np.where(np.arange(80) % 7 == 0, np.nan, X.mean((1, 2)) - 0.25)


def table():
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(X.reshape(80, -1)[:, 18:22], columns=list("abcd"))


@pytest.mark.parametrize("kind", ["array", "tensor", "column", "beside a frame", "parts"])
def test_labels_that_are_fractions_are_numbers_to_predict(tmp_path, kind):
    data, labels = {
        "array": lambda: (X, NUMBERS),
        "tensor": lambda: (X, torch.from_numpy(NUMBERS)),
        "column": lambda: (table().assign(y=NUMBERS), "y"),
        "beside a frame": lambda: (table(), NUMBERS),
        "parts": lambda: ({part: X for part in ("train", "test")}, {part: NUMBERS for part in ("train", "test")}),
    }[kind]()
    run = aeexp.fit(*QUICK[:3], "metric=probe", "metric.probe.classifiers=[linear]", data=data, labels=labels,
                    folder=tmp_path / "run")  # fmt: skip
    assert run.metrics["data"]["target"] and "probe/ridge_r2" in run.metrics["test"]


def test_a_column_without_a_name_labels_by_the_one_it_gets():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({0: X[:, 2, 2], 1: X[:, 3, 3], 2: ["a", "b"] * 40})
    assert "dataset.label=column_2" in give(frame, "column_2").words
    assert "dataset.target=column_1" in give(frame.assign(**{"c": "d"}), "column_1").words

"""Rows by the library datasets: as written from every format, with the labels of their column."""

from __future__ import annotations

import numpy as np
import pytest
from arrow_files import PICTURES, RNG, N, X, Y, arrow, check, cut, datasets, load, nested, parquet, png, refused

from aeexp.datasets.core.splits import Official
from aeexp.datasets.formats.huggingface import huggingface

pytestmark = pytest.mark.usefixtures("arrow_cache")


@pytest.mark.parametrize("form", ["parquet", "new_stream", "new_file"])
@pytest.mark.parametrize("fixed", [False, True], ids=["lists", "fixed lists"])
@pytest.mark.parametrize(
    ("kind", "shape"), [("f4", (6,)), ("f8", (2, 3)), ("u1", (3, 2, 2)), ("i2", (1, 3, 4)), ("?", (5,)), ("f2", (4,))]
)
def test_lists_of_any_depth_and_number_type_come_back_as_written(tmp_path, form, fixed, kind, shape):
    x = RNG.integers(0, 2 if kind == "?" else 200, (N, *shape)).astype(kind)  # exact in float32
    for number, (x_part, y) in enumerate(cut(x, Y)):
        columns = {"v": nested(x_part, fixed), "label": y}
        if form == "parquet":
            parquet(tmp_path / f"{number}.parquet", **columns)
        else:
            arrow(tmp_path / f"{number}.arrow", form.removeprefix("new_"), **columns)
    rows = x.reshape(N, 1, *shape) if len(shape) == 2 else x
    source = check(tmp_path, rows if kind == "u1" else rows.astype(np.float32))
    assert source.rows.y.tolist() == Y.tolist() and source.rows.y.dtype.kind == "i"


@pytest.mark.parametrize("saved", [False, True], ids=["parquet", "disk"])
@pytest.mark.parametrize("shape", [(5, 4), (3, 5, 4)])
def test_array_features_come_back_as_written(tmp_path, saved, shape):
    x = RNG.normal(size=(N, *shape)).astype(np.float32)
    kind = {2: datasets.Array2D, 3: datasets.Array3D}[len(shape)]
    features = datasets.Features({"x": kind(shape, "float32")})
    dataset = datasets.Dataset.from_dict({"x": list(x)}, features=features)
    path = tmp_path / "x.parquet"
    if saved:
        dataset.save_to_disk(path := tmp_path / "x", num_shards=3)
    else:
        dataset.to_parquet(path)
    assert check(path, x.reshape(N, -1, 5, 4)).rows.y is None


def test_pictures_by_bytes_and_by_the_image_feature(tmp_path, arrow_folder):
    check(arrow_folder, PICTURES[:, None], x="img")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["z", "b", "a"])})
    pictures = [{"bytes": png(x), "path": None} for x in PICTURES]
    dataset = datasets.Dataset.from_dict({"image": pictures, "label": Y}, features=features)
    dataset.to_parquet(tmp_path / "p.parquet")
    dataset.save_to_disk(tmp_path / "disk")
    for path in (tmp_path / "p.parquet", tmp_path / "disk"):
        source = check(path, PICTURES[:, None])
        assert source.classes == ("z", "b", "a") and source.rows.y.tolist() == Y.tolist()
    color = check(tmp_path / "p.parquet", np.repeat(PICTURES[:, None], 3, 1), mode="color")
    assert color.rows.x.shape == (N, 3, 5, 4)
    assert load(tmp_path / "p.parquet", size=[3, 2]).rows.x.shape == (N, 1, 3, 2)


def test_a_folder_of_pictures_has_its_folders_as_classes(tmp_path):
    expected = []
    for name in ("bär", "ant [1]"):
        (tmp_path / "a b" / name).mkdir(parents=True)
    for number, x in enumerate(PICTURES[:7]):
        name = ("ant [1]", "bär")[number % 2]
        (tmp_path / "a b" / name / f"{number}.png").write_bytes(png(x))
    source = load(tmp_path / "a b")
    assert source.classes == ("ant [1]", "bär")
    for x, y in zip(source.rows.x.read(), source.rows.y, strict=True):
        expected.append(next(n for n, picture in enumerate(PICTURES[:7]) if np.array_equal(picture, x[0])))
        assert expected[-1] % 2 == y
    assert sorted(expected) == list(range(7))
    refused(tmp_path / "a b", "streaming=true", streaming=True)


def test_saved_train_and_test_are_rows_and_official_test_set(tmp_path):
    splits = {"train": (X[:14], Y[:14]), "test": (X[14:], Y[14:])}
    splits = {name: datasets.Dataset.from_dict({"v": x, "label": y}) for name, (x, y) in splits.items()}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "both")
    source = check(tmp_path / "both", X[:14])
    assert np.array_equal(source.test.x.read(), X[14:]) and source.test.y.tolist() == Y[14:].tolist()
    source = check(tmp_path / "both" / "test", X[14:])
    assert source.test is None
    datasets.DatasetDict({"other": splits["test"]}).save_to_disk(tmp_path / "one")
    assert "other" in refused(tmp_path / "one")


def test_train_and_test_files_share_their_class_numbers(tmp_path):
    train = parquet(tmp_path / "a.parquet", v=nested(X[:4]), y=["b", "d", None, "b"])
    test = parquet(tmp_path / "t.parquet", v=nested(X[4:7]), y=["a", "d", "b"])
    source = check(train, X[:4], test=str(test))
    assert source.classes == ("a", "b", "d")
    assert source.rows.y.tolist() == [1, 2, -1, 1] and source.test.y.tolist() == [0, 2, 1]
    assert np.array_equal(source.test.x.read(), X[4:7])


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        (["cat", "ant", None, "cat"], ("ant", "cat"), [1, 0, -1, 1]),
        ([100, 7, 9, -1], ("7", "9", "100"), [2, 0, 1, -1]),
        ([None, 7, None, 9], ("7", "9"), [-1, 0, -1, 1]),
        ([True, False, True, True], ("False", "True"), [1, 0, 1, 1]),
        ([None] * 4, (), [-1] * 4),
    ],
    ids=["texts", "integers", "some", "bools", "none"],
)
def test_labels_are_numbered_in_sorted_order_and_null_is_unlabelled(tmp_path, labels, classes, numbers):
    path = parquet(tmp_path / "x.parquet", v=nested(X[:4]), kind=labels)
    source = check(path, X[:4], y="kind")
    assert source.classes == classes and source.rows.y.tolist() == numbers


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("top", [1, 2])
def test_bytes_mean_parts_of_255_unless_all_are_0_or_1(tmp_path, top, streaming):
    x = (PICTURES % 2).astype(np.uint8)
    path = parquet(tmp_path / "x.parquet", v=nested(x))
    x[-1, 0, 0] = top
    test = parquet(tmp_path / "t.parquet", v=nested(x))
    source = load(path, test=str(test), streaming=streaming)
    assert source.scale == (1 if top == 1 else 1 / 255)


def test_a_label_is_no_feature_and_a_measurement_no_label(arrow_folder):
    message = refused(arrow_folder, "y=label: the label is also a feature", x=["a", "label"], y="label")
    assert "take it out of dataset.x, or set dataset.y=none" in message
    message = refused(arrow_folder, "y: 23 different labels", x="v", y="a")
    assert "are no classes; leave them out (dataset.y=none)" in message


def test_labels_by_texts_and_none_at_all(arrow_folder):
    assert check(arrow_folder, X, x="v", y="text").classes == ("ä0", "ä1", "ä2")
    source = check(arrow_folder, X, x="v", y="none")
    assert source.rows.y is None and source.classes == ()


def test_numbers_side_by_side_and_one_alone(arrow_folder):
    check(arrow_folder, X[:, :2], x=["a", "b"])
    check(arrow_folder, X[:, 1::-1], x=["b", "a"])
    check(arrow_folder, X[:, :1], x="a")
    check(arrow_folder, np.stack([Y, X[:, 0]], 1).astype(np.float32), x=["label", "a"], y="text")


def test_the_whole_command_takes_it(arrow_folder, tmp_path):
    test = parquet(tmp_path / "t.parquet", v=nested(X), label=Y)
    data = huggingface(name="huggingface", split=Official(0.2), path=str(arrow_folder), x="v", test=str(test))
    assert len(data["train"]) + len(data["val"]) == N and np.array_equal(data["test"].x.read(), X)

"""Folders of pictures: their names are classes and official splits, and what holds none is refused by its name."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from picture_files import grey, load, refused, save

from aeexp.datasets.formats.folder import folder
from aeexp.errors import UsageError


def test_sub_folders_name_the_classes_in_sorted_order(two_classes):
    source = load(two_classes)
    assert source.classes == ("ant", "bee") and source.scale == 1 / 255
    assert source.rows.y.tolist() == [0, 0, 1, 1] and source.rows.y.dtype == np.int64
    assert np.array_equal(source.rows.x.read()[:, 0], [grey(seed) for seed in range(4)])
    assert source.test is None and source.val is None


def test_rows_are_read_in_the_order_of_the_index(two_classes):
    x = load(two_classes).rows.x
    assert np.array_equal(x[np.array([3, 0, 3])][:, 0], [grey(3), grey(0), grey(3)])
    assert x[np.array([], int)].shape == (0, 1, 6, 5)


def test_it_is_a_data_set_with_splits(two_classes):
    data = folder(name="folder", split=lambda source: dict.fromkeys(("train", "val", "test"), source.rows),
                  path=str(two_classes))  # fmt: skip
    # a product of two float32 numbers, each rounded: 2 * 2^-24
    np.testing.assert_allclose(data["train"].batch(slice(2, 3)).x.numpy()[0, 0], grey(2) / 255, rtol=2**-22)
    assert data.classes == ("ant", "bee") and data.is_labelled


def test_pictures_directly_in_the_folder_have_no_labels(tmp_path):
    for seed, name in enumerate(["a.png", "b.PNG", "c.bmp"]):
        save(tmp_path / name, grey(seed))
    (tmp_path / "empty").mkdir()
    source = load(tmp_path)
    assert source.rows.y is None and source.classes == ()
    assert np.array_equal(source.rows.x.read()[:, 0], [grey(0), grey(1), grey(2)])


def test_pictures_in_and_below_the_folder_are_refused_with_one_of_each(two_classes):
    save(two_classes / "stray.png", grey())
    message = refused(two_classes)
    assert "stray.png" in message and str(Path("ant", "0.png")) in message


def test_spaces_umlauts_and_links_are_names_as_others(tmp_path):
    place = tmp_path / "zwei Wörter"
    save(place / "Äpfel süß" / "ein Bild.png", grey(1))
    save(tmp_path / "elsewhere" / "x.png", grey(2))
    (place / "日本").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (place / "日本" / "y.png").symlink_to(place / "Äpfel süß" / "ein Bild.png")
    source = load(place)
    assert source.classes == ("Äpfel süß", "日本") and source.rows.y.tolist() == [0, 1, 1]
    assert np.array_equal(source.rows.x.read()[:, 0], [grey(1), grey(2), grey(1)])


def test_a_link_in_a_circle_is_refused(two_classes):
    (two_classes / "ant" / "loop").symlink_to(two_classes, target_is_directory=True)
    assert "loop" in refused(two_classes)


def test_hidden_files_are_left_out_and_other_files_counted(two_classes, caplog):
    save(two_classes / "ant" / ".hidden.png", grey())
    save(two_classes / ".cache" / "0.png", grey())
    for name in ("ant/notes.txt", "bee/deep/features.h5", "labels.csv"):
        (two_classes / name).write_text("no picture")
    (two_classes / "cat").mkdir()
    with caplog.at_level(logging.INFO):
        source = load(two_classes)
    assert len(source.rows.x) == 4 and source.classes == ("ant", "bee")
    assert "3 files that are no pictures" in caplog.text and "without pictures are left out: cat" in caplog.text


def test_official_splits_lie_in_their_own_folders(tmp_path):
    for seed, name in enumerate(["tr/a/0.png", "tr/b/0.png", "va/b/0.png", "te/b/0.png", "te/b/1.png"]):
        save(tmp_path / name, grey(seed))
    source = load(tmp_path / "tr", val=str(tmp_path / "va"), test=str(tmp_path / "te"))
    assert [rows.y.tolist() for rows in (source.rows, source.val, source.test)] == [[0, 1], [1], [1, 1]]
    assert np.array_equal(source.test.x.read()[:, 0], [grey(3), grey(4)])
    assert np.array_equal(source.val.x.read()[:, 0], [grey(2)])


@pytest.mark.parametrize("names", [["train", "test"], ["train", "val", "test"]])
def test_folders_train_and_test_are_taken_as_official_splits(tmp_path, names, caplog):
    for seed, name in enumerate(names):
        save(tmp_path / name / "a" / "0.png", grey(seed))
    (tmp_path / "README.txt").write_text("no picture")
    with caplog.at_level(logging.INFO):
        source = load(tmp_path)
    assert "official splits" in caplog.text and source.classes == ("a",)
    parts = {"train": source.rows, "val": source.val, "test": source.test}
    for seed, name in enumerate(names):
        assert np.array_equal(parts[name].x.read()[0, 0], grey(seed))
    assert (source.val is None) == ("val" not in names)


def test_another_folder_beside_train_and_test_makes_them_classes(tmp_path):
    for name in ("train", "test", "plane"):
        save(tmp_path / name / "0.png", grey())
    assert load(tmp_path).classes == ("plane", "test", "train")


def test_train_and_val_alone_are_refused_with_both_ways_out(tmp_path):
    for name in ("train", "val"):
        save(tmp_path / name / "a" / "0.png", grey())
    assert f"dataset.test={tmp_path / 'val'}" in refused(tmp_path)
    assert load(tmp_path, test=str(tmp_path / "val")).classes == ("a",)


def test_a_test_class_that_training_lacks_is_refused(two_classes, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    save(other / "cow" / "0.png", grey())
    message = refused(two_classes, test=str(other))
    assert message.startswith(f"test={other}") and "cow" in message and "ant, bee" in message
    assert refused(two_classes / "ant", val=str(other)).startswith(f"val={other}")


def test_unlabelled_test_pictures_beside_class_folders_are_marked_so(two_classes, tmp_path_factory):
    other = save(tmp_path_factory.mktemp("other") / "0.png", grey()).parent
    assert load(two_classes, test=str(other)).test.y.tolist() == [-1]


def test_folders_that_hold_nothing_to_read_are_refused(tmp_path, monkeypatch):
    assert "no such folder" in refused(tmp_path / "none")
    assert "no pictures" in refused(tmp_path)
    file = tmp_path / "a.txt"
    file.write_text("")
    assert "could not be read" in refused(file)
    assert "(it holds 1 other files)" in refused(tmp_path)
    with pytest.raises(UsageError, match="^path is empty"):
        load("")
    save(tmp_path / "b.png", grey())
    assert refused(tmp_path, test=str(tmp_path / "none")).startswith("test=")

    def closed(place):
        raise PermissionError(13, "Permission denied", place)

    monkeypatch.setattr(os, "scandir", closed)
    assert "Permission denied" in refused(tmp_path)


@pytest.mark.parametrize("size", [[8], [0, 8], [8, -1], [8, 8, 3], []])
def test_a_size_that_is_none_is_refused(two_classes, size):
    assert refused(two_classes, size=size).startswith(f"size={size}")

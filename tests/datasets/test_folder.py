"""Picture files: what is seen is what is read, whatever the format; what is no picture is refused by its name."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aeexp.datasets.core.records import Source
from aeexp.datasets.formats.folder import folder
from aeexp.datasets.formats.pictures import Pictures
from aeexp.errors import UsageError


def grey(seed=0, size=(6, 5)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def color(seed=0, size=(6, 5)) -> np.ndarray:
    return grey(seed, (*size, 3))


def save(path: Path, array: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def load(path, **keys) -> Source:
    return folder.load(str(path), **keys)


def read(path, **keys) -> np.ndarray:
    """All rows (N, C, H, W) of a folder."""
    return load(path, **keys).rows.x.read()


def refused(path, **keys) -> str:
    with pytest.raises(UsageError) as error:
        load(path, **keys).rows.x.read()
    message = str(error.value)
    assert 1 <= len(message.splitlines()) <= 2 and message.split("=")[0] in ("path", "val", "test", "size")
    return message


@pytest.fixture
def two_classes(tmp_path):
    """Four grey pictures: ant/0, ant/1, bee/0 and bee/deep/er/1."""
    for seed, name in enumerate(["ant/0.png", "ant/1.png", "bee/0.png", "bee/deep/er/1.png"]):
        save(tmp_path / name, grey(seed))
    return tmp_path


# ---------------------------------------------------------------- folders


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


@pytest.mark.parametrize("held", [["train", "test"], ["train", "val", "test"]])
def test_folders_train_and_test_are_taken_as_official_splits(tmp_path, held, caplog):
    for seed, name in enumerate(held):
        save(tmp_path / name / "a" / "0.png", grey(seed))
    (tmp_path / "README.txt").write_text("no picture")
    with caplog.at_level(logging.INFO):
        source = load(tmp_path)
    assert "official splits" in caplog.text and source.classes == ("a",)
    found = {"train": source.rows, "val": source.val, "test": source.test}
    for seed, name in enumerate(held):
        assert np.array_equal(found[name].x.read()[0, 0], grey(seed))
    assert (source.val is None) == ("val" not in held)


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


# ---------------------------------------------------------------- pictures


def test_a_file_that_is_no_picture_is_named_before_anything_is_read(two_classes):
    bad = two_classes / "bee" / "bad.jpg"
    bad.write_bytes(b"<html>404</html>")
    with pytest.raises(UsageError, match="^path=.*bad.jpg could not be read"):
        load(two_classes)
    bad.unlink()
    bad.symlink_to(two_classes / "gone.jpg")
    assert "bad.jpg" in refused(two_classes)


@pytest.mark.parametrize("end", [".png", ".jpg", ".bmp", ".gif", ".tif", ".webp"])
def test_a_truncated_file_is_named(tmp_path, end):
    save(tmp_path / "a.png", grey(size=(60, 50)))
    bad = save(tmp_path / f"b{end}", grey(size=(60, 50)))
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2])
    assert str(bad) in refused(tmp_path)


def test_pictures_of_different_sizes_are_refused_before_anything_is_read(tmp_path):
    save(tmp_path / "a.png", grey())
    save(tmp_path / "b.png", grey(size=(7, 5)))
    with pytest.raises(UsageError) as error:
        load(tmp_path)
    words = ("a.png has 6x5", "b.png 7x5", "dataset.size=[6,5]")
    assert all(word in str(error.value) for word in words)
    assert read(tmp_path, size=[4, 4]).shape == (2, 1, 4, 4)
    assert np.array_equal(read(tmp_path, size=[6, 5])[0, 0], grey())  # the right size already: untouched


def test_a_picture_of_another_size_is_cut_about_its_centre_then_resized(tmp_path):
    wide = np.zeros((4, 12), np.uint8)
    wide[:, 4:8] = np.repeat([[10, 10, 200, 200]], 4, 0)  # the middle square; the rest is 0
    wide[:, :4] = 255
    save(tmp_path / "wide.png", wide)
    save(tmp_path / "tall.png", wide.T)
    x = read(tmp_path, size=[4, 4])
    assert np.array_equal(x[1, 0], wide[:, 4:8]) and np.array_equal(x[0, 0], wide[:, 4:8].T)


def test_shrinking_averages_instead_of_picking_pixels(tmp_path):
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    save(tmp_path / "board.png", board)
    x = read(tmp_path, size=[8, 8]).astype(int)
    # a triangle of 16 pixels over a checkerboard weighs black and white alike but at the border: 127.5 +- 255/64;
    # interpolation between two pixels alone would give 0, 255 or an exact 127.5 only by luck of the phase
    assert abs(x - 127.5).max() <= 4
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::8] = 255
    save(tmp_path / "board.png", stripes)
    x = read(tmp_path, size=[8, 8])
    assert 15 <= x.min() and x.max() <= 64  # the mean is 32; one pixel of eight picked would be 0 or 255


@pytest.mark.parametrize(
    ("pictures", "channels"),
    [
        ([grey(), grey(1)], 1),
        ([grey(), color()], 3),
        ([grey() > 127, grey()], 1),
        ([(grey().astype(np.uint16)) * 257, grey()], 1),
    ],
    ids=["grey", "one in color", "bits", "16 bits"],
)
def test_auto_is_grey_where_every_picture_is(tmp_path, pictures, channels):
    for number, array in enumerate(pictures):
        save(tmp_path / f"{number}.png", array)
    assert read(tmp_path).shape == (2, channels, 6, 5)
    assert read(tmp_path, mode="color").shape == (2, 3, 6, 5)
    assert read(tmp_path, mode="grey").shape == (2, 1, 6, 5)


def test_grey_in_color_and_color_in_grey(tmp_path):
    save(tmp_path / "a.png", color())
    assert np.array_equal(read(tmp_path)[0], color().transpose(2, 0, 1))
    luma = color() @ np.array([0.299, 0.587, 0.114])
    # Pillow's weights are rounded to 2^-16 and its result to an integer
    assert abs(read(tmp_path, mode="grey")[0, 0] - luma).max() <= 0.5 + 255 * 3 * 2**-16
    save(tmp_path / "a.png", grey())
    assert np.array_equal(read(tmp_path, mode="color")[0], np.stack([grey()] * 3))


@pytest.mark.parametrize("mode", ["grey", "color"])
def test_transparent_pixels_are_white(tmp_path, mode):
    alpha = np.full((6, 5), 255, np.uint8)
    alpha[0], alpha[1] = 0, 51  # nothing, a fifth
    save(tmp_path / "a.png", np.dstack([np.zeros((6, 5, 3), np.uint8), alpha]))  # all black
    save(tmp_path / "b.png", np.dstack([np.zeros((6, 5), np.uint8), alpha]))
    x = read(tmp_path, mode=mode)
    assert (x[:, :, 0] == 255).all() and (x[:, :, 1] == 204).all() and (x[:, :, 2:] == 0).all()


def test_palettes_are_looked_up_and_their_transparent_entry_is_white(tmp_path):
    image = Image.new("P", (3, 1))
    image.putdata([0, 1, 2])
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.save(tmp_path / "a.png", transparency=1)
    image.save(tmp_path / "b.gif")
    x = read(tmp_path)
    assert x[0, :, 0].T.tolist() == [[10, 20, 30], [255, 255, 255], [70, 80, 90]]
    assert x[1, :, 0].T.tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]


@pytest.mark.parametrize("end", [".png", ".tif", ".pgm"])
def test_sixteen_bits_are_scaled_to_eight_not_clipped(tmp_path, end):
    levels = np.array([[0, 128, 129, 257, 25700, 65534, 65535]], np.uint16)
    image = Image.fromarray(levels)
    (image.convert("I") if end == ".pgm" else image).save(tmp_path / f"a{end}")
    assert read(tmp_path)[0, 0, 0].tolist() == [0, 0, 1, 1, 100, 255, 255]  # level / 257, rounded


@pytest.mark.parametrize("kind", [np.float32, np.int32])
@pytest.mark.parametrize("size", [None, [4, 4]])
def test_values_without_a_range_are_refused_at_the_start(tmp_path, kind, size):
    save(tmp_path / "a.tif", grey().astype(kind))
    with pytest.raises(UsageError, match="a.tif holds 32-bit values"):
        load(tmp_path, size=size)


@pytest.mark.parametrize("end", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_the_exif_orientation_is_applied_once(tmp_path, turn, end):
    seen = color()
    undo = [
        lambda a: a,
        np.fliplr,
        lambda a: np.rot90(a, 2),
        np.flipud,
        lambda a: a.swapaxes(0, 1),
        lambda a: np.rot90(a, 1),
        lambda a: np.rot90(a, 2).swapaxes(0, 1),
        lambda a: np.rot90(a, -1),
    ][turn - 1]
    exif = Image.Exif()
    exif[0x112] = turn
    options = {"lossless": True} if end == ".webp" else {}
    save(tmp_path / f"a{end}", np.ascontiguousarray(undo(seen)), exif=exif, **options)
    assert np.array_equal(read(tmp_path)[0], seen.transpose(2, 0, 1))


def test_a_jpegs_size_is_that_of_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    save(tmp_path / "a.jpg", grey(size=(8, 16)), exif=exif)
    save(tmp_path / "b.jpg", grey(size=(16, 8)))
    assert read(tmp_path).shape == (2, 1, 16, 8)


def test_an_animation_is_its_first_frame(tmp_path):
    frames = [Image.fromarray(np.full((6, 5), value, np.uint8)) for value in (10, 20, 30)]
    for end in ("gif", "webp", "png", "tif"):
        options = {"lossless": True} if end == "webp" else {}
        frames[0].save(tmp_path / f"a.{end}", save_all=True, append_images=frames[1:], **options)
    assert (read(tmp_path, mode="grey") == 10).all()


def test_a_file_changed_since_the_start_is_refused(tmp_path):
    file = save(tmp_path / "a.png", grey())
    pictures = Pictures([str(file)], f"path={tmp_path}", "grey")
    assert pictures.shape == (1, 1, 6, 5) and pictures.dtype == np.uint8
    save(file, grey(size=(5, 6)))
    with pytest.raises(UsageError, match="a.png has 5x6 pixels, not 6x5"):
        pictures[np.array([0])]

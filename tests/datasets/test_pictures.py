"""Picture files: what is seen is what is read, whatever the format; what is no picture is refused by its name."""

from __future__ import annotations

import numpy as np
import pytest
from picture_files import color, grey, load, read, refused, save
from PIL import Image

from aeexp.datasets.formats.pictures import Pictures
from aeexp.errors import UsageError


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
    parts = ("a.png has 6x5", "b.png 7x5", "dataset.size=[6,5]")
    assert all(word in str(error.value) for word in parts)
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

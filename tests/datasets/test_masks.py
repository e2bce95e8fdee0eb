"""Pictures with masks: found by their names, and the same classes however a file stores them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import color, grey, load, refused, save
from PIL import Image

from aeexp.datasets.formats.pictures import cut

N, SIZE = 4, (6, 5)
COLOURS = np.array([[0, 0, 0], [0, 0, 128], [128, 0, 0], [128, 64, 0]], np.uint8)  # ascending as 0xRRGGBB


def classes(seed: int, count: int = 4) -> np.ndarray:
    """(6, 5) class numbers, each of them somewhere."""
    mask = np.random.default_rng(seed).integers(0, count, SIZE).astype(np.uint8)
    mask.flat[:count] = range(count)
    return mask


def palette(mask: np.ndarray) -> Image.Image:
    image = Image.fromarray(mask, "L").convert("P")
    image.putdata(mask.ravel().tolist())
    image.putpalette(COLOURS.ravel().tolist())
    return image


STORED = {
    "numbers": Image.fromarray,
    "levels": lambda mask: Image.fromarray(mask * 85),
    "16 bits": lambda mask: Image.fromarray(mask.astype(np.uint16) * 1000),
    "palette": palette,
    "colours": lambda mask: Image.fromarray(COLOURS[mask]),
    "grey as colours": lambda mask: Image.fromarray(np.stack([mask * 85] * 3, -1)),
    "opaque": lambda mask: Image.fromarray(np.dstack([COLOURS[mask], np.full(SIZE, 255, np.uint8)])),
}


@pytest.fixture
def pictures(tmp_path):
    """path/to/pictures/ant/0.jpg, ...: two classes; the masks' folder is beside it."""
    for number in range(N):
        save(tmp_path / "x" / ("ant" if number < 2 else "bee") / f"{number}.png", color(number))
    return tmp_path / "x"


def write_masks(folder: Path, store, names=("ant/0", "ant/1", "bee/2", "bee/3"), end=".png", count: int = 4) -> Path:
    for seed, name in enumerate(names):
        file = folder / f"{name}{end}"
        file.parent.mkdir(parents=True, exist_ok=True)
        store(classes(seed, count)).save(file)
    return folder


@pytest.mark.parametrize("kind", STORED)
def test_classes_are_the_same_however_masks_store_them(pictures, kind):
    source = load(pictures, masks=str(write_masks(pictures.parent / "y", STORED[kind])))
    assert source.rows.target.dtype == np.uint8
    assert np.array_equal(source.rows.target.read(), [classes(seed) for seed in range(N)])
    assert source.classes == ("ant", "bee") and source.rows.x.shape == (N, 3, *SIZE)
    assert np.array_equal(source.rows.target[np.array([3, 0])], [classes(3), classes(0)])


def test_given_values_are_the_classes_in_their_order(pictures):
    masks = write_masks(pictures.parent / "y", STORED["colours"])
    order = [2, 0, 3, 1]
    names = ["#{:02x}{:02x}{:02x}".format(*COLOURS[number]) for number in order]
    target = load(pictures, masks=str(masks), mask_values=names).rows.target.read()
    assert np.array_equal(target, [np.argsort(order)[classes(seed)] for seed in range(N)])
    message = refused(pictures, masks=str(masks), mask_values=names[:3])
    assert names[3] in message and "0.png" in message
    levels = write_masks(pictures.parent / "z", STORED["levels"])
    target = load(pictures, masks=str(levels), mask_values=[255, 170, 85, 0]).rows.target.read()
    assert np.array_equal(target, [3 - classes(seed) for seed in range(N)])


@pytest.mark.parametrize("values", [[0], [0, 0], [0, "#ffffff"], ["red", "#000000"]])
def test_values_that_are_none_are_refused(pictures, values):
    masks = write_masks(pictures.parent / "y", STORED["levels"])
    assert refused(pictures, masks=str(masks), mask_values=values).startswith("mask_values=")


@pytest.mark.parametrize(
    ("levels", "numbers"),
    [
        ([0, 255], [0, 255]),
        ([0, 1, 5, 255], [0, 1, 5, 255]),
        ([0, 100, 200], [0, 1, 2]),
        ([0, 10, 20, 30], [0, 1, 2, 3]),
    ],
    ids=["two are told apart by the task", "numbers with gaps and void", "levels", "even steps"],
)
def test_grey_levels_are_numbered_and_class_numbers_stay(pictures, levels, numbers, caplog):
    store = lambda mask: Image.fromarray(np.array(levels, np.uint8)[mask])  # noqa: E731
    with caplog.at_level(logging.INFO):
        source = load(pictures, masks=str(write_masks(pictures.parent / "y", store, count=len(levels))))
    assert np.unique(source.rows.target.read()).tolist() == numbers
    assert ("grey levels are classes in their order" in caplog.text) == (levels != numbers)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_a_resized_mask_has_no_class_that_it_had_not_and_lies_under_its_picture(h, w, height, width):
    mask = np.random.default_rng(h * w).integers(0, 2, (h, w)).astype(np.uint8) * 200
    small = np.asarray(cut(Image.fromarray(mask), height, width, Image.Resampling.NEAREST))
    assert small.shape == (height, width) and set(np.unique(small)) <= set(np.unique(mask))
    if (h, w) == (height, width):
        assert np.array_equal(small, mask)


def test_pictures_and_masks_are_cut_and_resized_alike(tmp_path):
    half = np.zeros((8, 16), np.uint8)
    half[:, 8:] = 1  # the right half is class 1 and white
    save(tmp_path / "x" / "0.png", half * 255)
    save(tmp_path / "y" / "0.png", half)
    source = load(tmp_path / "x", masks=str(tmp_path / "y"), size=[4, 4])
    assert np.array_equal(source.rows.target.read()[0], source.rows.x.read()[0, 0] > 127)


# ---------------------------------------------------------------- where they lie


@pytest.mark.parametrize(
    ("names", "end", "masks"),
    [
        (("y/ant/0", "y/ant/1", "y/bee/2", "y/bee/3"), ".bmp", "y"),
        (("y/0", "y/1", "y/2", "y/3"), ".png", "y"),
        (("y/ant/0_L", "y/ant/1_L", "y/bee/2_L", "y/bee/3_L"), ".png", "y/*_L.png"),
        (("x/ant/0_mask", "x/ant/1_mask", "x/bee/2_mask", "x/bee/3_mask"), ".png", "*_mask.png"),
        (("x/ant/m0", "x/ant/m1", "x/bee/m2", "x/bee/m3"), ".gif", "m*.gif"),
    ],
    ids=["a folder", "a flat folder", "a pattern in a folder", "beside", "beside, another ending"],
)
def test_masks_are_found_by_the_names_of_their_pictures(pictures, names, end, masks):
    write_masks(pictures.parent, STORED["numbers"], names, end)
    place = str(pictures.parent / masks) if "/" in masks or masks == "y" else masks
    source = load(pictures, masks=place)
    assert source.rows.x.shape == (N, 3, *SIZE) and source.classes == ("ant", "bee")
    assert np.array_equal(source.rows.target.read(), [classes(seed) for seed in range(N)])


def test_images_beside_masks_in_one_folder_are_no_class(tmp_path):
    for number in range(N):
        save(tmp_path / "images" / f"{number}.png", grey(number))
    write_masks(tmp_path / "masks", STORED["numbers"], "0123")
    source = load(tmp_path, masks=str(tmp_path / "masks"))
    assert source.rows.y is None and np.array_equal(source.rows.target.read()[2], classes(2))


def test_official_splits_have_theirs(tmp_path):
    for seed, part in enumerate(("train", "test")):
        for place in ("x", "elsewhere"):
            save(tmp_path / place / part / "0.png", grey(seed))
        write_masks(tmp_path / "y" / part, lambda mask, seed=seed: Image.fromarray((mask + seed) % 4), "0")
    inside = load(tmp_path / "x", masks=str(tmp_path / "y"))
    assert [rows.target.read()[0, 0, 0] for rows in (inside.rows, inside.test)] == [0, 1]
    keys = {"test": str(tmp_path / "elsewhere" / "test"), "masks": str(tmp_path / "y" / "train")}
    assert refused(tmp_path / "x" / "train", **keys).startswith("test_masks=null: ")
    apart = load(tmp_path / "x" / "train", test_masks=str(tmp_path / "y" / "test"), **keys)
    assert [rows.target.read()[0, 0, 0] for rows in (apart.rows, apart.test)] == [0, 1]


def test_what_does_not_fit_is_told_with_the_file(pictures):
    masks = write_masks(pictures.parent / "y", STORED["numbers"])
    assert refused(pictures, masks=str(masks / "none")).startswith("masks=")
    assert "give it" in refused(pictures, mask_values=[0, 1])
    (masks / "bee" / "3.png").unlink()
    assert "1 of 4 pictures have no mask, such as " in (message := refused(pictures, masks=str(masks)))
    assert str(Path("bee", "3.png")) in message
    save(masks / "bee" / "3.png", classes(3)[:5])
    assert "has 5x5 pixels (HxW), its picture" in refused(pictures, masks=str(masks))
    (masks / "bee" / "3.png").write_bytes(b"no picture")
    assert "3.png could not be read" in refused(pictures, masks=str(masks))
    flat = write_masks(pictures.parent / "z", STORED["numbers"], "0123")
    (pictures / "bee" / "3.png").rename(pictures / "bee" / "0.png")
    assert "is the mask of two pictures" in refused(pictures, masks=str(flat))


def test_masks_saved_with_loss_are_refused_or_take_the_nearest_value(pictures):
    store = lambda mask: Image.fromarray(np.kron(mask // 2 * 255, np.ones((8, 8), np.uint8)))  # noqa: E731
    for file in pictures.rglob("*.png"):
        save(file, color(size=(48, 40)))
    masks = write_masks(pictures.parent / "y", store, end=".jpg")
    assert "is saved with loss" in refused(pictures, masks=str(masks))
    target = load(pictures, masks=str(masks), mask_values=[0, 255]).rows.target.read()
    assert np.array_equal(target, [np.kron(classes(seed) // 2, np.ones((8, 8), int)) for seed in range(N)])
    noise = lambda mask: Image.fromarray(color(int(mask.sum()), (48, 40)))  # noqa: E731
    write_masks(pictures.parent / "n", noise)
    assert "more than 256 values" in refused(pictures, masks=str(pictures.parent / "n"))

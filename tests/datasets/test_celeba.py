"""CelebA from eleven faces in its own format."""

from __future__ import annotations

import numpy as np
import pytest
from picture_sets import refused
from PIL import Image

from aeexp.datasets.sets.celeba import celeba
from aeexp.errors import UsageError

NAMES = [f"Attribute_{i}" for i in range(38)] + ["Smiling", "Young"]
PARTITION = [0] * 6 + [1] * 2 + [2] * 3
FLAGS = np.random.default_rng(0).integers(0, 2, (11, 40))


@pytest.fixture
def small_celeba(tmp_path, any_md5):
    """Eleven faces of 178x218 pixels: grey is 10 times their number, but for black above and below the square."""
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    files = [f"{number:06d}.jpg" for number in range(1, 12)]
    for number, name in enumerate(files, 1):
        face = np.zeros((218, 178, 3), np.uint8)
        face[20:198] = 10 * number
        Image.fromarray(face).save(folder / "img_align_celeba" / name, format="PNG")  # exact, under the true name

    def write(name, rows, head=()):
        lines = [*head, *(f"{file} {' '.join(f'{v:2d}' for v in row)}" for file, row in zip(files, rows, strict=True))]
        (folder / name).write_text("\n".join(lines) + "\n")

    write("list_attr_celeba.txt", 2 * FLAGS - 1, ["11", " ".join(NAMES) + " "])
    write("list_eval_partition.txt", [[part] for part in PARTITION])
    write("identity_CelebA.txt", [[7]] * 11)
    write("list_bbox_celeba.txt", [[1, 2, 3, 4]] * 11, ["11", "image_id x_1 y_1 width height"])
    write("list_landmarks_align_celeba.txt", [[1] * 10] * 11, ["11", "a b c d e f g h i j"])
    return tmp_path


def test_celeba_is_cut_to_its_square_in_its_official_parts(small_celeba):
    source = celeba.load(str(small_celeba), size=16)
    numbers = [1, 2, 3, 4, 5, 6], [7, 8], [9, 10, 11]
    for rows, own in zip((source.rows, source.val, source.test), numbers, strict=True):
        x = rows.x.read()
        assert x.shape == (len(own), 3, 16, 16)
        assert np.array_equal(x, np.broadcast_to(10 * np.array(own)[:, None, None, None], x.shape))
        assert np.array_equal(rows.s, FLAGS[np.array(own) - 1]) and rows.s.dtype == np.int64
        assert rows.y is None
    assert source.attributes == tuple(NAMES) and source.classes == ()
    assert celeba.load(str(small_celeba)).rows.x.shape == (6, 3, 64, 64)


def test_an_attribute_of_celeba_may_be_its_label(small_celeba):
    source = celeba.load(str(small_celeba), label="Smiling")
    assert source.classes == ("no", "yes")
    assert np.concatenate([rows.y for rows in (source.rows, source.val, source.test)]).tolist() == FLAGS[:, 38].tolist()
    with pytest.raises(UsageError, match="^label=smiling: no such attribute.*Smiling, Young"):
        celeba.load(str(small_celeba), label="smiling")


def test_a_broken_picture_of_celeba_is_named_when_it_is_read(small_celeba):
    (small_celeba / "celeba" / "img_align_celeba" / "000003.jpg").write_bytes(b"no picture")
    source = celeba.load(str(small_celeba))
    assert source.rows.x[np.array([0, 1])].shape == (2, 3, 64, 64)
    with pytest.raises(UsageError, match="^root=.*000003.jpg could not be read"):
        source.rows.x[np.array([2])]


def test_pictures_that_celeba_lacks_are_named_at_the_start(small_celeba):
    (small_celeba / "celeba" / "img_align_celeba" / "000003.jpg").unlink()
    message = refused(celeba, small_celeba)
    assert "lacks 1 of 11 pictures" in message and "000003.jpg" in message


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "list_eval_partition.txt"])
@pytest.mark.parametrize("damage", [lambda t: t[: len(t) // 2], lambda t: t.replace("1", "x"), lambda t: ""])
def test_damaged_lists_of_celeba_are_refused(small_celeba, name, damage):
    file = small_celeba / "celeba" / name
    file.write_text(damage(file.read_text()))
    assert "could not be read" in refused(celeba, small_celeba)

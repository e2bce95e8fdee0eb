"""Picture files as an array that lies on disk: decoded by Pillow when they are indexed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, NamedTuple, final

import numpy as np

from aeexp.datasets.core.stored import EncodedRows
from aeexp.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling

Mode = Literal["grey", "color"]
THREADS = min(8, os.cpu_count() or 1)  # Pillow decodes without Python's lock
_TRANSPARENT = {"LA", "La", "PA", "RGBA", "RGBa"}
_ORIENTATION, _WIDTH, _HEIGHT = 0x112, 0x100, 0x101  # tags of Exif and TIFF


class Header(NamedTuple):
    """What a file says of its picture before it is decoded."""

    size: tuple[int, int]  # H, W; upright
    grey: bool


@final
class PictureFiles:
    """Reads files of one size and mode as (B, C, H, W): all that a process must know of `Pictures` to do so."""

    def __init__(self, key: str, mode: Mode, size: Sequence[int] | None, shape: tuple[int, int, int]):
        self.key = key
        self.mode: Mode = mode
        self.size = size
        self.shape = shape

    def __call__(self, files: Sequence[str]) -> np.ndarray:
        x = np.empty((len(files), *self.shape), np.uint8)
        for place, file in enumerate(files):
            x[place] = self.read(file)
        return x

    def read(self, file: str) -> np.ndarray:
        """(C, H, W)"""
        from PIL import Image

        try:
            with Image.open(file) as image:
                picture = prepare(image, self.mode, self.size)
        except Exception as error:  # a damaged file raises anything: OSError, SyntaxError, struct.error ...
            raise damage_error(file, self.key, error) from error
        (height, width), (wanted_height, wanted_width) = picture.size[::-1], self.shape[1:]
        if (height, width) != (wanted_height, wanted_width):
            raise UsageError(
                f"{self.key}: {file} has {height}x{width} pixels, not {wanted_height}x{wanted_width} as its header said"
            )
        x = np.asarray(picture)
        return x[None] if self.mode == "grey" else x.transpose(2, 0, 1)


@final
class Pictures(EncodedRows):
    """(N, C, H, W) uint8: the first frame of every file, upright, on white where it is transparent.

    `mode` is grey (C = 1, ITU-R 601 luma) or color (C = 3). Grey values of 16 bits are scaled to 8. With `size`
    [H, W] a picture is cut about its centre to that aspect ratio, then resized by antialiased bilinear
    interpolation; without, all files must have one size, which their headers tell (`heads`, else they are read).
    `key` begins a message, as in path=/data.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        files: Sequence[str],
        key: str,
        mode: Mode,
        size: Sequence[int] | None = None,
        heads: Sequence[Header] | None = None,
    ):
        self.files = files
        height, width = size or _check_sizes(files, read_headers(files, key) if heads is None else heads, key)
        self.reader = PictureFiles(key, mode, size, (1 if mode == "grey" else 3, height, width))
        self.shape = (len(files), *self.reader.shape)

    @property
    def decode(self) -> PictureFiles:
        """Of names of files."""
        return self.reader

    def fetch(self, index: np.ndarray) -> list[str]:
        """Names of files."""
        return [self.files[int(row)] for row in index]

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        x = np.empty((len(index), *self.shape[1:]), np.uint8)
        with ThreadPoolExecutor(THREADS) as pool:
            for place, picture in enumerate(pool.map(self.reader.read, self.fetch(index))):
                x[place] = picture
        return x


def prepare(image: Image, mode: Mode, size: Sequence[int] | None) -> Image:
    """An opened picture upright, in 8 bits, grey or colour, cut to `size` (H, W) if one is given."""
    from PIL import ImageOps

    ImageOps.exif_transpose(image, in_place=True)
    picture = to_eight_bits(image, mode)
    return picture if size is None else cut(picture, size[0], size[1])


def read_headers(files: Sequence[str], key: str) -> list[Header]:
    """Of every file; reads no pixels. What is no picture, or has no range, is refused here."""
    from PIL import Image

    heads = []
    for file in files:
        try:
            with Image.open(file) as image:
                size, sixteen, mode = upright_size(image), has_sixteen_bits(image), image.mode
        except Exception as error:  # as above
            raise damage_error(file, key, error) from error
        if not sixteen and mode in ("I", "F"):
            raise UsageError(
                f"{key}: {file} holds 32-bit values (Pillow mode {mode}), whose range it does not tell.\n"
                "Save it with 8 or 16 bits, or give the values as an array, as by dataset=npz."
            )
        heads.append(Header(size, sixteen or mode in ("1", "L", "LA", "La")))
    return heads


def cut(image: Image, height: int, width: int, resampling: Resampling | None = None) -> Image:
    """Cut about the centre to this aspect ratio, then resize, by antialiased bilinear interpolation if none is named.

    Not ImageOps.fit: its filter reaches beyond the cut, and what was cut off shows at the border.
    """
    from PIL.Image import Resampling

    resampling = Resampling.BILINEAR if resampling is None else resampling
    factor = min(image.width / width, image.height / height)
    w, h = max(1, round(width * factor)), max(1, round(height * factor))
    left, top = (image.width - w) // 2, (image.height - h) // 2
    return image.crop((left, top, left + w, top + h)).resize((width, height), resampling)


def upright_size(image: Image) -> tuple[int, int]:
    """H, W once the Exif orientation is applied."""
    from PIL.TiffImagePlugin import TiffImageFile

    if isinstance(image, TiffImageFile):  # some versions of Pillow turn its size at opening, some when it is decoded
        tags = image.tag_v2
        width, height, turn = tags[_WIDTH], tags[_HEIGHT], tags.get(_ORIENTATION, 1)
    else:
        (width, height), turn = image.size, 1
        if image.format != "PNG" or "exif" in image.info:  # a PNG without it would be decoded in search of it
            turn = image.getexif().get(_ORIENTATION, 1)
    return (width, height) if turn in (5, 6, 7, 8) else (height, width)


def has_sixteen_bits(image: Image) -> bool:
    """Whether values are grey levels from 0 to 65535, which Pillow's mode I may be as well."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))


def to_eight_bits(image: Image, mode: Mode) -> Image:
    """Grey or in color, on white where it is transparent. Raises ValueError for 32-bit values."""
    from PIL import Image

    if has_sixteen_bits(image):
        levels = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((levels + 128) // 257).astype(np.uint8))  # 65535 = 257 * 255; Pillow would clip
    elif image.mode in ("I", "F"):
        raise ValueError(f"32-bit values (Pillow mode {image.mode}) have no range")
    elif image.mode in _TRANSPARENT or "transparency" in image.info:
        above = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
    return image.convert("L" if mode == "grey" else "RGB")


def _check_sizes(files: Sequence[str], heads: Sequence[Header], key: str) -> tuple[int, int]:
    first = heads[0].size
    for file, head in zip(files, heads, strict=True):
        if head.size != first:
            raise UsageError(
                f"{key}: pictures differ in size: {files[0]} has {first[0]}x{first[1]} pixels (HxW), "
                f"{file} {head.size[0]}x{head.size[1]}.\nCut and resize them all by dataset.size=[H,W], "
                f"as in dataset.size=[{first[0]},{first[1]}]."
            )
    return first


def damage_error(file: str, key: str, error: Exception) -> UsageError:
    """Words for what Pillow raised."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return UsageError(f"{key}: {file} could not be read as a picture: {reason}\nRepair the file or take it away.")

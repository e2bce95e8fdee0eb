"""Mask files as class numbers, of grey levels, a palette or colours."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, final

import numpy as np

from aeexp.datasets.core.stored import EncodedRows
from aeexp.datasets.formats.pictures import THREADS, Header, cut, damage_error, has_sixteen_bits, upright_size
from aeexp.errors import UsageError

log = logging.getLogger(__name__)

LEVELS = {"1", "L", "I;16", "I;16B", "I;16L", "I;16N", "I"}  # Pillow's modes of one number a pixel
LOSSY = {"JPEG", "MPO", "JPEG2000"}
MOST = 256  # classes
NUMBERS = 64  # values below are class numbers, unless they stand in even steps, as grey levels do
VOID = 255  # of bytes, in most sets: no class
WHITE = 0xFFFFFF


class MaskHeader(NamedTuple):
    """What a file says of its mask before it is decoded."""

    size: tuple[int, int]  # H, W; upright
    mode: str  # Pillow's
    lossy: bool
    palette: bytes  # of mode P


@final
class MaskFiles:
    """Reads mask files as (B, H, W): all that a process must know of `Masks` to do so."""

    def __init__(
        self, key: str, kind: str, values: np.ndarray, classes: np.ndarray, shape: tuple[int, int],
        size: Sequence[int] | None,
    ):  # fmt: skip
        self.key = key
        self.kind = kind
        self.values = values
        self.classes = classes.astype(np.uint8)
        self.shape = shape
        self.size = size

    def __call__(self, files: Sequence[tuple[str, bool]]) -> np.ndarray:
        x = np.empty((len(files), *self.shape), np.uint8)
        for place, file in enumerate(files):
            x[place] = self.read(file)
        return x

    def read(self, file: tuple[str, bool]) -> np.ndarray:
        """(H, W) of a file, and whether its values are the nearest ones."""
        from PIL import Image
        from PIL.Image import Resampling

        name, nearest = file
        stored = decode(name, self.key, self.kind)
        if nearest:
            places = _find_nearest(stored, self.values, self.kind)
        else:
            places = np.searchsorted(self.values, stored).clip(max=len(self.values) - 1)
            strange = self.values[places] != stored
            if strange.any():
                value = format_value(int(stored[strange][0]), self.kind)
                raise UsageError(
                    f"{self.key}: {name} holds {value}, which is no class: add it to dataset.mask_values, "
                    "and set task.ignore to its place where it means nothing"
                )
        mask = self.classes[places]
        if self.size is None:
            return mask
        return np.asarray(cut(Image.fromarray(mask), self.size[0], self.size[1], Resampling.NEAREST))


@final
class Masks(EncodedRows):
    """(N, H, W) uint8 class numbers; what no class has is refused by its file.

    `values` (ascending) are what files hold, grey levels or 0xRRGGBB, and `classes` their numbers. Masks of `nearest`
    files, which are saved with loss, take the nearest value. With `size` they are cut as pictures are, and resized by
    taking the nearest pixel: between two classes lies no third.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, files: Sequence[str], key: str, kind: str, values: np.ndarray, classes: np.ndarray,
        shape: tuple[int, int], size: Sequence[int] | None, nearest: Sequence[bool],
    ):  # fmt: skip
        self.files = files
        self.nearest = nearest
        self.reader = MaskFiles(key, kind, values, classes, shape, size)
        self.shape = (len(files), *shape)

    @property
    def decode(self) -> MaskFiles:
        """Of names of files, each with whether its values are the nearest ones."""
        return self.reader

    def fetch(self, index: np.ndarray) -> list[tuple[str, bool]]:
        """Names of files, each with whether its values are the nearest ones."""
        return [(self.files[int(row)], bool(self.nearest[int(row)])) for row in index]

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        x = np.empty((len(index), *self.shape[1:]), np.uint8)
        with ThreadPoolExecutor(THREADS) as pool:
            for place, mask in enumerate(pool.map(self.reader.read, self.fetch(index))):
                x[place] = mask
        return x


def read_masks(
    files: Sequence[str], pictures: Sequence[str], heads: Sequence[Header], key: str, given: Sequence[int | str] | None,
    size: Sequence[int] | None,
) -> Masks:  # fmt: skip
    """The masks of these pictures, in their order; all of them are looked at once for the values that they hold.

    `given` are grey levels or #rrggbb, in the order of the classes.
    """
    masks = [_read_header(file, key) for file in files]
    for file, picture, mask, head in zip(files, pictures, masks, heads, strict=True):
        if mask.size != head.size:
            (h, w), (height, width) = mask.size, head.size
            raise UsageError(f"{key}: {file} has {h}x{w} pixels (HxW), its picture {picture} {height}x{width}")
    kind = _choose_kind(masks)
    if given is None and any(mask.lossy for mask in masks):
        file = files[[mask.lossy for mask in masks].index(True)]
        raise UsageError(
            f"{key}: {file} is saved with loss (JPEG), which blurs classes at their borders.\n"
            "Save masks as PNG, or name their values, as in dataset.mask_values=[0,255]: the nearest is taken."
        )
    if given is None:
        kind, values = _collect_values(files, key, kind)
        classes = _number_values(values, kind, key)
    else:
        kind, numbers = _parse_values(given, kind)
        values, classes = np.sort(numbers), np.argsort(numbers)
    shape = (size[0], size[1]) if size is not None else heads[0].size
    return Masks(files, key, kind, values, classes, shape, size, [mask.lossy for mask in masks])


def decode(file: str, key: str, kind: str) -> np.ndarray:
    """(H, W) int64 grey levels, places in the palette, or 0xRRGGBB; white where a pixel is transparent."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            ImageOps.exif_transpose(image, in_place=True)
            if kind == "palette" or (kind == "levels" and image.mode in LEVELS):
                return np.asarray(image).astype(np.int64)
            colours = np.asarray(image.convert("RGBA")).astype(np.int64)
    except Exception as error:  # a damaged file raises anything: OSError, SyntaxError, struct.error ...
        raise damage_error(file, key, error) from error
    if kind == "levels":
        return colours[..., 0]
    packed = (colours[..., 0] << 16) | (colours[..., 1] << 8) | colours[..., 2]
    return np.where(colours[..., 3] == 0, WHITE, packed)


def format_value(value: int, kind: str) -> str:
    """A grey level, or #rrggbb."""
    return f"#{value:06x}" if kind == "colours" else str(value)


def _read_header(file: str, key: str) -> MaskHeader:
    from PIL import Image

    try:
        with Image.open(file) as image:
            palette = bytes(image.getpalette() or ()) if image.mode == "P" else b""
            if image.mode == "F" or (image.mode == "I" and not has_sixteen_bits(image)):
                raise ValueError("32-bit values have no range")
            return MaskHeader(upright_size(image), image.mode, image.format in LOSSY, palette)
    except Exception as error:  # as above
        raise damage_error(file, key, error) from error


def _choose_kind(masks: Sequence[MaskHeader]) -> str:
    """levels, palette (one for all files: its places are class numbers) or colours."""
    modes = {mask.mode for mask in masks}
    if modes <= LEVELS:
        return "levels"
    return "palette" if modes == {"P"} and len({mask.palette for mask in masks}) == 1 else "colours"


def _collect_values(files: Sequence[str], key: str, kind: str) -> tuple[str, np.ndarray]:
    """All different values, ascending; colours that are all grey are levels."""
    seen: set[int] = set()
    with ThreadPoolExecutor(THREADS) as pool:
        for file, values in zip(files, pool.map(lambda file: np.unique(decode(file, key, kind)), files), strict=True):
            seen.update(values.tolist())
            if len(seen) > MOST:
                raise UsageError(
                    f"{key}: more than {MOST} values in the masks up to {file}; are borders blurred (antialiased)?\n"
                    "Save masks without it, or name their values by dataset.mask_values."
                )
    values = np.array(sorted(seen))
    if kind == "colours" and all(value % 0x10101 == 0 for value in seen):  # r = g = b
        return "levels", values // 0x10101
    return kind, values


def _number_values(values: np.ndarray, kind: str, key: str) -> np.ndarray:
    """Class numbers of values: themselves where they are such, or are two (task=segment takes any); else 0, 1 ..."""
    below = values[values != VOID]
    steps = np.diff(below)
    even = len(steps) > 1 and steps[0] > 1 and (steps == steps[0]).all()
    few = len(below) > 0 and below[-1] < NUMBERS and not even
    if kind == "palette" or (kind == "levels" and values[-1] < MOST and (few or len(values) == 2)):
        return values
    listed = ", ".join(f"{number} {format_value(int(value), kind)}" for number, value in enumerate(values[:24]))
    what = "colours" if kind == "colours" else "grey levels"
    log.info("%s: %d %s are classes in their order: %s%s; dataset.mask_values chooses another", key, len(values), what,
             listed, ", ..." if len(values) > 24 else "")  # fmt: skip
    return np.arange(len(values))


def _parse_values(given: Sequence[int | str], kind: str) -> tuple[str, np.ndarray]:
    """Grey levels or colours, in the order of the classes."""
    name = f"mask_values={list(given)}"
    colours = [isinstance(value, str) for value in given]
    if not 2 <= len(given) <= MOST or len(set(given)) < len(given) or len(set(colours)) > 1:
        raise UsageError(f"{name}: two grey levels or more, or as many colours, each once, as in ['#000000','#ff0000']")
    try:
        numbers = [int(value.removeprefix("#"), 16) if isinstance(value, str) else value for value in given]
    except ValueError as error:
        raise UsageError(f"{name}: colours are #rrggbb, as in ['#000000','#ff0000']") from error
    if colours[0]:
        return "colours", np.array(numbers)
    return ("levels" if kind == "colours" else kind), np.array(numbers)


def _find_nearest(stored: np.ndarray, values: np.ndarray, kind: str) -> np.ndarray:
    """(H, W) places of the nearest of the values; of colours by the distance in red, green and blue."""

    def split(packed: np.ndarray) -> np.ndarray:
        return np.stack([packed >> 16, packed >> 8 & 255, packed & 255] if kind == "colours" else [packed], -1)

    return np.square(split(stored)[..., None, :] - split(values)).sum(-1).argmin(-1)

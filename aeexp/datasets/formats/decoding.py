"""Encoded pictures and .npy files as rows: (C, H, W) or (D,), uint8 or float32."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Literal, final

import numpy as np

from aeexp.datasets.formats.pictures import has_sixteen_bits, prepare
from aeexp.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

Mode = Literal["auto", "grey", "color"]
_GREY = {"1", "L", "LA", "La"}


@final
class PictureDecoder:
    """Decodes to uint8 (1, H, W) or (3, H, W), as dataset=folder does; ValueError with the reason where it cannot.

    `settle` chooses grey or color by the first picture where mode=auto. Then a grey picture among colored ones is
    shown in color, and a colored one among grey ones raises, for its color would be lost.
    """

    def __init__(self, mode: Mode, size: list[int] | None):
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise UsageError(f"size={size}: give height and width of the pictures, as in [64,64]")
        self.mode: Mode = mode
        self.size = size
        self.guessed = mode == "auto"

    def settle(self, file: bytes | str) -> None:
        """By the first picture."""
        if self.mode == "auto":
            self.mode = "grey" if self._open(file)[1] else "color"

    def __call__(self, file: bytes | str) -> np.ndarray:
        picture, grey = self._open(file)
        if self.guessed and self.mode == "grey" and not grey:
            raise ValueError("colored, and the first picture is grey: set dataset.mode=color or dataset.mode=grey")
        x = np.asarray(picture)
        return x[None] if x.ndim == 2 else np.ascontiguousarray(x.transpose(2, 0, 1))

    def _open(self, file: bytes | str) -> tuple[Image, bool]:
        """The upright picture in 8 bits, and whether it was grey in the file."""
        from PIL import Image

        try:
            with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
                grey = image.mode in _GREY or has_sixteen_bits(image)
                mode = self.mode if self.mode != "auto" else "grey" if grey else "color"
                picture = prepare(image, mode, self.size)
        except Exception as error:  # a damaged picture raises anything: OSError, SyntaxError, struct.error ...
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"no readable picture: {reason}") from error
        return picture, grey


def from_npy(file: bytes) -> np.ndarray:
    """A row from the bytes of an .npy file; ValueError with the reason if it is none. Nothing is unpickled."""
    try:
        x = np.load(io.BytesIO(file), allow_pickle=False)
    except Exception as error:  # a damaged header raises anything: ValueError, SyntaxError, OverflowError ...
        raise ValueError(f"no readable .npy array: {error}") from error
    if not isinstance(x, np.ndarray):
        raise ValueError("an archive of arrays, but one array is needed")
    if x.dtype.kind not in "buif":
        raise ValueError(f"an array of type {x.dtype}, but numbers are needed")
    return to_stored_type(x.reshape(row_shape(x.shape)))


def to_stored_type(x: np.ndarray) -> np.ndarray:
    """uint8 as it is, any other numbers as float32; what float32 cannot hold becomes infinity, and is refused."""
    if x.dtype == np.uint8:
        return x
    with np.errstate(over="ignore", invalid="ignore"):
        return x.astype(np.float32)


def row_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a row from that of its array: (H, W) becomes (1, H, W)."""
    if not 1 <= len(shape) <= 3 or math.prod(shape) < 1:
        raise ValueError(f"an array of shape {shape}, but (D,), (H, W) or (C, H, W) is needed")
    return (1, *shape) if len(shape) == 2 else shape

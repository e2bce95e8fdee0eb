"""Encoded pictures and .npy files as rows: (C, H, W) or (D,), uint8 or float32."""

from __future__ import annotations

import io
import math
from typing import Literal

import numpy as np

from aeexp.datasets.formats.pictures import prepared, sixteen_bits
from aeexp.errors import UsageError

Mode = Literal["auto", "grey", "color"]
_GREY = {"1", "L", "LA", "La"}


class PictureDecoder:
    """Decodes to uint8 (1, H, W) or (3, H, W), as dataset=folder does; ValueError with the reason where it cannot.

    `settle` chooses grey or color by the first picture where mode=auto. Then a grey picture among colored ones is
    shown in color, and a colored one among grey ones raises, for its color would be lost.
    """

    def __init__(self, mode: Mode, size: list[int] | None):
        fits = size is None or (len(size) == 2 and min(size) >= 1)
        if not fits:
            raise UsageError(f"size={size}: give height and width of the pictures, as in [64,64]")
        self.mode = mode
        self.size = size
        self.guessed = mode == "auto"

    def settle(self, file: bytes | str) -> None:
        if self.mode == "auto":
            self.mode = "grey" if self._open(file)[1] else "color"

    def __call__(self, file: bytes | str) -> np.ndarray:
        picture, grey = self._open(file)
        if self.guessed and self.mode == "grey":
            _check(grey, "colored, and the first picture is grey: set dataset.mode=color or dataset.mode=grey")
        x = np.asarray(picture)
        return x[None] if x.ndim == 2 else np.ascontiguousarray(x.transpose(2, 0, 1))

    def _open(self, file: bytes | str):
        """The upright picture in 8 bits, and whether it was grey in the file."""
        from PIL import Image

        try:
            with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
                grey = image.mode in _GREY or sixteen_bits(image)
                wanted = self.mode if self.mode != "auto" else "grey" if grey else "color"
                picture = prepared(image, wanted, self.size)
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
    _check(isinstance(x, np.ndarray), "an archive of arrays, but one array is needed")
    _check(x.dtype.kind in "buif", f"an array of type {x.dtype}, but numbers are needed")
    return stored(x.reshape(row_shape(x.shape)))


def stored(x: np.ndarray) -> np.ndarray:
    """uint8 as it is, any other numbers as float32; what float32 cannot hold becomes infinity, and is refused."""
    if x.dtype == np.uint8:
        return x
    with np.errstate(over="ignore", invalid="ignore"):
        return x.astype(np.float32)


def row_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a row from that of its array: (H, W) becomes (1, H, W)."""
    fits = 1 <= len(shape) <= 3 and math.prod(shape) >= 1
    _check(fits, f"an array of shape {shape}, but (D,), (H, W) or (C, H, W) is needed")
    return (1, *shape) if len(shape) == 2 else tuple(shape)


def _check(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)

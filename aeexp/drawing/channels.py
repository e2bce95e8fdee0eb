"""Pictures of other than one or three channels: each channel is a grey picture of its own, all of them one tile."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

SHOWN = 9  # channels


def is_spread(shape: Sequence[int]) -> bool:
    """Whether a row of this shape is neither grey nor red, green and blue."""
    return len(shape) == 3 and shape[0] not in (1, 3)


def measure(shape: Sequence[int]) -> tuple[int, int]:
    """Height and width of the tile of a row (C, H, W), in pixels."""
    across, down = _count(shape[0]) if is_spread(shape) else (1, 1)
    return down * (shape[1] + 1) - 1, across * (shape[2] + 1) - 1


def spread(pictures: np.ndarray) -> np.ndarray:
    """(..., C, H, W) -> (..., 1, H', W'): channels row by row, NaN between them; one and three stay as they are."""
    shape = pictures.shape[-3:]
    if not is_spread(shape):
        return pictures
    channels, height, width = shape
    (across, down), before = _count(channels), pictures.shape[:-3]
    sheet = np.full((*before, down * across, height + 1, width + 1), np.nan, np.result_type(pictures, np.float32))
    shown = min(channels, SHOWN)
    sheet[..., :shown, :height, :width] = pictures[..., :shown, :, :]
    sheet = sheet.reshape(*before, down, across, height + 1, width + 1).swapaxes(-3, -2)
    return sheet.reshape(*before, 1, down * (height + 1), across * (width + 1))[..., :-1, :-1]


def describe(shape: Sequence[int]) -> str:
    """What the parts of a tile are, for a title; nothing where a tile is one picture."""
    if not is_spread(shape):
        return ""
    shown = f"channels 1 to {min(shape[0], SHOWN)}"
    return f"\n{shown}{f' of {shape[0]}' if shape[0] > SHOWN else ''} of each picture, row by row"


def _count(channels: int) -> tuple[int, int]:
    """Channels in a row of a tile, and rows."""
    shown = min(channels, SHOWN)
    across = math.ceil(math.sqrt(shown))
    return across, math.ceil(shown / across)

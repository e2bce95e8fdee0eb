"""Pictures of which a part is marked as not there."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb

from aeexp.drawing import canvas, channels

HOLE = canvas.ORANGE


def mark_hole(whole: np.ndarray, hole: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """(N, 3, H, W) in the data's units: grey or colour, and the hole in a colour that no grey picture has.

    Of other channels (N, C, H, W), whose holes are NaN: paper.
    """
    if channels.is_spread(whole.shape[1:]):
        return np.where(hole, np.nan, whole).astype(np.float32)
    low, high = limits
    colour = low + np.array(to_rgb(HOLE)) * ((high - low) or 1.0)
    base = whole if whole.shape[1] == 3 else whole.mean(1, keepdims=True)
    return np.where(hole.any(1, keepdims=True), colour[:, None, None], base).astype(whole.dtype)

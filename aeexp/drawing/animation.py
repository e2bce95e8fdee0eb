"""Figures that move, and their bytes as a GIF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

GREYS = 64  # of its 256 colours
TINTS = 1000  # that the others are chosen to be near to


def encode_gif(animation: Animation) -> bytes:
    """An endless GIF whose frames share one palette: what does not change costs nothing."""
    pictures = [Image.fromarray(frame) for frame in animation.frames]
    few = animation.frames[:: max(1, len(pictures) // 16)]  # enough to see every colour
    # none near white: colours are told apart by their first bits, and the paper would be grey
    greys = np.append(np.linspace(0, 245, GREYS - 1).round(), 255).astype(np.uint8)[:, None].repeat(3, 1)
    palette = Image.fromarray(_tints(few)[None]).quantize(256 - GREYS, dither=Image.Dither.NONE)
    colours = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)[: 256 - GREYS]
    colours[colours.min(1) > 247] = 255  # they are means of near colours: the paper would be tinted
    palette.putpalette(np.concatenate([greys, colours]).tobytes())
    first, *rest = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    durations = list(animation.milliseconds)
    first.save(buffer := io.BytesIO(), "gif", save_all=True, append_images=rest, duration=durations, loop=0)
    return buffer.getvalue()


def _tints(frames: Sequence[np.ndarray]) -> np.ndarray:
    """(N, 3) each colour but grey once: the few pixels of a dot would lose theirs to the many of a picture. At most
    `TINTS`, the most frequent: edges of lines mix a hundred thousand that nobody sees."""
    packed = [frame.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32) for frame in frames]
    values, counts = np.unique(np.concatenate([each.reshape(-1) for each in packed]), return_counts=True)
    colours = values.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:]
    is_tint = np.ptp(colours, axis=1) > 2
    tinted = colours[is_tint][np.argsort(-counts[is_tint], kind="stable")[:TINTS]]
    return tinted if len(tinted) else colours[-1:].copy()


class Animation(NamedTuple):
    """A figure that moves: what a plot may return where one picture does not say it."""

    frames: Sequence[np.ndarray]  # each (H, W, 3) uint8
    milliseconds: Sequence[int]  # that each stands; the first follows the last

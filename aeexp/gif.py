"""An animation as the bytes of a GIF."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from aeexp.types import Animation


def gif(animation: Animation) -> bytes:
    """An endless GIF whose frames share one palette: what does not change costs nothing."""
    pictures = [Image.fromarray(frame) for frame in animation.frames]
    few = animation.frames[:: max(1, len(pictures) // 16)]  # enough to see every colour
    palette = Image.fromarray(np.concatenate(few)).quantize(256, dither=Image.Dither.NONE)
    colours = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)
    # They are means of near colours: the paper would be grey.
    colours[(colours.min(1) > 247) | (np.arange(len(colours)) == colours.sum(1, dtype=int).argmax())] = 255
    palette.putpalette(colours.tobytes())
    shown = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    durations = list(animation.milliseconds)
    shown[0].save(buffer := io.BytesIO(), "gif", save_all=True, append_images=shown[1:], duration=durations, loop=0)
    return buffer.getvalue()

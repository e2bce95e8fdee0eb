"""scikit-learn's digits, enlarged and painted: with a colour that gives the label away, or textures over textures."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.sets.bundled import read_digits
from aeexp.ranges import Probability, Seed

# Orange and blue first: colour-blind readers tell them apart. Then yellow, magenta, green, white, red, cyan.
PALETTE = np.array(
    [[255, 128, 0], [0, 128, 255], [255, 255, 0], [255, 0, 255], [0, 255, 0], [255, 255, 255], [255, 0, 0],
     [0, 255, 255]]
)  # fmt: skip
COLORS = ("orange", "blue", "yellow", "magenta", "green", "white", "red", "cyan")
CLASSES = tuple("0123456789")


@DataSet
def colored_digits(
    strength: Probability = 0.9,
    colors: Annotated[int, Interval(ge=2, le=len(PALETTE))] = 2,
    size: Annotated[int, Interval(ge=8, le=64)] = 16,
    seed: Seed = 0,
) -> Source:
    """1,797 digits (3, size, size), each in one of `colors` colours on black; `s` (N,) is the colour's number.

    A class has the colour label mod colors. With probability `strength` a row has that of its class, else any of
    them: strength=0 makes colour and label independent, strength=1 colour a function of the label.
    """
    grey, y = _draw_digits(size, seed)
    rng = np.random.default_rng(seed)
    s = np.where(rng.random(len(y)) < strength, y % colors, rng.integers(colors, size=len(y)))
    x = (grey[:, None] * PALETTE[s][:, :, None, None]).round().astype(np.uint8)
    return Source(Rows(x, y, s), scale=1 / 255, classes=CLASSES, attributes=("color",), groups=(COLORS[:colors],))


@DataSet
def textured_digits(size: Annotated[int, Interval(ge=8, le=64)] = 16, seed: Seed = 0) -> Source:
    """1,797 bright textured digits on a darker texture (3, size, size); `target` (N, size, size) is 1 on the digit.

    Brightness and tint of both textures vary and overlap: no single pixel tells for sure which one it is of.
    """
    grey, y = _draw_digits(size, seed)
    mask = grey > 0.5
    rng = np.random.default_rng(seed)
    behind, front = _draw_textures(rng, len(y), size), _draw_textures(rng, len(y), size)
    x = np.where(mask[:, None], 0.3 + 0.7 * front, 0.75 * behind)
    rows = Rows((255 * x).round().astype(np.uint8), y, target=mask.astype(np.uint8))
    return Source(rows, scale=1 / 255, classes=CLASSES)


def _draw_digits(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits (N, size, size) from 0 to 1, enlarged bilinearly, and their labels (N,)."""
    pictures, labels = read_digits()
    return _enlarge(pictures / 16, size), labels


def _enlarge(pictures: np.ndarray, size: int) -> np.ndarray:
    """(N, H, W) to (N, size, size), bilinear, pixels taken as areas."""
    import torch
    from torch.nn.functional import interpolate

    return interpolate(torch.from_numpy(pictures)[:, None], (size, size), mode="bilinear")[:, 0].numpy()


def _draw_textures(rng: np.random.Generator, n: int, size: int) -> np.ndarray:
    """(n, 3, size, size) in [0, 1]: gratings of random direction and width with smooth noise, tinted at random."""
    angle, phase = rng.uniform(0, np.pi, (n, 1, 1)), rng.uniform(0, 2 * np.pi, (n, 1, 1))
    cycles = rng.uniform(2, 5, (n, 1, 1))  # in a picture's width: stripes of 3 pixels and more at size=16
    place = (np.arange(size) + 0.5) / size
    along = place[None, None, :] * np.cos(angle) + place[None, :, None] * np.sin(angle)
    grating = 0.5 + 0.5 * np.sin(2 * np.pi * cycles * along + phase)
    noise = _enlarge(rng.random((n, 6, 6)), size)
    share = rng.uniform(0.3, 0.8, (n, 1, 1))
    tint = rng.uniform(0.4, 1, (n, 3, 1, 1))
    return tint * (share * grating + (1 - share) * noise)[:, None]

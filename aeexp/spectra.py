"""Power spectra of pictures, and how far a periodic pattern stands out in them."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from aeexp.model import Autoencoder

FLOOR = 1e-10  # of the largest power: what float32 cannot tell from 0
NEAR = 3  # steps of frequency to each side, as far as a neighbour lies


def power(pictures: Tensor) -> np.ndarray:
    """(H, W) mean over rows and channels of the power at each frequency, 0 in the middle; (B, C, H, W)."""
    height, width = pictures.shape[2:]
    window = np.outer(*(np.hanning(n + 1)[:-1] for n in (height, width)))
    x = pictures.double().cpu().numpy()
    x = (x - x.mean((2, 3), keepdims=True)) * window / np.sqrt((window**2).sum())
    return np.fft.fftshift((np.abs(np.fft.fft2(x)) ** 2).mean((0, 1)))


def enlargements(model: Autoencoder) -> list[int]:
    """By how much each step of the decoder enlarges its maps, the last first: the strides of the encoder mirrored."""
    layers = [m for m in model.encoder.modules() if isinstance(m, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)]
    strides = [layer.stride if isinstance(layer.stride, int) else layer.stride[0] for layer in layers]
    return [stride for stride in strides if stride > 1]


def frequencies(size: int) -> np.ndarray:
    """Cycles per pixel of each column of a spectrum."""
    return np.fft.fftshift(np.fft.fftfreq(size))


def marked(shape: tuple[int, int], period: int) -> np.ndarray:
    """(H, W) bool: frequencies that a pattern of that period is made of, but 0; the nearest that the picture has."""
    multiples = np.arange(period) / period
    found = [np.zeros(n, bool) for n in shape]
    for mask, n in zip(found, shape, strict=True):
        mask[(np.round(multiples * n).astype(int) + n // 2) % n] = True
    mask = np.outer(*found)
    mask[shape[0] // 2, shape[1] // 2] = False
    return mask


def peak(spectrum: np.ndarray, period: int) -> float:
    """Power at the frequencies of a period over that of their neighbours, which lie 2 to `NEAR` steps away.

    1 for a spectrum that is smooth there. The window spreads a peak over one step to each side: these count as neither.
    """
    at = marked(spectrum.shape, period)
    power = np.log(spectrum + FLOOR * spectrum.max() + np.finfo(float).tiny)
    taken = _grown(at | _one(spectrum.shape, [n // 2 for n in spectrum.shape]), 1)
    ratios = []
    for place in np.argwhere(at):
        around = _grown(_one(spectrum.shape, place), NEAR) & ~taken
        if around.any():
            ratios.append(power[tuple(place)] - power[around].mean())
    return float(np.exp(np.mean(ratios))) if ratios else 1.0


def _one(shape: tuple[int, int], place) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(place)] = True
    return mask


def _grown(mask: np.ndarray, steps: int) -> np.ndarray:
    """The mask and all places at most so many steps away; frequencies go round."""
    moves = range(-steps, steps + 1)
    return np.any([np.roll(mask, (i, j), (0, 1)) for i in moves for j in moves], 0)


def excess(spectrum: np.ndarray, data: np.ndarray, period: int) -> float:
    """How far the frequencies of a period stand out from their neighbours, against the data.

    1: as in the data; more: a checkerboard; less: a gap, as repeated pixels leave it.

    Against neighbours, as a blurred picture has less power at all high frequencies, a checkerboard or not.
    """
    return peak(spectrum, period) / peak(data, period)


def radial(spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances from 0 in cycles per pixel, and the mean power on the ring about each."""
    up, across = (frequencies(n) for n in spectrum.shape)
    away = np.hypot(up[:, None], across[None])
    step = 1 / max(spectrum.shape)
    ring = np.round(away / step).astype(int).ravel()
    counts = np.bincount(ring)
    kept = (counts > 0) & (np.arange(len(counts)) > 0)
    means = np.bincount(ring, spectrum.ravel())[kept] / counts[kept]
    return np.flatnonzero(kept) * step, means


def decibels(spectrum: np.ndarray, reference: float) -> np.ndarray:
    """10 log10 of the power over `reference`."""
    return 10 * np.log10(np.maximum(spectrum, FLOOR * reference) / reference)

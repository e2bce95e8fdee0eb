"""What the decoder's upsampling leaves in the spectrum of its pictures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor, nn

from aeexp.drawing import canvas, naming
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.run import Run
from aeexp.models.autoencoder import Autoencoder
from aeexp.ranges import Count
from aeexp.types import Batch

log = logging.getLogger(__name__)

LEAST = 8  # pixels a side, below which there are no frequencies between
SPAN = 20.0  # decibels, where the colours of a ratio end
FLOOR = 1e-10  # of the largest power: what float32 cannot tell from 0
NEAR = 3  # steps of frequency to each side, as far as a neighbour lies


@final
class Checkerboard(Plot):
    """Power spectra of `rows` test pictures and of what the model makes of them, with the decoder's own frequencies.

    A step that enlarges maps s times can paint a pattern of period s (Odena et al. 2016), steps behind one another
    also of period s^2, ...: peaks at multiples of 1 / s, or gaps there where pixels are only repeated. A spectrum is
    the mean over rows and channels of |FFT|^2 of the picture less its mean, under a Hann window, as pictures do not go
    on at their edges; its radial mean is that of Durall et al. 2020 (section 3.1). The title's number is `excess`. The
    comparable PCA, which enlarges nothing, tells blur from artefact; the network before training, where it is known,
    shows the pattern undisguised.
    """

    of_pictures: ClassVar = True

    def __init__(self, *, rows: Count = 512):
        self.rows = rows

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        shape = tuple(run.data.shape)
        if len(shape) != 3 or min(shape[1:]) < LEAST:
            log.info("plot=checkerboard left out: it needs pictures of at least %d pixels a side", LEAST)
            return {}
        split = run.rows("test")
        chosen = np.sort(np.random.default_rng(0).permutation(len(split))[: self.rows])
        batch = split.batch(torch.from_numpy(chosen))
        spectra = {"data": power(run.forward(batch).batch.targets), "this model": power(reconstruct(run, batch))}
        if (pca := run.pca()) is not None:
            spectra[run.describe_pca()] = power(reconstruct(pca, batch))
        if (random := run.random()) is not None:
            spectra["before training"] = power(reconstruct(random, batch))
        return {"checkerboard": draw(run, spectra, enlargements(run.model))}


def reconstruct(run: Run, batch: Batch) -> Tensor:
    """(B, C, H, W) reconstructions from the mean codes, without noise."""
    return run.model.likelihood.mean(run.forward(batch).output)


STYLES: dict[str, canvas.Stroke] = {
    "data": {"color": canvas.BLACK, "linewidth": 2.0},
    "this model": {"color": canvas.BLUE, "linewidth": 1.6},
    "before training": {"color": canvas.PURPLE, "linewidth": 1.2, "linestyle": ":"},
}
PCA: canvas.Stroke = {"color": canvas.ORANGE, "linewidth": 1.2, "linestyle": "--"}
MARKERS = {"data": "o", "this model": "s", "before training": "D"}


def draw(run: Run, spectra: dict[str, np.ndarray], steps: list[int]) -> Figure:
    """Maps of the spectra above, their means over rings below; `steps` are those of `enlargements`."""
    period, data = (steps or [2])[0], spectra["data"]  # of a decoder without steps: from pixel to pixel
    numbers = {name: canvas.format_number(excess(s, data, period), 2) for name, s in spectra.items() if name != "data"}
    title = naming.heading(run, "spectra of test pictures and of reconstructions")
    title += f"\npower at period {period} over its neighbours', against the data"
    title += " (1: alike; more: a checkerboard; less: a gap):\n"
    title += ", ".join(f"{name} {value}" for name, value in numbers.items())
    figure = canvas.figure(title, 10.5, 7.4)
    grid = figure.add_gridspec(2, 3, height_ratios=(1, 1.05))
    reference = data.max()
    own = spectra["this model"]
    boards = [figure.add_subplot(grid[0, i]) for i in range(3)]
    low = max(-60.0, float(decibels(np.minimum(data, own), reference).min()))
    _map(boards[0], decibels(data, reference), "data", (low, 0.0), "viridis")
    image = _map(boards[1], decibels(own, reference), "this model", (low, 0.0), "viridis")
    figure.colorbar(image, ax=boards[:2], label="power, dB of the data's largest", shrink=0.85, pad=0.02)
    ratio = decibels(own, reference) - decibels(data, reference)
    image = _map(boards[2], ratio, "this model over the data", (-SPAN, SPAN), canvas.SIGNED)
    figure.colorbar(image, ax=boards[2], label="ratio, dB", shrink=0.85, extend="both", pad=0.02)
    for axes in boards:
        _rings(axes, data.shape, period)
    _profiles(figure.add_subplot(grid[1, :]), spectra, steps, reference)
    return figure


def _map(axes: Axes, values: np.ndarray, title: str, limits: tuple[float, float], cmap: str) -> AxesImage:
    height, width = values.shape
    up, across = frequencies(height), frequencies(width)
    half = 0.5 / width, 0.5 / height
    extent = (across[0] - half[0], across[-1] + half[0], up[0] - half[1], up[-1] + half[1])
    image = axes.imshow(values, cmap=cmap, vmin=limits[0], vmax=limits[1], origin="lower", extent=extent)
    axes.set_title(title, fontsize=10)
    axes.set(xticks=(-0.5, 0, 0.5), yticks=(-0.5, 0, 0.5))
    axes.set_xlabel("cycles per pixel, across", fontsize=9)
    axes.set_ylabel("cycles per pixel, down", fontsize=9)
    axes.tick_params(labelsize=8)
    return image


def _rings(axes: Axes, shape: tuple[int, ...], period: int) -> None:
    up, across = (frequencies(n) for n in shape)
    rows, columns = np.nonzero(pattern_frequencies(shape, period))
    axes.scatter(
        across[columns], up[rows], marker="o", s=90, facecolors="none", edgecolors=canvas.VERMILION, linewidths=1.3,
        clip_on=False,
    )  # fmt: skip


def _profiles(axes: Axes, spectra: dict[str, np.ndarray], steps: list[int], reference: float) -> None:
    """Means over rings as lines, the frequencies of the last step as marks of their own."""
    period = (steps or [2])[0]
    at = pattern_frequencies(spectra["data"].shape, period)
    up, across = (frequencies(n) for n in spectra["data"].shape)
    away = np.hypot(up[:, None], across[None])
    for name, spectrum in spectra.items():
        style = STYLES.get(name, PCA)
        x, y = radial(spectrum)
        axes.plot(x, decibels(y, reference), label=name, **style)
        axes.plot(
            away[at], decibels(spectrum[at], reference), color=style.get("color"), linestyle="none",
            marker=MARKERS.get(name, "^"), markersize=7, markerfacecolor="white", markeredgewidth=1.5,
        )  # fmt: skip
    totals = [int(total) for total in np.cumprod(steps or [2])]
    for line in sorted({round(i / total, 4) for total in totals for i in range(1, total // 2 + 1)}):
        axes.axvline(line, color="0.8", linewidth=0.8, zorder=0)
        place = (line, 1.0)
        axes.annotate(f"{line:.3g}", place, xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8)
    label = f"at the frequencies of period {period} (red rings above)"
    axes.plot([], [], linestyle="none", marker="o", markerfacecolor="white", color="0.3", label=label)
    meaning = f"multiples of 1/{totals[-1]}, where the decoder's steps may leave a pattern"
    meaning = meaning if steps else "1/2, a pattern from pixel to pixel (this decoder enlarges nothing)"
    axes.set_xlabel(f"distance from frequency 0, cycles per pixel; upright lines: {meaning}", fontsize=9)
    axes.set_ylabel("power, dB of the data's largest", fontsize=9)
    canvas.hide_frame(axes)
    axes.legend(fontsize=8, frameon=False, ncols=2)


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


def pattern_frequencies(shape: tuple[int, ...], period: int) -> np.ndarray:
    """(H, W) bool: frequencies that a pattern of that period is made of, but 0; the nearest that the picture has."""
    multiples = np.arange(period) / period
    sides = [np.zeros(n, bool) for n in shape]
    for side, n in zip(sides, shape, strict=True):
        side[(np.round(multiples * n).astype(int) + n // 2) % n] = True
    mask = np.outer(*sides)
    mask[shape[0] // 2, shape[1] // 2] = False
    return mask


def peak(spectrum: np.ndarray, period: int) -> float:
    """Power at the frequencies of a period over that of their neighbours, which lie 2 to `NEAR` steps away.

    1 for a spectrum that is smooth there. The window spreads a peak over one step to each side: these count as neither.
    """
    at = pattern_frequencies(spectrum.shape, period)
    power = np.log(spectrum + FLOOR * spectrum.max() + np.finfo(float).tiny)
    left_out = _grow(at | _one(spectrum.shape, [n // 2 for n in spectrum.shape]), 1)
    ratios = []
    for place in np.argwhere(at):
        around = _grow(_one(spectrum.shape, place), NEAR) & ~left_out
        if around.any():
            ratios.append(power[tuple(place)] - power[around].mean())
    return float(np.exp(np.mean(ratios))) if ratios else 1.0


def _one(shape: tuple[int, ...], place: Sequence[int] | np.ndarray) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(place)] = True
    return mask


def _grow(mask: np.ndarray, steps: int) -> np.ndarray:
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
    occupied = (counts > 0) & (np.arange(len(counts)) > 0)
    means = np.bincount(ring, spectrum.ravel())[occupied] / counts[occupied]
    return np.flatnonzero(occupied) * step, means


def decibels(spectrum: np.ndarray, reference: float) -> np.ndarray:
    """10 log10 of the power over `reference`."""
    return 10 * np.log10(np.maximum(spectrum, FLOOR * reference) / reference)

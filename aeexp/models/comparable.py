"""PCA that may spend on a row what a code may: as many numbers, the largest few of them, or as many bits."""

from __future__ import annotations

import heapq
import math
from typing import final

import numpy as np
import torch
from torch import Tensor

from aeexp.contracts import Capacity, Examples, Latent
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.pca import Find, constant, pca
from aeexp.types import Code

ROWS = 5_000  # drawn rows that thresholds and levels are those of, where there are more
SWEEPS = 50  # of Lloyd's method
FINEST = 8  # bits of a component at most


@torch.no_grad()
def comparable_pca(split: Examples, capacity: Capacity, find: Find | None = None) -> Autoencoder:
    """PCA of a split with as much to say of a row as `capacity`; `find` finds components, as in `pca`.

    - real numbers: the first components, as many.
    - k active ones: as many components as units, of which a row keeps the k largest, as the code does; where k is
      an average, those above one threshold, which of all choices of k N components of N rows leaves the least error.
    - bits: components rounded to levels, with the bits shared out among them (Huang and Schultheiss 1963).
    """
    features = math.prod(split.shape)
    if capacity.bits is not None:
        return _rounded_pca(split, capacity.bits, features, find)
    chosen = _choose(capacity, features)
    if chosen is None:
        return pca(split, capacity.width, find)
    model = pca(split, min(capacity.width, features), find)
    threshold = 0.0
    if capacity.shared:
        sizes = _codes(model, split).abs().flatten().sort(descending=True).values
        threshold = float(sizes[chosen * len(sizes) // model.latent.dim - 1])
    model.latent = _Largest(model.latent.dim, model.latent.dim if capacity.shared else chosen, threshold)
    return model.to(split.device).eval()


def describe(capacity: Capacity, features: int) -> str:
    """What such PCA is called."""
    if capacity.bits is not None:
        return f"PCA in {capacity.bits} bits"
    if (chosen := _choose(capacity, features)) is not None:
        average = " on average" if capacity.shared else ""
        return f"PCA, {chosen} of {min(capacity.width, features)} components a row{average}"
    return f"PCA, width {capacity.width}"


def _choose(capacity: Capacity, features: int) -> int | None:
    """Components that a row keeps; None: all of them."""
    few = capacity.active is not None and capacity.active < min(capacity.width, features)
    return capacity.active if few else None


@final
class _Largest(Latent):
    """Keeps the k largest units of a row by absolute value, and of these what is not below the threshold."""

    def __init__(self, dim: int, k: int, threshold: float):
        super().__init__(dim)
        self.k = k
        self.threshold = threshold

    def forward(self, h: Tensor) -> Code:
        size = h.abs()
        least = size.topk(self.k, -1).values[:, -1:].clamp(min=self.threshold)
        z = torch.where(size >= least, h, torch.zeros_like(h))
        return Code(z=z, mean=z)


@final
class _Rounded(Latent):
    """Each unit at the nearest of its levels (D, L), which rise along a row and end in infinity."""

    levels: Tensor

    def __init__(self, levels: Tensor):
        super().__init__(len(levels))
        self.register_buffer("levels", levels)

    def forward(self, h: Tensor) -> Code:
        middles = ((self.levels[:, 1:] + self.levels[:, :-1]) / 2).nan_to_num(nan=math.inf)
        place = torch.searchsorted(middles, h.T.contiguous())
        z = self.levels.gather(1, place).T
        return Code(z=z, mean=z)


def _rounded_pca(split: Examples, bits: int, features: int, find: Find | None) -> Autoencoder:
    """Of `bits` bits, the next one always where it takes the most squared error away."""
    if bits < 1:
        return constant(split)
    model = pca(split, min(bits, features), find)
    tables = share_bits(_codes(model, split).double().T.numpy(), bits)
    last = max((i for i, table in enumerate(tables) if len(table) > 1), default=0) + 1
    if last < model.latent.dim:
        model = pca(split, last, find)
        tables = share_bits(_codes(model, split).double().T.numpy(), bits)  # masked PCA of fewer units has other codes
    levels = torch.full((model.latent.dim, max(map(len, tables))), math.inf)
    for row, table in zip(levels, tables, strict=False):
        row[: len(table)] = torch.from_numpy(table)
    model.latent = _Rounded(levels)
    return model.to(split.device).eval()


def share_bits(components: np.ndarray, bits: int) -> list[np.ndarray]:
    """Rising levels of each component, 2^b for one with b bits, given values (D, N)."""
    values = np.sort(components, 1)
    tables = [row.mean(keepdims=True) for row in values]
    errors = [float(row.var()) for row in values]
    finer = [find_levels(row, 2) for row in values]
    gains = [(finer[i][1] - errors[i], i) for i in range(len(values))]
    heapq.heapify(gains)
    for _ in range(bits):
        gain, i = heapq.heappop(gains)
        if gain >= 0:  # nothing is left to explain
            break
        tables[i], errors[i] = finer[i]
        gain = 0.0
        if len(tables[i]) < 1 << FINEST:
            finer[i] = find_levels(values[i], 2 * len(tables[i]))
            gain = finer[i][1] - errors[i]
        heapq.heappush(gains, (gain, i))
    return tables


def find_levels(values: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """Rising levels of sorted values (N,) with the least mean squared error nearby, and that error (Lloyd 1982)."""
    total = np.concatenate([[0.0], values.cumsum()])
    levels = values[((np.arange(count) + 0.5) / count * len(values)).astype(int)]
    ends = np.array([])
    for _ in range(SWEEPS):
        before, cuts = ends, np.searchsorted(values, (levels[1:] + levels[:-1]) / 2)
        ends = np.concatenate([[0], cuts, [len(values)]])
        if np.array_equal(ends, before):
            break
        sizes = np.diff(ends)
        levels = np.where(sizes > 0, np.diff(total[ends]) / sizes.clip(min=1), levels)
    place = np.searchsorted((levels[1:] + levels[:-1]) / 2, values)
    return levels, float(np.square(values - levels[place]).mean())


def _codes(model: Autoencoder, split: Examples) -> Tensor:
    """(N, D) of at most `ROWS` rows, on the CPU."""
    batches = split.sample(ROWS).batches(1024)
    return torch.cat([model.encode(batch.x, None, batch.mask).mean.cpu() for batch in batches])

"""A small network that learns what rows of one data set are about, and whose features tell how far two rows are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.contracts import Examples

UNITS = 32
MAPS = (8, 16, 32, 32, 32)  # of convolutions, until a side has at most 7 pixels
HIDDEN = 64
BATCH, RATE, SEED = 128, 2e-3, 0
ROWS = 10_000  # of the training split that scales are taken from


@final
class FeatureNet(nn.Module):
    """(B, *shape) to features (B, 32): the last hidden layer before its activation, standardised on training rows.

    A classifier where there are `classes`, with strided convolutions for pictures; without classes an autoencoder,
    whose code is taken. Rows are standardised by one mean and one deviation.
    """

    centre: Tensor
    spread: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: Sequence[int], classes: int):
        super().__init__()
        self.convolutions = nn.ModuleList()
        sizes = list(shape)
        for maps in MAPS if len(shape) == 3 else ():
            if max(sizes[1:]) > 7:
                self.convolutions.append(nn.Conv2d(sizes[0], maps, 3, 2, 1))
                sizes = [maps, *((side + 1) // 2 for side in sizes[1:])]
        self.hidden = nn.Linear(math.prod(sizes), HIDDEN)
        self.last = nn.Linear(HIDDEN, UNITS)
        self.classes = classes
        back = nn.Sequential(nn.Linear(UNITS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, math.prod(shape)))
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(UNITS, classes)) if classes else back
        for name, value in (("centre", torch.zeros(())), ("spread", torch.ones(()))):
            self.register_buffer(name, value)
        self.register_buffer("mean", torch.zeros(UNITS))
        self.register_buffer("deviation", torch.ones(UNITS))

    def extract(self, x: Tensor) -> Tensor:
        """(B, 32) features before they are standardised."""
        h = self.scale(x)
        for convolution in self.convolutions:
            h = F.relu(convolution(h))
        return self.last(F.relu(self.hidden(h.flatten(1))))

    def look(self, x: Tensor) -> list[Tensor]:
        """The maps (B, M, h, w) of each convolution, and the hidden layer (B, H)."""
        h, seen = self.scale(x), []
        for convolution in self.convolutions:
            h = F.relu(convolution(h))
            seen.append(h)
        return [*seen, F.relu(self.hidden(h.flatten(1)))]

    def scale(self, x: Tensor) -> Tensor:
        """(B, *shape) rows by the one mean and deviation of the training rows."""
        return (x - self.centre) / self.spread

    def forward(self, x: Tensor) -> Tensor:
        """(B, 32) features of variance 1 on training rows."""
        return (self.extract(x) - self.mean) / self.deviation

    def loss(self, x: Tensor, y: Tensor | None) -> Tensor:
        """() cross-entropy over labelled rows, or squared error of the autoencoder, which takes no labels."""
        output = self.head(self.extract(x))
        if y is None or not self.classes:
            return F.mse_loss(output, self.scale(x).flatten(1))
        known = y >= 0
        # a batch may have no labelled row, and no mean then
        return F.cross_entropy(output[known], y[known], reduction="sum") / known.sum().clamp(min=1)


def teach(net: FeatureNet, split: Examples, steps: int) -> None:
    """A fixed number of steps on a training split, on the CPU; a function of the split alone, but for torch's draws."""
    rows = torch.cat([batch.x.cpu() for batch in split.sample(ROWS).batches(1024)])
    net.centre.copy_(rows.mean())
    net.spread.copy_(rows.std(unbiased=False).clamp(min=1e-6))
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    step = epoch = 0
    while step < steps:
        for batch in split.epoch(SEED, epoch, BATCH):
            optimizer.zero_grad(set_to_none=True)
            net.loss(batch.x.cpu(), None if batch.y is None else batch.y.cpu()).backward()
            optimizer.step()
            step += 1
            if step == steps:
                break
        epoch += 1
    with torch.no_grad():
        features = torch.cat([net.extract(part) for part in rows.split(1024)])
        deviation = features.std(0, unbiased=False)
        net.mean.copy_(features.mean(0))
        net.deviation.copy_(torch.where(deviation > 1e-6, deviation, 1.0))

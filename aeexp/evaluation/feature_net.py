"""A small network that sees what rows of one data set are about: features for distances between sets of rows.

It is trained on the training split and on nothing else, so it is the same for every model of the same data, and is
kept on disk. Its version, its settings and the data's fingerprint make its id: numbers under other ids do not compare.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp import files
from aeexp.datasets.core.data import Data

log = logging.getLogger(__name__)

VERSION = "v1"  # another one for every change of what follows
UNITS = 32
MAPS = (8, 16, 32, 32, 32)  # of convolutions, until a side has at most 7 pixels
HIDDEN = 64
STEPS, BATCH, RATE, SEED = 500, 128, 2e-3, 0
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


def feature_net(data: Data) -> tuple[FeatureNet, str]:
    """The network of this data, from the cache if it is there, and its id; on the CPU, in evaluation mode.

    On another machine the same id may be rounded otherwise. The run's own draws stay as they were.
    """
    classes, shape = _classes(data), tuple(data.shape)
    settings = (UNITS, MAPS, HIDDEN, STEPS, BATCH, RATE, SEED, ROWS, classes, shape, data.fingerprint)
    name = f"{VERSION}-{hashlib.blake2b(repr(settings).encode(), digest_size=4).hexdigest()}"
    path = cache_folder() / "features" / f"{name}.pt"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order in which numbers are added depends on them
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            net = _restore(FeatureNet(shape, classes), path)
            if net is None:
                torch.manual_seed(SEED)
                net = FeatureNet(shape, classes)
                train(net, data)
                _keep(net, path)
    finally:
        torch.set_num_threads(threads)
    return net.eval().requires_grad_(False), name


def train(net: FeatureNet, data: Data) -> None:
    """A fixed number of steps on the training split."""
    rows = torch.cat([batch.x.cpu() for batch in data["train"].sample(ROWS).batches(1024)])
    net.centre.copy_(rows.mean())
    net.spread.copy_(rows.std(unbiased=False).clamp(min=1e-6))
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    step = epoch = 0
    while step < STEPS:
        for batch in data["train"].epoch(SEED, epoch, BATCH):
            optimizer.zero_grad(set_to_none=True)
            net.loss(batch.x.cpu(), None if batch.y is None else batch.y.cpu()).backward()
            optimizer.step()
            step += 1
            if step == STEPS:
                break
        epoch += 1
    with torch.no_grad():
        features = torch.cat([net.extract(part) for part in rows.split(1024)])
        deviation = features.std(0, unbiased=False)
        net.mean.copy_(features.mean(0))
        net.deviation.copy_(torch.where(deviation > 1e-6, deviation, 1.0))


def cache_folder() -> Path:
    """Where what is costly and can be made again is kept: AEEXP_CACHE, else the platform's place; for a user without a
    home folder that of temporary files."""
    if own := os.environ.get("AEEXP_CACHE"):
        return Path(files.expand_home(own))
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "aeexp"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / "aeexp"


def _classes(data: Data) -> int:
    """How many classes the training rows can tell apart; 0 where there is nothing to classify."""
    y = data["train"].y
    known = [] if y is None else y[y >= 0].unique().tolist()
    return max(known) + 1 if len(known) >= 2 else 0


def _restore(net: FeatureNet, path: Path) -> FeatureNet | None:
    if not path.is_file():
        return None
    try:
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception:  # a damaged file raises anything
        log.warning("%s is damaged: the feature net is trained anew", path)
        return None
    return net


def _keep(net: FeatureNet, path: Path) -> None:
    try:
        files.write(path, lambda file: torch.save(net.state_dict(), file))
    except OSError as error:
        log.warning("the feature net cannot be kept (%s): every run trains it anew; set AEEXP_CACHE to a folder", error)

"""Models with known values as runs."""

from __future__ import annotations

import math
from typing import final

import numpy as np
import torch
from torch import nn

from aeexp.contracts import Encoder
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.evaluation.run import Run
from aeexp.latents import Gaussian, Standard
from aeexp.models.learner import Learner
from aeexp.models.pca import identity, linear
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.tasks.reconstruct import Reconstruct


def as_run(model, data) -> Run:
    return Run(Learner(Reconstruct(), model, Additive(Chain({}), {})), data)


@torch.no_grad()
def constant(data) -> nn.Module:
    """The mean picture of the training rows for everyone."""
    model = linear(data.shape, 3)
    for parameter in model.parameters():
        parameter.zero_()
    model.decoder.layers[0].bias.copy_(torch.cat([b.x for b in data["train"].batches(500)]).mean(0).flatten())
    return model


def values_of(data, split) -> np.ndarray:
    return np.concatenate([batch.x.numpy() for batch in data[split].batches(1000)]).astype(np.float64)


@final
class About(Encoder):
    """The row itself as mean, and a deviation that is the same for all."""

    def __init__(self, deviation: float):
        super().__init__()
        self.log_var = 2 * math.log(deviation)

    def forward(self, x, context=None, mask=None):
        return torch.cat([x, torch.full_like(x, self.log_var)], -1)


def drawn_about(
    means: np.ndarray, deviation: float, labels: np.ndarray | None = None, factors: np.ndarray | None = None
) -> Run:
    """A run whose codes are drawn about these means, the same in every split."""
    rows = Rows(means.astype(np.float32), labels, factors)
    data = Data("coded", {name: Split(rows) for name in ("train", "val", "test")}, ())
    model = identity(data.shape)
    model.encoder, model.latent = About(deviation), Gaussian(means.shape[1], Standard())
    return as_run(model, data)


def coded(codes: np.ndarray, labels: np.ndarray | None = None) -> Run:
    """A run whose codes are these, the same in every split."""
    rows = Rows(codes.astype(np.float32), labels)
    data = Data("coded", {name: Split(rows) for name in ("train", "val", "test")}, ())
    return as_run(identity(data.shape), data)

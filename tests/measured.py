"""Models with known values as runs."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.evaluation.run import Run
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


def coded(codes: np.ndarray, labels: np.ndarray | None = None) -> Run:
    """A run whose codes are these, the same in every split."""
    rows = Rows(codes.astype(np.float32), labels)
    data = Data("coded", {name: Split(rows) for name in ("train", "val", "test")}, ())
    return as_run(identity(data.shape), data)

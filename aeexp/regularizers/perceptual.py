"""Distance of pictures as a network of the data's own sees it. Weights are buffers."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from aeexp.contracts import Examples, Model, Regularizer
from aeexp.models.nn.features import SEED, FeatureNet, teach
from aeexp.ranges import Count, NonNegative
from aeexp.regularizers.needs import need_rows_decoded
from aeexp.types import Facts, Pass

LEAST = 1e-10  # of a squared length


@final
class Perceptual(Regularizer):
    """Distance of a reconstruction from its row in the features of a small network, (B,): perceptual loss (Johnson et
    al. 2016), with the channels of each place scaled to length 1 (LPIPS, Zhang et al. 2018).

    Nothing is downloaded: the network learns the training split's classes, without labels to restore its rows, in
    `steps` steps before the first of the run, and stays as it is then. Its weights lie in the checkpoint.

    Formula: Σ_l mean over places of |c_l(x) / |c_l(x)| - c_l(D) / |c_l(D)||²

    Look at: plot=reconstructions; generation/frechet_reconstruction beside reconstruction/mse, which it is paid with.
    """

    def __init__(self, weight: NonNegative = 10.0, steps: Count = 500):
        super().__init__(weight)
        self.steps = steps

    def check(self, model: Model) -> None:
        """Raises UsageError where no rows of the data are decoded."""
        need_rows_decoded("perceptual", model)

    def adapt(self, model: Model, facts: Facts) -> None:
        """The network of such rows, which learns later."""
        self.shape, self.classes = facts.shape, facts.classes if facts.classes > 1 else 0
        self.net = FeatureNet(self.shape, self.classes).requires_grad_(False)

    def before_step(self, model: Model, split: Examples, step: int) -> None:
        """Before the first step the network learns, as ever the same of the same rows."""
        if step != 0:
            return
        with torch.random.fork_rng(), torch.enable_grad():
            torch.manual_seed(SEED)
            pupil = FeatureNet(self.shape, self.classes)
            teach(pupil, split, self.steps)
        learned = pupil.state_dict()
        for name, value in self.net.state_dict().items():
            value.copy_(learned[name])

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) over all layers."""
        picture = model.likelihood.mean(out.output)
        if out.batch.mask is not None:  # beyond the end of a sequence the row is 0
            picture = picture * out.batch.mask.unsqueeze(-1)
        own, made = self.net.look(out.batch.targets), self.net.look(picture)
        total = torch.zeros_like(own[0].flatten(1)[:, 0])
        for a, b in zip(own, made, strict=True):
            apart = (_unit(a) - _unit(b)).square().sum(1)
            total = total + (apart.flatten(1).mean(1) if apart.dim() > 1 else apart)
        return total


def _unit(maps: Tensor) -> Tensor:
    """(B, M, ...) with the channels of each place scaled to length 1."""
    return maps / (maps.square().sum(1, keepdim=True) + LEAST).sqrt()

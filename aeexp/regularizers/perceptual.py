"""Distance of pictures as a network sees it: the data's own, or LPIPS. Weights are buffers."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from aeexp.contracts import Examples, Model, Regularizer
from aeexp.errors import UsageError
from aeexp.models.nn.features import SEED, FeatureNet, teach
from aeexp.models.nn.lpips import SMALLEST, Lpips, Net
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

    With `weights` the distance is LPIPS itself, of pictures with values from 0 to 1: a file as
    `torch.save(lpips.LPIPS(net="vgg").state_dict(), PATH)` writes it on a machine that has the package lpips, of which
    nothing but tensors is read. The file is read at the first step alone.

    Formula: Σ_l mean over places of |w_l (c_l(x) / |c_l(x)| - c_l(D) / |c_l(D)|)|², w_l² the channels' weights (1 of
    the data's own network)

    Look at: plot=reconstructions; generation/frechet_reconstruction beside reconstruction/mse, which it is paid with.
    """

    def __init__(self, weight: NonNegative = 10.0, steps: Count = 500, weights: str | None = None, net: Net = "vgg"):
        super().__init__(weight)
        self.steps = steps
        self.weights = weights
        self.kind: Net = net

    def check(self, model: Model) -> None:
        """Raises UsageError where no rows of the data are decoded."""
        need_rows_decoded("perceptual", model)

    def adapt(self, model: Model, facts: Facts) -> None:
        """The network of such rows, which learns or is read later."""
        self.shape, self.classes = facts.shape, facts.classes if facts.classes > 1 else 0
        if self.weights is None:
            self.net = FeatureNet(self.shape, self.classes).requires_grad_(False)
        else:
            _need_pictures(self.shape, self.kind)
            self.net = Lpips(self.kind).requires_grad_(False)

    def before_step(self, model: Model, split: Examples, step: int) -> None:
        """Before the first step the network learns, as ever the same of the same rows, or its file is read."""
        if step != 0:
            return
        if isinstance(self.net, Lpips):
            _need_unit_values(split)
            self.net.load(self.weights or "")
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
        if isinstance(self.net, Lpips):
            return self.net(out.batch.targets, picture)
        own, made = self.net.look(out.batch.targets), self.net.look(picture)
        total = torch.zeros_like(own[0].flatten(1)[:, 0])
        for a, b in zip(own, made, strict=True):
            apart = (_unit(a) - _unit(b)).square().sum(1)
            total = total + (apart.flatten(1).mean(1) if apart.dim() > 1 else apart)
        return total


def _need_pictures(shape: tuple[int, ...], net: Net) -> None:
    """Raises UsageError for rows that LPIPS does not take."""
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise UsageError(f"weights: LPIPS is of grey or coloured pictures, and a row has shape {shape}: weights=null")
    if min(shape[1:]) < SMALLEST[net]:
        way = "take net=vgg and a file of it" if min(shape[1:]) >= SMALLEST["vgg"] else "leave weights=null"
        raise UsageError(
            f"net={net} takes pictures of at least {SMALLEST[net]} pixels a side, and a row has {shape[1]}x{shape[2]}: "
            f"{way}"
        )


def _need_unit_values(split: Examples) -> None:
    """Raises UsageError where pictures are not from 0 to 1."""
    low, high = next(iter(split.sample(1024).batches(1024))).x.aminmax()
    if low < -0.01 or high > 1.01:
        raise UsageError(
            f"regularizer.perceptual.weights: LPIPS is of values from 0 to 1, and these rows have {float(low):.3g} to "
            f"{float(high):.3g}: take dataset.scale=unit dataset.standardise=false, or weights=null"
        )


def _unit(maps: Tensor) -> Tensor:
    """(B, M, ...) with the channels of each place scaled to length 1."""
    return maps / (maps.square().sum(1, keepdim=True) + LEAST).sqrt()

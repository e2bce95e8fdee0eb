"""A critic that tells decoded pictures from real ones. Weights are buffers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.contracts import Model, Regularizer
from aeexp.errors import UsageError
from aeexp.ranges import Count, NonNegative, Positive
from aeexp.regularizers.needs import need_rows_decoded
from aeexp.types import Facts, Pass

SLOPE = 0.2  # of its rectifiers below 0


@final
class PatchCritic(nn.Module):
    """Pictures (B, C, H, W) to a score for each place of the last map, which sees a patch (Isola et al. 2017), and the
    maps before it. Its weights are `rate` times its parameters: an optimizer whose steps do not depend on a gradient's
    size, as Adam, moves them at so many times its learning rate."""

    def __init__(self, planes: int, channels: Sequence[int], rate: float):
        super().__init__()
        self.rate = rate
        widths = [planes, *channels]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in zip(widths, widths[1:], strict=False))
        self.last = nn.Conv2d(widths[-1], 1, 1)
        for parameter in self.parameters():
            parameter.data.div_(rate)

    def forward(self, x: Tensor, frozen: bool = False) -> tuple[Tensor, Tensor]:
        """(B, 1, h, w) scores, and the last maps (B, M, h, w); `frozen`: gradients reach the pictures alone."""

        def read(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
            assert layer.bias is not None
            pair = layer.weight * self.rate, layer.bias * self.rate
            return (pair[0].detach(), pair[1].detach()) if frozen else pair

        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d)
            x = F.leaky_relu(F.conv2d(x, *read(layer), stride=2, padding=1), SLOPE)
        return F.conv2d(x, *read(self.last)), x


@final
class PictureCritic(Regularizer):
    """A convolutional critic learns to tell decoded pictures from real ones, and the model to mislead it (Goodfellow et
    al. 2014; of an autoencoder Larsen et al. 2016, VAE-GAN), (B,).

    Each place of the critic's last map judges a patch (PatchGAN, Isola et al. 2017). `features` weighs the squared
    distance of its last maps of a picture and its reconstruction, what VAE-GAN takes for the reconstruction
    (objective.reconstruction_weight lowers that by pixels). `rate` is how many times the optimizer's learning rate the
    critic learns at, under Adam and its kin. The critic trains in the same backward pass.

    Formula: mean over patches of -log σ(C(D)) + features |c(x) - c(D)|²; the critic: -log σ(C(x)) - log(1 - σ(C(D)))

    Look at: plot=reconstructions: sharper, at a worse reconstruction/mse; generation/frechet_reconstruction.
    """

    def __init__(
        self, weight: NonNegative = 10.0, *, channels: list[Count], rate: Positive = 1.0, features: NonNegative = 0.0
    ):  # fmt: skip
        super().__init__(weight)
        self.channels = list(channels)
        self.rate = rate
        self.features = features

    def check(self, model: Model) -> None:
        """Raises UsageError where no pictures of the data are decoded."""
        need_rows_decoded("picture_critic", model)

    def adapt(self, model: Model, facts: Facts) -> None:
        """The critic of pictures of that shape."""
        if len(facts.shape) != 3 or min(facts.shape[1:]) >> len(self.channels) < 1:
            raise UsageError(
                f"channels={self.channels}: the critic halves a picture {len(self.channels)} times, and a row is "
                f"{facts.shape}: take fewer, or leave picture_critic out"
            )
        self.critic = PatchCritic(facts.shape[0], self.channels, self.rate)

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) how well the critic tells that a decoded picture is none of the data."""
        scores, maps = self.critic(model.likelihood.mean(out.output), frozen=True)
        value = F.softplus(-scores).flatten(1).mean(1)
        if self.features == 0:
            return value
        _, real = self.critic(out.batch.targets, frozen=True)
        return value + self.features * (maps - real).square().flatten(1).mean(1)

    def lesson(self, out: Pass, model: Model) -> Tensor:
        """(B,) the critic's error."""
        real, _ = self.critic(out.batch.targets)
        made, _ = self.critic(model.likelihood.mean(out.output).detach())
        return (F.softplus(-real) + F.softplus(made)).flatten(1).mean(1)

"""Residual encoder and decoder for pictures; no layer mixes rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

from torch import Tensor, nn

from aeexp.models.nn import conv
from aeexp.models.nn.activations import Activation, activation
from aeexp.ranges import Count, Depth

Norm = Literal["none", "group"]


@final
class Block(nn.Module):
    """x + convolution(activation(convolution(activation(x)))), pre-activated (He et al. 2016b, figure 4e).

    The second convolution starts at 0: at the first step a network of any depth is the one without blocks, whose
    signal neither grows nor fades.
    """

    def __init__(self, channels: int, norm: Norm, name: Activation):
        super().__init__()
        self.norms = nn.ModuleList(norm_layer(channels, norm) for _ in range(2))
        self.convolutions = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.activation = activation(name)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to the same shape."""
        h = x
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            h = convolution(self.activation(norm(h)))
        return x + h


def resnet(
    shape: Sequence[int],
    params: int,
    dim: int,
    context: int,
    output: Sequence[int] | None = None,
    told: int | None = None,
    *,
    channels: list[Count],
    blocks: Depth = 2,
    norm: Norm = "none",
    kernel: Count = 4,
    stride: Count = 2,
    upsample: conv.Upsample = "transposed",
    activation: Activation = "relu",
    spatial: bool = False,
) -> tuple[conv.Encoder, conv.Decoder]:
    """`conv` with `blocks` residual blocks behind each of the encoder's convolutions and before each step up.

    `norm` group: GroupNorm (Wu and He 2018) in the blocks and behind them.
    """

    def stage(maps: int) -> nn.Module:
        return nn.Sequential(*(Block(maps, norm, activation) for _ in range(blocks)), norm_layer(maps, norm))

    networks = conv.build_conv(shape, params, dim, context, output, told, channels=channels, kernel=kernel,
                           stride=stride, upsample=upsample, activation=activation, spatial=spatial, name="resnet",
                           stage=stage)  # fmt: skip
    reset_norms(*networks)
    for part in (part for network in networks for part in network.modules()):
        if isinstance(part, Block):
            for parameter in part.convolutions[1].parameters():
                nn.init.zeros_(parameter)  # the bias is 0 already
    return networks


def reset_norms(*networks: nn.Module) -> None:
    """Norms as torch starts them: weight 1, bias 0."""
    for part in (part for network in networks for part in network.modules()):
        if isinstance(part, nn.GroupNorm):
            part.reset_parameters()


def norm_layer(channels: int, norm: Norm) -> nn.Module:
    """At most 8 groups of at least 4 channels: over one number at one place nothing would be left."""
    if norm == "none":
        return nn.Identity()
    groups = (g for g in (8, 4, 2) if channels % g == 0 and channels >= 4 * g)
    return nn.GroupNorm(next(groups, 1), channels)

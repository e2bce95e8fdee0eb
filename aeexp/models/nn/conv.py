"""Convolutional encoder and decoder for pictures (B, C, H, W) of any size; no layer mixes rows."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp import contracts
from aeexp.errors import UsageError
from aeexp.models.nn.activations import Activation, activation
from aeexp.models.nn.heads import heads
from aeexp.models.nn.initial import glorot
from aeexp.ranges import Count

log = logging.getLogger(__name__)

Upsample = Literal["transposed", "nearest", "bilinear", "subpixel"]
Size = tuple[int, int]  # height and width
Stage = Callable[[int], nn.Module]  # what follows a convolution to so many channels, and precedes a step up from them


@final
class Encoder(contracts.Encoder):
    """Strided convolutions, each with a stage behind it, then the head to (B, params). The context: constant planes."""

    def __init__(
        self, channels: Sequence[int], head: nn.Module, kernel: int, stride: int, name: Activation, stage: Stage
    ):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, kernel, stride, _padding(kernel, stride))
            for a, b in zip(channels, channels[1:], strict=False)
        )
        self.stages = nn.ModuleList(stage(c) for c in channels[1:])
        self.activation = activation(name)
        self.head = head

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to (B, params)."""
        if context is not None:
            planes = context[:, :, None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, planes], 1)
        for convolution, stage in zip(self.convolutions, self.stages, strict=True):
            x = self.activation(stage(convolution(x)))
        return self.head(x.flatten(1))


@final
class Decoder(contracts.Decoder):
    """The stem to the smallest map, then a stage and an upsampling step for each of the encoder's convolutions."""

    def __init__(
        self, sizes: Sequence[Size], channels: Sequence[int], stem: nn.Module, kernel: int, stride: int,
        upsample: Upsample, name: Activation, stage: Stage,
    ):  # fmt: skip
        super().__init__()
        self.planes = channels[0]
        self.start = (channels[-1], *sizes[-1])
        self.stem = stem
        ups = reversed(list(zip(channels[1:], channels, sizes[1:], sizes, strict=False)))
        self.steps = nn.ModuleList(step_up(a, b, small, large, kernel, stride, upsample) for a, b, small, large in ups)
        self.stages = nn.ModuleList(stage(c) for c in reversed(channels[1:]))
        self.activation = activation(name)

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """(B, dim) to (B, planes, H, W)."""
        if context is not None:
            z = torch.cat([z, context], 1)
        h = self.stem(z).unflatten(1, self.start)
        for step, stage in zip(self.steps, self.stages, strict=True):
            h = step(self.activation(stage(h)))
        return h


@final
class Resized(nn.Module):
    """Interpolate to an exact size, then convolve (Odena et al. 2016: no checkerboard by construction)."""

    def __init__(self, inputs: int, outputs: int, size: Size, mode: Literal["nearest", "bilinear"]):
        super().__init__()
        self.size = size
        self.mode = mode
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, *size)."""
        corners = False if self.mode == "bilinear" else None
        return self.convolution(F.interpolate(x, size=self.size, mode=self.mode, align_corners=corners))


@final
class Subpixel(nn.Module):
    """Convolve to stride^2 times the channels and shuffle them into space (Shi et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, size: Size, stride: int):
        super().__init__()
        self.size = size
        self.convolution = nn.Conv2d(inputs, outputs * stride**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, *size)."""
        x = self.shuffle(self.convolution(x))
        # A side that the stride does not divide lacks its last rows, or has some too many.
        down, right = (max(want - have, 0) for want, have in zip(self.size, x.shape[2:], strict=True))
        return F.pad(x, (0, right, 0, down), mode="replicate")[:, :, : self.size[0], : self.size[1]]


def conv(
    shape: Sequence[int],
    params: int,
    dim: int,
    context: int,
    output: Sequence[int] | None = None,
    told: int | None = None,
    *,
    channels: list[Count],
    kernel: Count = 4,
    stride: Count = 2,
    upsample: Upsample = "transposed",
    activation: Activation = "relu",
    spatial: bool = False,
) -> tuple[Encoder, Decoder]:
    """Encoder to `params` numbers and decoder from `dim`; each entry of `channels` shrinks the picture by `stride`.

    `spatial` makes the code a map: `params` and `dim` are dealt out to the places of the smallest one (`heads.Places`).
    A transposed convolution whose kernel the stride does not divide paints a checkerboard (Odena et al. 2016): it is
    told, and plot=checkerboard shows it.
    """
    return build_conv(shape, params, dim, context, output, told, channels=channels, kernel=kernel, stride=stride,
                  upsample=upsample, activation=activation, spatial=spatial, name="conv",
                  stage=lambda _: nn.Identity())  # fmt: skip


def build_conv(
    shape: Sequence[int],
    params: int,
    dim: int,
    context: int,
    output: Sequence[int] | None,
    told: int | None,
    *,
    channels: list[int],
    kernel: int,
    stride: int,
    upsample: Upsample,
    activation: Activation,
    spatial: bool,
    name: str,
    stage: Stage,
) -> tuple[Encoder, Decoder]:
    """`conv` with a stage of its own at each size; `name` is the architecture's, for messages."""
    sizes = _sizes(shape, channels, kernel, stride, name)
    if kernel % stride != 0 and upsample == "transposed":
        warn_of_checkerboard(kernel, stride)
    head, stem = heads((channels[-1], *sizes[-1]), params, dim, context, spatial)
    inputs = shape[0] + (context if told is None else told)
    encoder = Encoder([inputs, *channels], head, kernel, stride, activation, stage)
    planes = shape[0] if output is None else output[0]
    decoder = Decoder(sizes, [planes, *channels], stem, kernel, stride, upsample, activation, stage)
    glorot(encoder, decoder)
    return encoder, decoder


def _sizes(shape: Sequence[int], channels: list[int], kernel: int, stride: int, name: str) -> list[Size]:
    """Height and width of the picture and of the map after each convolution."""
    if len(shape) != 3:
        raise UsageError(
            f"model={name} needs pictures (channels, height, width), but a row of this dataset has shape "
            f"{tuple(shape)}: take model=mlp"
        )
    if stride < 1 or kernel < stride:
        raise UsageError(f"kernel={kernel} must be at least stride={stride}")
    if not channels:
        raise UsageError("channels=[]: name the maps of one layer at least, as in [32]")
    sizes = [(shape[1], shape[2])]
    for _ in channels:
        height, width = ((n + 2 * _padding(kernel, stride) - kernel) // stride + 1 for n in sizes[-1])
        sizes.append((height, width))
    if min(sizes[-1]) < 1:
        raise UsageError(
            f"channels={list(channels)} shrinks a picture of {shape[1]}x{shape[2]} to nothing: take fewer layers"
        )
    for large, small in zip(sizes, sizes[1:], strict=False):
        left = max(n - _reach(m, kernel, stride) for n, m in zip(large, small, strict=True))
        if left > 0:
            raise UsageError(
                f"kernel={kernel} with stride={stride} leaves {left} at the edge of a map of "
                f"{large[0]}x{large[1]} unread: take kernel={stride * math.ceil(3 - 3 / stride)}"
            )
    return sizes


@cache
def warn_of_checkerboard(kernel: int, stride: int) -> None:
    """Once in a process, however often the network is built."""
    log.warning(
        "model.kernel=%d is not divisible by model.stride=%d: a transposed convolution then reaches some pixels more "
        "often than others and paints a checkerboard (plot=checkerboard shows it); model.kernel=%d or "
        "model.upsample=nearest does not",
        kernel, stride, stride * max(1, round(kernel / stride)),
    )  # fmt: skip


def _padding(kernel: int, stride: int) -> int:
    return (kernel - stride + 1) // 2


def _reach(windows: int, kernel: int, stride: int) -> int:
    """Where the last window ends, counted from the first pixel."""
    return (windows - 1) * stride - _padding(kernel, stride) + kernel


def step_up(
    inputs: int, outputs: int, small: Size, large: Size, kernel: int, stride: int, upsample: Upsample
) -> nn.Module:
    """Maps (B, inputs, *small) to (B, outputs, *large)."""
    if upsample == "subpixel":
        return Subpixel(inputs, outputs, large, stride)
    if upsample != "transposed":
        return Resized(inputs, outputs, large, upsample)
    padding = _padding(kernel, stride)
    height, width = (want + padding - _reach(n, kernel, stride) for n, want in zip(small, large, strict=True))
    return nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, output_padding=(height, width))

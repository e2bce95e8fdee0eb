"""U-Net (Ronneberger et al. 2015): the decoder also gets the encoder's maps, which go round the code, or of them where
they were largest (SegNet, Badrinarayanan et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp import contracts
from aeexp.errors import UsageError
from aeexp.models.nn.activations import Activation, activation
from aeexp.models.nn.conv import Upsample, step_up
from aeexp.models.nn.heads import heads
from aeexp.models.nn.initial import glorot
from aeexp.models.nn.resnet import Norm, norm_layer, reset_norms
from aeexp.ranges import Count, Depth

Skips = Literal["maps", "indices"]


@final
class Encoder(contracts.Encoder):
    """Convolutions at each size, 2x2 max pooling between; gives (B, params) and the maps of all sizes but the last, or
    of them the places alone that pooling chose."""

    def __init__(self, stages: nn.ModuleList, head: nn.Module, skips: Skips = "maps"):
        super().__init__()
        self.skips = skips
        self.stages = stages
        self.pool = nn.MaxPool2d(2)
        self.head = head

    def forward(
        self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(B, C, H, W) to (B, params), and the maps from the largest to the smallest but one."""
        if context is not None:
            planes = context[:, :, None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, planes], 1)
        skips = []
        for stage in self.stages[:-1]:
            x = stage(x)
            if self.skips == "indices":
                x, places = F.max_pool2d_with_indices(x, [2, 2])
                skips.append(places)
            else:
                skips.append(x)
                x = self.pool(x)
        return self.head(self.stages[-1](x).flatten(1)), tuple(skips)


@final
class Decoder(contracts.Decoder):
    """The stem to the smallest map; at each size a step up, the encoder's map beside it, and convolutions of both."""

    def __init__(self, stem: nn.Module, start: tuple[int, int, int], steps: nn.ModuleList, stages: nn.ModuleList,
                 last: nn.Module, name: Activation):  # fmt: skip
        super().__init__()
        self.stem = stem
        self.start = start
        self.steps = steps
        self.stages = stages
        self.last = last
        self.activation = activation(name)

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """`skips` from the largest map to the smallest, as the encoder gives them; none: zeros."""
        if context is not None:
            z = torch.cat([z, context], 1)
        h = self.activation(self.stem(z).unflatten(1, self.start))
        for level, (step, stage) in enumerate(zip(self.steps, self.stages, strict=True)):
            if isinstance(step, Unpool):
                h = stage(step(h, skips[-1 - level] if skips else None))
            else:
                h = step(h)
                h = stage(torch.cat([h, skips[-1 - level] if skips else torch.zeros_like(h)], 1))
        return self.last(h)


@final
class Unpool(nn.Module):
    """A 1x1 convolution, then each number goes to the place that it was pooled from, with 0 around it (SegNet,
    Badrinarayanan et al. 2017)."""

    places: Tensor

    def __init__(self, inputs: int, outputs: int, small: tuple[int, int], large: tuple[int, int]):
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 1)
        self.large = large
        rows, columns = (torch.arange(side) * 2 for side in small)
        self.register_buffer("places", rows[:, None] * large[1] + columns, persistent=False)  # first of each 2x2

    def forward(self, h: Tensor, places: Tensor | None = None) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, *large); of a code alone to the first of each 2x2."""
        h = self.convolution(h)
        places = self.places.expand(h.shape) if places is None else places
        room = torch.zeros(*h.shape[:2], self.large[0] * self.large[1], dtype=h.dtype, device=h.device)
        return room.scatter(2, places.flatten(2), h.flatten(2)).unflatten(2, self.large)


def unet(
    shape: Sequence[int],
    params: int,
    dim: int,
    context: int,
    output: Sequence[int] | None = None,
    told: int | None = None,
    *,
    channels: list[Count],
    convolutions: Depth = 2,
    norm: Norm = "group",
    upsample: Upsample = "nearest",
    activation: Activation = "relu",
    spatial: bool = False,
    skips: Skips = "maps",
) -> tuple[Encoder, Decoder]:
    """`channels` of the maps from the picture's own size on, each next half as large; 3x3 convolutions.

    The code is what the smallest map becomes. Under skips that hold the picture a reconstruction says little: the
    architecture is for targets that are none, as masks. `norm` group in place of the batch's, which mixes rows. `skips`
    are whole maps (U-Net), or which pixel of each 2x2 was the largest (SegNet): of a picture its edges alone.
    """
    sizes = _sizes(shape, channels)

    def stage(inputs: int, maps: int) -> nn.Module:
        return _stage(inputs, maps, convolutions, norm, activation)

    start = (channels[-1], *sizes[-1])
    head, stem = heads(start, params, dim, context, spatial)
    inputs = [shape[0] + (context if told is None else told), *channels]
    encoder = Encoder(nn.ModuleList(stage(a, b) for a, b in zip(inputs, channels, strict=False)), head, skips)
    ups = list(zip(channels[1:], channels, sizes[1:], sizes, strict=False))[::-1]
    if skips == "indices":
        steps = nn.ModuleList(Unpool(a, b, small, large) for a, b, small, large in ups)
    else:
        steps = nn.ModuleList(step_up(a, b, small, large, 2, 2, upsample) for a, b, small, large in ups)
    beside = 2 if skips == "maps" else 1
    stages = nn.ModuleList(stage(beside * maps, maps) for maps in channels[-2::-1])
    last = nn.Conv2d(channels[0], shape[0] if output is None else output[0], 1)
    decoder = Decoder(stem, start, steps, stages, last, activation)
    glorot(encoder, decoder)
    reset_norms(encoder, decoder)
    return encoder, decoder


def _stage(inputs: int, maps: int, convolutions: int, norm: Norm, name: Activation) -> nn.Module:
    parts = []
    for number in range(convolutions):
        parts += [nn.Conv2d(maps if number else inputs, maps, 3, padding=1), norm_layer(maps, norm), activation(name)]
    return nn.Sequential(*parts)


def _sizes(shape: Sequence[int], channels: list[int]) -> list[tuple[int, int]]:
    """Height and width of each map."""
    if len(shape) != 3:
        raise UsageError(
            f"model=unet needs pictures (channels, height, width), but a row of this dataset has shape {tuple(shape)}: "
            "take model=mlp"
        )
    if len(channels) < 2:
        raise UsageError(f"channels={list(channels)} needs two numbers or more: with one there are no skips")
    sizes = [(shape[1] >> level, shape[2] >> level) for level in range(len(channels))]
    if min(sizes[-1]) < 1:
        raise UsageError(f"channels={list(channels)} shrinks a picture of {shape[1]}x{shape[2]} to nothing: take fewer")
    return sizes

"""Vision transformer of patches (Dosovitskiy et al. 2021), which may hide most of them from its encoder (MAE, He et al.
2022)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, final

import torch
from annotated_types import Interval
from torch import Tensor, nn

from aeexp import contracts
from aeexp.errors import UsageError
from aeexp.models.nn.attention import begin, make_blocks
from aeexp.ranges import Count, Depth


@final
class Patches(nn.Module):
    """Pictures (B, C, H, W) to patches (B, P, C h w) and back; `size` is their side."""

    def __init__(self, shape: Sequence[int], size: int):
        super().__init__()
        self.channels, self.size = shape[0], size
        self.rows, self.columns = shape[1] // size, shape[2] // size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, P, C h w), row by row."""
        parts = x.unflatten(3, (self.columns, self.size)).unflatten(2, (self.rows, self.size))  # (B, C, R, h, K, w)
        return parts.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

    def join(self, patches: Tensor) -> Tensor:
        """(B, P, C h w) to (B, C, H, W); the number of channels is that of the patches."""
        parts = patches.unflatten(1, (self.rows, self.columns)).unflatten(3, (-1, self.size, self.size))
        return parts.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


@final
class Encoder(contracts.Encoder):
    """Patches look at each other, and each gives its units of the code. In training a share `masked` of them is not
    seen at all: neither by the others nor by the head, which gives 0 in their place."""

    places: Tensor

    def __init__(
        self, patches: Patches, width: int, blocks: nn.ModuleList, told: int, parts: int, units: int, masked: float
    ):  # fmt: skip
        super().__init__()
        self.patches = patches
        count = patches.rows * patches.columns
        self.kept = max(1, round((1 - masked) * count))
        self.parts = parts
        self.embedding = nn.Linear(patches.channels * patches.size**2, width)
        self.side = nn.Linear(told, width) if told else None
        self.blocks = blocks
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, parts * units)
        # saved, so that weights which were trained beside other places are refused
        self.register_buffer("places", find_squares(patches.rows, patches.columns, width))

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to (B, parts * P * units), part by part."""
        return self._encode(x, context, self._draw(x) if self.training and self.kept < len(self.places) else None)

    def see_part(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor] | None:
        """As in training."""
        if self.kept == len(self.places):
            return None
        shown = self._draw(x)
        patches = torch.zeros_like(self.patches(x))
        seen = patches.scatter(1, shown.unsqueeze(-1).expand(-1, -1, patches.shape[-1]), 1.0)
        return self._encode(x, context, shown), self.patches.join(seen) > 0

    def _draw(self, x: Tensor) -> Tensor:
        """(B, K) numbers of the patches that are shown."""
        return torch.rand(x.shape[0], len(self.places), device=x.device).argsort(dim=-1)[:, : self.kept]

    def _encode(self, x: Tensor, context: Tensor | None, shown: Tensor | None) -> Tensor:
        h = self.patches(x)
        rows, count = h.shape[:2]  # which an export keeps open, where len() would settle them
        places = self.places
        if shown is not None:
            h, places = _pick(h, shown), _pick(places.expand(rows, -1, -1), shown)
        h = self.embedding(h) + places
        if context is not None and self.side is not None:
            h = h + self.side(context).unsqueeze(1)
        for block in self.blocks:
            h = block(h)
        h = self.head(self.norm(h))
        if shown is not None:
            index = shown.unsqueeze(-1).expand(-1, -1, h.shape[-1])
            h = torch.zeros(rows, count, h.shape[-1], dtype=h.dtype, device=h.device).scatter(1, index, h)
        return h.unflatten(-1, (self.parts, -1)).transpose(1, 2).flatten(1)


@final
class Decoder(contracts.Decoder):
    """Each patch from its units of the code and what the others hold; one whose units are all 0 was not seen, and a
    learned token stands in its place."""

    places: Tensor

    def __init__(self, patches: Patches, width: int, blocks: nn.ModuleList, units: int, context: int, channels: int):
        super().__init__()
        self.patches = patches
        self.stem = nn.Linear(units, width)
        self.unseen = nn.Parameter(torch.zeros(width))
        self.side = nn.Linear(context, width) if context else None
        self.blocks = blocks
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, channels * patches.size**2)
        # saved, so that weights which were trained beside other places are refused
        self.register_buffer("places", find_squares(patches.rows, patches.columns, width))

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """(B, D) to (B, channels, H, W)."""
        tokens = z.unflatten(1, (len(self.places), -1))
        empty = (tokens == 0).all(-1, keepdim=True)
        h = torch.where(empty, self.unseen, self.stem(tokens)) + self.places
        if context is not None and self.side is not None:
            h = h + self.side(context).unsqueeze(1)
        for block in self.blocks:
            h = block(h)
        return self.patches.join(self.head(self.norm(h)))


def vit(
    shape: Sequence[int],
    params: int,
    dim: int,
    context: int,
    output: Sequence[int] | None = None,
    told: int | None = None,
    *,
    patch: Count = 4,
    width: Count = 64,
    layers: Depth = 2,
    decoder_layers: Depth = 1,
    heads: Count = 4,
    masked: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
) -> tuple[Encoder, Decoder]:
    """The code is a map: `dim` is dealt out to the patches, as under model.spatial=true of the other networks.

    `masked` is the share of the patches that the encoder does not see in training (He et al. 2022: 0.75); in evaluation
    it sees all. The loss is over all pixels, those of seen patches too, by which a whole picture is restored as well.
    """
    if len(shape) != 3:
        raise UsageError(
            f"model=vit needs pictures (channels, height, width), but a row of this dataset has shape {tuple(shape)}: "
            "take model=mlp"
        )
    if shape[1] % patch or shape[2] % patch:
        fitting = max(size for size in range(1, patch + 1) if shape[1] % size == shape[2] % size == 0)
        raise UsageError(f"patch={patch} does not divide pictures of {shape[1]}x{shape[2]}: take model.patch={fitting}")
    patches = Patches(shape, patch)
    count = patches.rows * patches.columns
    if dim % count:
        fitting = count * -(-dim // count)
        raise UsageError(f"patch={patch} makes {count} patches, which share the units: take latent.dim={fitting}")
    if params % dim:
        raise UsageError(
            f"model=vit needs a latent that takes equally many numbers for each unit, but this one takes {params} for "
            f"latent.dim={dim}: take latent=deterministic or latent=gaussian"
        )
    units, told = dim // count, context if told is None else told
    encoder = Encoder(patches, width, make_blocks(layers, width, heads), told, params // dim, units, masked)
    planes = shape[0] if output is None else output[0]
    decoder = Decoder(patches, width, make_blocks(decoder_layers, width, heads), units, context, planes)
    begin(encoder)
    begin(decoder)
    nn.init.normal_(decoder.unseen, std=0.02)
    return encoder, decoder


def find_squares(rows: int, columns: int, width: int) -> Tensor:
    """(rows columns, width) sines and cosines that say in which row and in which column a patch stands.

    Their periods go from twice the longer side down to two patches, so that the squared distance of two places is a
    sum of what they are apart in rows and in columns.
    """
    side, pairs = max(rows, columns), math.ceil(width / 4)
    rates = math.pi / side * 2 ** torch.linspace(0, math.log2(side), pairs)
    grid = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)) + 0.5
    angles = grid[:, None, :] * rates[:, None]  # (P, pairs, 2)
    return torch.stack([angles.sin(), angles.cos()], -2).flatten(1)[:, :width]


def _pick(h: Tensor, index: Tensor) -> Tensor:
    """(B, K, W): of each row of (B, P, W) the places (B, K)."""
    return h.gather(1, index.unsqueeze(-1).expand(-1, -1, h.shape[-1]))

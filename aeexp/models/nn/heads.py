"""Between the smallest map of a picture network and the code: one linear layer, or the same one at every place."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from aeexp.errors import UsageError


@final
class ToPlaces(nn.Module):
    """A 1x1 convolution of a flattened map (B, C H W) to codes (B, params), place by place.

    A code of `dim` units has c = dim / (H W) of them at each place. Of params = r dim numbers (mean and variance,
    say) each of the r parts is contiguous and in the order of the units: (B, r, H W, c), flattened.
    """

    def __init__(self, start: tuple[int, int, int], params: int, dim: int):
        super().__init__()
        self.start = (start[0], start[1] * start[2])
        self.parts = params // dim
        self.place = nn.Linear(start[0], params // self.start[1])

    def forward(self, h: Tensor) -> Tensor:
        """(B, C H W) to (B, params)."""
        places = self.place(h.unflatten(1, self.start).transpose(1, 2))  # (B, H W, r c)
        return places.unflatten(2, (self.parts, -1)).transpose(1, 2).flatten(1)


@final
class FromPlaces(nn.Module):
    """The mirror: (B, dim + context) to a flattened map (B, C H W); each place gets the whole context."""

    def __init__(self, start: tuple[int, int, int], dim: int, context: int):
        super().__init__()
        self.places = start[1] * start[2]
        self.dim = dim
        self.place = nn.Linear(dim // self.places + context, start[0])

    def forward(self, z: Tensor) -> Tensor:
        """(B, dim + context) to (B, C H W)."""
        units, context = z[:, : self.dim].unflatten(1, (self.places, -1)), z[:, self.dim :]
        planes = context.unsqueeze(1).expand(-1, self.places, -1)
        return self.place(torch.cat([units, planes], 2)).transpose(1, 2).flatten(1)


def heads(
    start: tuple[int, int, int], params: int, dim: int, context: int, spatial: bool
) -> tuple[nn.Module, nn.Module]:
    """The encoder's last and the decoder's first layer; `start` (C, H, W) is the smallest map."""
    numbers = math.prod(start)
    if not spatial:
        return nn.Linear(numbers, params), nn.Linear(dim + context, numbers)
    _, height, width = start
    places = height * width
    if dim % places != 0:
        raise UsageError(
            f"spatial=true needs latent.dim to be a multiple of {places} ({height}x{width} places), not {dim}: "
            f"take latent.dim={places * math.ceil(dim / places)}"
        )
    if params % dim != 0:
        raise UsageError(
            f"spatial=true needs a latent that takes equally many numbers for each unit, but this one takes {params} "
            f"for latent.dim={dim}: set model.spatial=false"
        )
    return ToPlaces(start, params, dim), FromPlaces(start, dim, context)

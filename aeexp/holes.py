"""Which features of a row a hole takes: uniform draws in, bool (B, *shape) out.

All channels of a pixel go, and all features of a step.
`size` is a 0-d tensor; `mask` (B, T) says which steps of padded sequences are real: others are in no hole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

DRAWS = {"block": 2, "half": 1}  # numbers a row that a shape needs; random: one a place
WIDEST = 15  # radius of the smoothing, in places: sums stay below 2^31


def count_draws(shape: str, row: Sequence[int]) -> int:
    """How many uniform numbers a row the hole of that shape needs."""
    return DRAWS.get(shape) or count_places(row)


def count_places(row: Sequence[int]) -> int:
    """Pixels, steps or features: what a hole takes or leaves as a whole."""
    return math.prod(row[1:]) if len(row) == 3 else row[0]


def block(u: Tensor, x: Tensor, size: Tensor, mask: Tensor | None = None) -> Tensor:
    """One block anywhere it fits, of `size` of every side; u (B, 2).

    Pictures (B, C, H, W) lose round(size H) x round(size W) pixels, sequences (B, T, F) round(size T) neighbouring
    steps of their T real ones, vectors (B, D) round(size D) neighbouring features.
    """

    def span(u: Tensor, sides: int, length: Tensor | int) -> Tensor:
        """(B, sides) bool: a run of round(size length) places."""
        width = torch.round(size * length)
        start = torch.floor(u * (length - width + 1))
        place = torch.arange(sides, device=x.device)
        return (place >= start) & (place < start + width)

    if x.dim() < 4:
        return _spread(span(u[:, :1], x.shape[1], _length(x, mask)), x)
    rows, columns = span(u[:, :1], x.shape[2], x.shape[2]), span(u[:, 1:], x.shape[3], x.shape[3])
    return (rows[:, None, :, None] & columns[:, None, None, :]).expand(x.shape)


def half(u: Tensor, x: Tensor, size: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """One half by chance: left, right, top or bottom of a picture, the first or last of features or steps; u (B, 1).

    Of an odd side, the middle stays.
    """

    def side(last: Tensor, sides: int, length: Tensor | int) -> Tensor:
        place = torch.arange(sides, device=x.device)
        width = length // 2
        return torch.where(last, (place >= length - width) & (place < length), place < width)

    if x.dim() < 4:
        return _spread(side(u >= 0.5, x.shape[1], _length(x, mask)), x)
    quarter = torch.floor(4 * u)
    last = quarter % 2 == 1
    rows, columns = side(last, x.shape[2], x.shape[2]), side(last, x.shape[3], x.shape[3])
    plane = torch.where((quarter < 2)[..., None], rows[:, :, None], columns[:, None, :])
    return plane.unsqueeze(1).expand(x.shape)


def random(u: Tensor, x: Tensor, size: Tensor, mask: Tensor | None = None) -> Tensor:
    """Irregular blots of exactly round(size n) of n places; u (B, n).

    Where smooth noise is lowest: pixels, or steps of a sequence. Features of a vector have no neighbours, and are drawn
    each for itself. The noise is made of integers: no order of addition changes a row's hole.
    """
    whole = torch.floor(u * 256).to(torch.int32) * 2 - 255  # centred: at the border fewer of them add up
    if x.dim() == 2:
        height = u
    elif x.dim() == 3:
        height = _smooth(whole) / _smooth(torch.ones_like(whole), squared=True).sqrt()
    else:
        field = whole.unflatten(1, x.shape[2:])
        radius = max(1, min(min(x.shape[2:]) // 8, WIDEST))
        one = torch.ones_like(field)
        for _ in range(2):
            field, one = _smooth(field, radius).mT, _smooth(one, radius, squared=True).mT
        height = (field / one.sqrt()).flatten(1)  # one variance everywhere: no place is hole more often
    if mask is not None:
        height = torch.where(mask, height, math.inf)
    rank = height.argsort(dim=-1, stable=True).argsort(dim=-1)  # by keyword: vmap takes no other way
    count = torch.round(size * (u.shape[1] if mask is None else _length(x, mask)))
    hole = rank < count
    return _spread(hole, x) if x.dim() < 4 else hole.unflatten(1, x.shape[2:]).unsqueeze(1).expand(x.shape)


SHAPES = {"block": block, "half": half, "random": random}


def _length(x: Tensor, mask: Tensor | None) -> Tensor | int:
    """Real places of each row, (B, 1); a number where all have as many."""
    return x.shape[1] if mask is None else mask.sum(1, keepdim=True)


def _spread(hole: Tensor, x: Tensor) -> Tensor:
    """(B, T) over the features of each step."""
    return hole.view(*hole.shape, *[1] * (x.dim() - 2)).expand(x.shape)


def _smooth(field: Tensor, radius: int = 2, squared: bool = False) -> Tensor:
    """Integers (..., L) under a triangle of weights that ends after `radius` places; zeros lie beyond the ends.

    `squared` weights add up to the variance of what independent draws become.
    """
    padded, total = F.pad(field, (radius, radius)), torch.zeros_like(field)
    for at in range(2 * radius + 1):
        weight = radius + 1 - abs(at - radius)
        total = total + (weight**2 if squared else weight) * padded.narrow(-1, at, field.shape[-1])
    return total

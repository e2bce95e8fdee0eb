"""Ways from one code to another, and round trips through many."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

PARALLEL = 1e-6  # radians: below, the arc is its chord
OPPOSITE = 1e-3  # radians from a half turn: no arc is shorter than the others, and float32 cannot tell which is meant


def slerp(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """(..., D) from codes a to b along the arc between them (Shoemake 1985; White 2016, section 2.1).

    sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b for t = `share` and the angle w between a and b. Where both are
    equally long so is all that lies between, as drawn Gaussian codes of many units are; a line runs through shorter
    ones, which training never saw. Vectors of one direction have the line, as have those without any (0) and
    opposite ones, between which every arc is as short as the other.
    """
    length_a, length_b = (torch.linalg.vector_norm(z, dim=-1, keepdim=True) for z in (a, b))
    tiny = torch.finfo(a.dtype).tiny
    unit_a, unit_b = a / length_a.clamp(min=tiny), b / length_b.clamp(min=tiny)
    # The arc cosine of their product loses half the digits of a small angle; this form (Kahan) loses none.
    apart, along = (torch.linalg.vector_norm(z, dim=-1, keepdim=True) for z in (unit_a - unit_b, unit_a + unit_b))
    angle = 2 * torch.atan2(apart, along)
    straight = (angle < PARALLEL) | (angle > math.pi - OPPOSITE) | (length_a == 0) | (length_b == 0)
    safe = torch.where(straight, torch.ones_like(angle), angle)
    # Divided first, so that the ends are a and b to the last bit.
    arc = torch.sin((1 - share) * safe) / torch.sin(safe) * a + torch.sin(share * safe) / torch.sin(safe) * b
    return torch.where(straight, torch.lerp(a, b, share), arc)


def tour(codes: np.ndarray) -> np.ndarray:
    """The order of a short closed walk from the first code through all (N, D): no two ways could be swapped for
    shorter ones (2-opt, Croes 1958)."""
    away = np.linalg.norm(codes[:, None] - codes[None], axis=-1)
    order, count = list(range(len(codes))), len(codes)
    better = True
    while better:
        better = False
        for i in range(1, count - 1):
            for j in range(i + 1, count):
                a, b, c, d = order[i - 1], order[i], order[j], order[(j + 1) % count]
                if away[a, c] + away[b, d] < away[a, b] + away[c, d] - 1e-6 * away.max():
                    order[i : j + 1] = order[i : j + 1][::-1]
                    better = True
    return np.array(order)

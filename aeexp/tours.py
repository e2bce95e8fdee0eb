"""Short closed walks through points."""

from __future__ import annotations

import numpy as np


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

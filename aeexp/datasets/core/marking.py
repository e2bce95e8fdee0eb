"""Rows drawn from very many: a mask in place of their numbers, made block by block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

BLOCK = 2**16  # rows that are looked at together


def mark_apart(
    count: int, size: int, seed: int, strata: np.ndarray | None, share: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(count,) masks of the rows that are left and of `size` that are drawn, each set as likely as any other: from a
    block come as many as a hypergeometric number says. Each of the `strata` (count,) is drawn from by itself, as many
    as `share` gives of the numbers of their rows.
    """
    generator = np.random.default_rng(seed)
    drawn = np.zeros(count, bool)
    if strata is None:
        strata, values, left, wanted = np.zeros(0, np.int8), [0], np.array([count]), np.array([size])
    else:
        values, left = np.unique(strata, return_counts=True)
        wanted = share(left)
    for start in range(0, count, BLOCK):
        block = strata[start : start + BLOCK]
        for stratum, value in enumerate(values):
            rows = np.flatnonzero(block == value) if len(block) else np.arange(min(BLOCK, count - start))
            taken = generator.hypergeometric(wanted[stratum], left[stratum] - wanted[stratum], len(rows))
            drawn[start + generator.choice(rows, taken, replace=False)] = True
            left[stratum] -= len(rows)
            wanted[stratum] -= taken
    return ~drawn, drawn

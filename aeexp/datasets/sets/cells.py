"""Counts as of a single-cell experiment, drawn from a formula, so that what a model should find is known."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Rows, Source, Variable
from aeexp.errors import UsageError
from aeexp.ranges import NonNegative, Positive, Seed, Several

MOST = 2**27  # values that are drawn at most


@DataSet
def cells(
    n: Annotated[int, Interval(ge=3)] = 2000,
    genes: Several = 100,
    types: Several = 5,
    size: Positive = 500.0,
    dispersion: Positive = 2.0,
    zeros: Annotated[float, Interval(ge=0, lt=1)] = 0.05,
    noise: NonNegative = 0.3,
    seed: Seed = 0,
) -> Source:
    """Counts (n, genes) of `types` kinds of cells, the label; `s` (n,) is each cell's size.

    A type has a log-normal profile over the genes, a cell a log-normal size about `size` and its own profile, which
    `noise` moves off the type's. Counts are negative binomial with variance m + m² / dispersion; a share `zeros` of
    them is set to 0.
    """
    if n * genes > MOST:
        raise UsageError(f"n={n}: that makes {n * genes:,} values, more than the {MOST:,} that are drawn at most")
    rng = np.random.default_rng(seed)
    profiles = rng.normal(0, 1, genes) + rng.normal(0, 0.7, (types, genes))
    y = rng.integers(types, size=n)
    weights = np.exp(profiles[y] + noise * rng.standard_normal((n, genes)))
    sizes = size * np.exp(rng.normal(0, 0.4, n))
    mean = sizes[:, None] * weights / weights.sum(1, keepdims=True)
    counts = rng.poisson(rng.gamma(dispersion, mean / dispersion)) * (rng.random(mean.shape) >= zeros)
    rows = Rows(counts.astype(np.float32), y, sizes.astype(np.float32))
    names = tuple(Variable(f"gene {number}") for number in range(1, genes + 1))
    return Source(rows, classes=tuple(f"type {k}" for k in range(1, types + 1)), attributes=("size",), variables=names)

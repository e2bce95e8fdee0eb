"""What the first units of a code tell alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np

from aeexp.errors import UsageError
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.prefixes import measure_prefixes
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import measure_mean
from aeexp.ranges import Positive
from aeexp.tensors import count_share


@final
class Prefix(Metric):
    """`mse_<share>`: squared error per example from the first units of the mean code alone, the others at 0.

    Of a matryoshka (Bussmann et al. 2025; Kusupati et al. 2022) it falls with each prefix, and little is lost by the
    first; of any other code the order of the units means nothing. PCA, whose components are in order, stands beside it.
    Left out where a code with some units at 0 is none of the latent's.

    Formula: 1/N Σ_n |x_n - decode(z_1, ..., z_m, 0, ..., 0)|², m the share of the units

    Look at: plot=prefix: the same over all m; latent/l0.
    """

    figures = ("prefix",)
    numbers: ClassVar = (Number(r"prefix/mse_[\d.]+", "lower", "squared error per example", alike=("task.",)),)

    def __init__(self, prefixes: Sequence[Positive] = (0.0625, 0.125, 0.25, 0.5, 1.0)):
        if not prefixes or max(prefixes) > 1:
            raise UsageError(f"prefixes={list(prefixes)}: name shares of the units, up to 1")
        self.prefixes = tuple(prefixes)

    def __call__(self, run: Run, split: str) -> Values:
        errors = measure_prefixes(run, split, [count_share(each, run.model.latent.dim) for each in self.prefixes])
        if errors is None:
            return {}
        named = zip(self.prefixes, errors.astype(np.float64), strict=True)
        return {f"prefix/mse_{share:g}": measure_mean(each) for share, each in named}

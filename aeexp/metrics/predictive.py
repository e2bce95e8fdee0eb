"""Whether rows that the model draws are like those that it was shown."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.predictive import STATISTICS, check_predictive
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import measure_mean
from aeexp.ranges import Seed, Several

CHECKS = "a share of the draws: it is 0 or 1 where the model cannot make what the data has"


@final
class Predictive(Metric):
    """Posterior predictive check (Rubin 1984; Gelman et al. 1996): for each row x drawn rows x', by z ~ q(z|x) and
    x' ~ p(x|z).

    - `coverage_90`: share of values that lie within the middle 90 % of their draws: 0.9 where the likelihood is right,
      more of whole numbers, whose interval cannot be cut as it should be.
    - `zeros_error`: how far the share of zeros of a feature is off, the mean over features; `variance_ratio`: drawn
      variance over the data's, the median over features.
    - `p_mean`, `p_variance`, `p_zeros`, `p_largest`: share of the draws in which the mean over features of that
      statistic is at least the data's; a model that cannot make as many zeros has a `p_zeros` of 0.

    Left out of sequences, of masks, and where the likelihood is no law (ms_ssim).

    Formula: p_T = 1/S Σ_s [T(x'_s) >= T(x)]

    Look at: plot=predictive: each feature's statistic beside that of the draws.
    """

    of_pictures: ClassVar = True
    figures = ("predictive",)
    numbers: ClassVar = (
        Number("predictive/coverage_90", None, "share"),
        Number("predictive/zeros_error", "lower", "share", no_interval="it is a mean over features, of all rows"),
        Number("predictive/variance_ratio", None, "", no_interval="it is a median over features, of all rows"),
        Number("predictive/p_(mean|variance|zeros|largest)", None, "share", no_interval=CHECKS),
    )

    def __init__(self, rows: Several = 1000, draws: Several = 50, seed: Seed = 0):
        self.rows = rows
        self.draws = draws
        self.seed = seed

    def __call__(self, run: Run, split: str) -> Values:
        key = ("predictive", split, self.rows, self.draws, self.seed)
        found = run.compute_once(key, lambda: check_predictive(run, split, self.rows, self.draws, self.seed))
        if found is None:
            return {}
        values: Values = {"coverage_90": measure_mean(found.covered)}
        zeros, variance = found.drawn["zeros"].mean(0), found.drawn["variance"].mean(0)
        values["zeros_error"] = float(np.abs(zeros - found.real["zeros"]).mean())
        varies = found.real["variance"] > 0
        if varies.any():
            values["variance_ratio"] = float(np.median(variance[varies] / found.real["variance"][varies]))
        for name in STATISTICS:
            values[f"p_{name}"] = float((found.drawn[name].mean(1) >= found.real[name].mean()).mean())
        return {f"predictive/{name}": value for name, value in values.items()}

"""How far drawn rows are from real ones: a distance between two sets of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.frechet import count_rows, measure
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.samplers import QUICK, Sampler
from aeexp.ranges import Seed, Several

BIASED = "it falls with the number of different rows, which are fewer where rows are drawn twice"


@final
class Frechet(Metric):
    """Frechet distance (Dowson and Landau 1982) of n rows of the split to as many rows that the model made.

    Squared, as in Heusel et al. 2017, but the features are those of a small network trained on this data set
    (`evaluation.feature_net`): 32, of unit variance on training rows. Made rows are decoded codes from each of
    `samplers`, under the contexts and with the lengths of training rows, and `reconstruction`, of the very
    rows, 0 for the identity. `floor` is what as many training rows get: the bias of n. Where the data is binarised,
    made rows are bits drawn from the decoded means, as the real ones are drawn from grey pixels. n is `rows`, or as
    many as the splits have. A key holds n and the network's id, as in `frechet_prior_n1000_v1-3fa2c1b0`: others do not
    compare with it.

    Formula: |m - m'|² + tr(C + C' - 2 (C C')^½), m and C mean and covariance of the features

    Look at: plot=samples: a number says nothing of what is wrong; the floor, below which it means nothing.
    """

    of_pictures: ClassVar = True
    figures = ("samples",)
    in_keys: ClassVar = ("samplers",)
    numbers: ClassVar = (
        Number(
            "generation/frechet_floor_.*", None, "squared distance of features", no_interval=BIASED
        ),  # of the data against itself
        Number("generation/frechet_.*", "lower", "squared distance of features", no_interval=BIASED),
    )

    def __init__(self, rows: Several = 1000, seed: Seed = 0, samplers: Sequence[Sampler] = QUICK):
        self.rows = rows
        self.seed = seed
        self.samplers = tuple(samplers)

    def __call__(self, run: Run, split: str) -> Values:
        n = count_rows(run, split, self.rows)
        if n < 2:
            return {}
        values, name = measure(run, split, n, self.seed, self.samplers)
        return {f"generation/frechet_{who}_n{n}_{name}": value for who, value in values.items()}

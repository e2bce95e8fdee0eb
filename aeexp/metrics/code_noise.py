"""How much of a row survives where its code does not arrive whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from aeexp.errors import UsageError
from aeexp.evaluation.code_noise import measure_channel
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.run import Run, Values
from aeexp.ranges import Positive, Seed, Several


@final
class CodeNoise(Metric):
    """`mse_<bits>`, squared error of rows decoded from noisy codes, and `linear_<bits>`, a linear probe of such codes.

    Gaussian noise on every unit leaves `bits` bits of it: its variance is that of the unit over 4^bits − 1, so that a
    channel of that noise carries no more (Shannon 1948). The probe is fitted on clean training codes, at most `rows` of
    them. An autoencoder that has learnt its rows by heart (`variant=memoriser`) has no error while its one number
    arrives to the last digit, and with less the error of a row taken by chance: codes near to each other are no rows
    near to each other.

    Formula: mse_<bits>: mean over rows of |x - D(E(x) + s n)|², n ~ N(0, I), s_j² = Var(E(x)_j) / (4^bits - 1)

    Look at: plot=code_noise, error over bits of a whole row: a code that means something loses little by little.
    """

    of_pictures: ClassVar = True
    figures = ("code_noise",)
    numbers: ClassVar = (
        Number(r"code_noise/mse_.*", "lower", "squared error per example", alike=("task.",), of_labels=True),
        Number(r"code_noise/linear_.*", "higher", "share", alike=("task.",), of_labels=True),
    )
    in_keys: ClassVar = ("bits",)

    def __init__(self, *, bits: Sequence[Positive], rows: Several = 5000, seed: Seed = 0):
        if len(bits) == 0:
            raise UsageError("bits=[]: name one, as in [1,2,4,8]")
        self.bits = sorted(set(bits))
        self.rows = rows
        self.seed = seed

    def __call__(self, run: Run, split: str) -> Values:
        curves = measure_channel(run, split, self.bits, self.rows, self.seed)
        return {
            f"code_noise/{kind}_{bits:g}": value
            for kind, values in curves.items()
            for bits, value in zip(self.bits, values, strict=True)
        }

"""How error and probe accuracy change as the input is corrupted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

from aeexp.contracts import Noise
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.robustness import curve, pick_noise
from aeexp.evaluation.run import Run, Values
from aeexp.ranges import NonNegative, Seed, Several


@final
class Robustness(Metric):
    """`<noise>_mse_<level>`, squared error against the clean target, and `<noise>_linear_<level>`, a linear probe.

    The noise is an option of the group noise, as in noise@metric.robustness.noise=masking. A level is the standard
    deviation of gaussian noise in units of the data, the probability of masking and salt_pepper, the share of every
    side of block, in place of the option's own; salt and pepper are the ends of the data's range. The level 0 is the
    clean row. The probe is fitted on clean training codes, at most `rows` of them. Draws are the same for all levels
    and models. Row `raw` of `baseline` is the corrupted input itself: an error below it means that the model takes
    noise away.

    Formula: <noise>_mse_<level>: mean over rows of |x - D(E(noise(x; level)))|²

    Look at: curves over the level (plot=robustness): denoising falls late, and starts higher.
    """

    of_pictures: ClassVar = True
    figures = ("robustness",)
    numbers: ClassVar = (
        Number(r"robustness/\w+_mse_.*", "lower", "squared error per example", alike=("task.",), of_labels=True),
        Number(r"robustness/\w+_linear_.*", "higher", "share", alike=("task.",), of_labels=True),
    )
    in_keys: ClassVar = ("noise", "levels")

    def __init__(
        self,
        *,
        noise: Mapping[str, Noise],
        levels: Sequence[NonNegative],
        rows: Several = 5000,
        seed: Seed = 0,
    ):
        self.name, self.noise = pick_noise(noise, levels)
        self.levels = sorted(set(levels))
        self.rows = rows
        self.seed = seed

    def __call__(self, run: Run, split: str) -> Values:
        curves = curve(run, split, self.name, self.noise, self.levels, self.rows, self.seed)
        return {
            f"robustness/{self.name}_{kind}_{level:g}": value
            for kind, values in curves.items()
            for level, value in zip(self.levels, values, strict=True)
        }

    def baselines(self, run: Run, split: str) -> dict[str, Values]:
        """The corrupted input itself, where the output is a picture of it."""
        return {} if run.segments else {"raw": self(run.raw(), split)}

"""How error and probe accuracy change as the input is corrupted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from aeexp.errors import UsageError
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.robustness import Kind, check, curve
from aeexp.evaluation.run import Run, Values


@final
class Robustness(Metric):
    """`<noise>_mse_<level>`, squared error against the clean target, and `<noise>_linear_<level>`, a linear probe.

    The probe is fitted on clean training codes, at most `rows` of them; a level is the standard deviation of gaussian
    noise in units of the data, the probability of masking and salt_pepper, the share of every side of block. The level
    0 is the clean row. Draws are the same for all levels and models. Row `raw` of `baseline` is the corrupted input
    itself: an error below it means that the model takes noise away.

    Formula: <noise>_mse_<level>: mean over rows of |x - D(E(noise(x; level)))|²

    Look at: curves over the level (plot=robustness): denoising falls late, and starts higher.
    """

    of_pictures: ClassVar = True
    numbers: ClassVar = (
        Number(r"robustness/\w+_mse_.*", "lower", "squared error per example", alike=("task.",), of_labels=True),
        Number(r"robustness/\w+_linear_.*", "higher", "share", alike=("task.",), of_labels=True),
    )
    in_keys: ClassVar = ("noise", "levels")

    def __init__(self, *, noise: Kind = "gaussian", levels: Sequence[float], rows: int = 5000, seed: int = 0):
        check(noise, levels)
        if rows < 2:
            raise UsageError(f"rows={rows} must be at least 2")
        self.noise = noise
        self.levels = sorted(set(levels))
        self.rows = rows
        self.seed = seed

    def __call__(self, run: Run, split: str) -> Values:
        found = curve(run, split, self.noise, self.levels, self.rows, self.seed)
        named = {name: zip(self.levels, values, strict=True) for name, values in found.items()}
        return {
            f"robustness/{self.noise}_{name}_{level:g}": value
            for name, pairs in named.items()
            for level, value in pairs
        }

    def baselines(self, run: Run, split: str) -> dict[str, Values]:
        return {} if run.segments else {"raw": self(run.raw(), split)}

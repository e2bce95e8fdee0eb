"""How much worse rows are reconstructed that training did not see."""

from __future__ import annotations

import math
from typing import ClassVar, final

from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import Measured
from aeexp.metrics.reconstruction import Reconstruction


@final
class Generalisation(Metric):
    """`gap_<number>`: each number of `reconstruction` on this split minus that on the training rows, in its unit.

    Both at the best state, in evaluation mode and without noise: the curve of the training loss has noise, dropout and
    states of the past in it. Above 0 the model does worse on new rows; of psnr and ssim, where more is better, below 0.
    `ratio_mse` is the quotient of the squared errors: 1 without a gap. Left out where the test split holds anomalies,
    which training never meets.

    Formula: gap = mean over the split - mean over the training rows

    Look at: the gap over width or rows of a sweep (sweep.png): where it opens, the network overfits.
    """

    numbers: ClassVar = (  # a constant generalises without a gap: less is no better
        *(
            Number(
                number.pattern.replace("reconstruction/", "generalisation/gap_"), None, number.unit, alike=("task.",)
            )
            for number in Reconstruction.numbers
        ),
        Number("generalisation/ratio_mse", None, "", alike=("task.",)),
    )

    def __call__(self, run: Run, split: str) -> Values:
        if run.data.normal is not None:
            return {}
        numbers = Reconstruction()
        seen, new = (
            {key.split("/")[1]: value for key, value in numbers.measure_once(run, part).items()}
            for part in ("train", split)
        )
        values: Values = {f"generalisation/gap_{name}": value.less(seen[name]) for name, value in new.items()}
        if "mse" in new:
            values["generalisation/ratio_mse"] = divide(new["mse"], seen["mse"])
        return values


def divide(a: Measured, b: Measured) -> Measured:
    """The quotient of two positive numbers of other rows: relative errors add in quadrature."""
    if not a or not b:
        return Measured(a / b if b else math.nan, -math.inf, math.inf)
    off = math.hypot((a.high - a.low) / a, (b.high - b.low) / b) / 2 * (a / b)
    return Measured(a / b, a / b - off, a / b + off)

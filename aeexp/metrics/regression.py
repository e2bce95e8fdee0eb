"""How well the model itself predicts a number."""

from __future__ import annotations

from typing import ClassVar, final

from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.regressors import measure_answers, predict_responses
from aeexp.evaluation.run import Run, Values


@final
class Regression(Metric):
    """R², RMSE and MAE of a model that was trained to predict a number (regularizer=regressor).

    Measured on the rows of `Run.rows` whose number is known, in the units of the data; left out where no part of the
    learner predicts numbers. R² is 0 for one that always says the mean of the split, and below 0 for a worse one.

    Formula: R² = 1 − Σ (t − t̂)² / Σ (t − mean of t)²

    Look at: probe/ridge_r2 of the raw input: what the numbers give without a code.
    """

    of_train: ClassVar = True
    reads: ClassVar = ("model", "response")
    numbers: ClassVar = (
        Number(
            "regression/r2", "higher", "share of the variance", headline=True, label="R² of the model's own numbers"
        ),
        Number("regression/rmse", "lower", "units of the target"),
        Number("regression/mae", "lower", "units of the target"),
    )

    def __call__(self, run: Run, split: str) -> Values:
        answers = predict_responses(run, split)
        if answers is None:
            return {}
        return {f"regression/{name}": value for name, value in measure_answers(*answers).items()}

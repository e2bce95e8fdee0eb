"""Simple predictors of a number at no disadvantage, as `classifiers` are of a class, and how far they are off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch

from aeexp.contracts import Part
from aeexp.evaluation.classifiers import COMPARED, FEWEST, Held, fit_scaler
from aeexp.evaluation.run import Run
from aeexp.evaluation.threads import one_thread
from aeexp.evaluation.uncertainty import DRAWS, Measured, measure_mean, percentiles

Kind = Literal["ridge", "knn"]

# Of the rows' number: units have a deviation of at most 1, and the sum of their squares grows with the rows.
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
USUAL = 1e-2  # where no rows can say which is better


@one_thread()
def fit_regressor(
    kind: Kind, codes: np.ndarray, truth: np.ndarray, neighbours: int = 5, held: Held | None = None
) -> Any:
    """One predictor of scikit-learn's on codes (N, D) and numbers (N,), behind its scaling, as a pipeline.

    Scaling and choice are those of `classifiers.fit_probe`: ridge regression divides each unit by the geometric mean of
    its own deviation and the largest one, `knn` takes codes as they are or standardised. The penalty, or that scaling,
    is what reads the `held` rows with the smallest squared error. Without them a fifth of the rows chooses, and all are
    fitted then; of fewer than 50 the penalty is `USUAL` and neighbours are those of the codes as they are.
    """
    near = max(1, min(neighbours, len(codes)))
    if held is not None and len(held.labels):
        return _fit_best(kind, codes, truth, near, held)[0]
    if len(truth) < FEWEST:
        return next(_fits(kind, codes, truth, (USUAL if kind == "ridge" else 0.0,), near))
    order = np.random.default_rng(0).permutation(len(truth))
    rest, few = order[len(order) // 5 :], order[: len(order) // 5]
    choice = _fit_best(kind, codes[rest], truth[rest], near, Held(codes[few], truth[few]))[1]
    return next(_fits(kind, codes, truth, (choice,), near))


def measure_answers(truth: np.ndarray, answers: np.ndarray) -> dict[str, Measured]:
    """r2, rmse and mae of answers (N,), each with its interval over the rows; r2 is NaN where all are alike."""
    truth, answers = truth.astype(np.float64), answers.astype(np.float64)
    error, centred = truth - answers, truth - truth.mean()
    rows = len(truth)
    draw = np.random.default_rng(0)
    counts = np.stack([np.bincount(draw.integers(rows, size=rows), minlength=rows) for _ in range(DRAWS)])
    squares = counts @ error**2
    spread = counts @ centred**2 - (counts @ centred) ** 2 / rows
    level = float((centred**2).sum())
    with np.errstate(divide="ignore", invalid="ignore"):  # a draw of equal rows has no variance
        drawn = np.where(spread > 1e-12 * level, 1 - squares / spread, np.nan)
    r2 = 1 - float((error**2).sum()) / level if level > 0 else float("nan")
    return {
        "r2": percentiles(r2, drawn),
        "rmse": percentiles(float(np.sqrt((error**2).mean())), np.sqrt(squares / rows)),
        "mae": measure_mean(np.abs(error)),
    }


@torch.no_grad()
def predict_responses(run: Run, split: str) -> tuple[np.ndarray, np.ndarray] | None:
    """What the model itself says: the numbers (N,) of the rows whose number is known, and its answers (N,).

    None where no part of the learner predicts numbers.
    """
    parts = [part for part in run.learner.modules() if isinstance(part, Part) and part.predicts_response]
    truth = run.responses(split)
    if not parts or truth is None or not run.data.has_response or "response" in run.lacks:
        return None
    outs = (run.forward(batch) for batch in run.rows(split).batches(1024))
    answers = np.concatenate([parts[0].predict_response(out).cpu().numpy() for out in outs])
    known = ~np.isnan(truth)
    return truth[known], answers[known]


def _fit_best(kind: Kind, codes: np.ndarray, truth: np.ndarray, neighbours: int, held: Held) -> tuple[Any, float]:
    """The pipeline with the smallest squared error on the held rows, and its choice."""
    if kind == "knn":
        held = Held(held.codes[:COMPARED], held.labels[:COMPARED])
    choices = PENALTIES if kind == "ridge" else (0.0, 1.0)
    best, least = None, np.inf
    for fitted, choice in zip(_fits(kind, codes, truth, choices, neighbours), choices, strict=True):
        error = float(((fitted.predict(held.codes) - held.labels) ** 2).mean())
        if best is None or error < least:
            best, least = (fitted, choice), error
    assert best is not None
    return best


def _fits(
    kind: Kind, codes: np.ndarray, truth: np.ndarray, choices: tuple[float, ...], neighbours: int
) -> Iterator[Any]:
    """Pipelines of fitted parts, one for each choice."""
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline

    truth = truth.astype(np.float64)
    for choice in choices:
        scaler = fit_scaler(codes, 0.5 if kind == "ridge" else choice)
        scaled = scaler.transform(codes).astype(np.float64)
        if kind == "ridge":
            # of more units than rows the smaller system of equations; both are exact
            yield make_pipeline(scaler, Ridge(choice * len(codes), solver="cholesky").fit(scaled, truth))
        else:
            yield make_pipeline(scaler, KNeighborsRegressor(neighbours).fit(scaled, truth))

"""Whether runs that differ in their seed agree on what a unit says (UDR, Duan et al. 2020): no factors are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from aeexp.reports.records import Record
from aeexp.runs.folder import RunFolder

LASSO, SPEARMAN = "disentanglement/udr_lasso", "disentanglement/udr_spearman"
NUMBERS = {
    LASSO: {"better": "higher", "unit": "", "headline": True},
    SPEARMAN: {"better": "higher", "unit": "", "headline": False},
}
INFORMATIVE = 0.01  # nats of a unit, as in the paper
ROWS = 2000  # of the test split, the first ones
WIDEST = 256  # units: above it the time of the regressions is no longer that of a report
PENALTY = 0.1  # of the Lasso on units of variance 1


class _Codes(NamedTuple):
    """Of one run."""

    units: np.ndarray  # (N, D) float64: mean codes of the informative units
    ids: np.ndarray  # (N,) of their rows


def measure(records: Sequence[Record]) -> list[tuple[Record, dict[str, float]]]:
    """Of each run with saved codes (save_codes=true) and a KL of each unit the median of its scores with the others,
    which differ from it in seed alone; [] where fewer than two have them, or their rows are not the same."""
    found = [(record, codes) for record in records if (codes := _read(record)) is not None]
    if len(found) < 2 or any(not np.array_equal(codes.ids, found[0][1].ids) for _, codes in found):
        return []
    units = [codes.units for _, codes in found]
    values: list[dict[str, float]] = [{} for _ in found]
    for key, relate in ((LASSO, regress), (SPEARMAN, correlate)):
        scores = score_all(units, relate)
        for place, row in enumerate(scores):
            values[place][key] = float(np.median(np.delete(row, place)))
    return [(record, each) for (record, _), each in zip(found, values, strict=True)]


def score_all(units: Sequence[np.ndarray], relate: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """(M, M) the score of each pair of models by the relation of their units (N, D)."""
    return np.array([[compare(relate(one, other)) for other in units] for one in units])


def compare(relation: np.ndarray) -> float:
    """Of the sizes (A, B) of what relates the A informative units of one model to the B of another: how far each unit
    has one partner, Σ r² / Σ R over both sides, r the largest of a unit and R all of it, by their number.

    1 where each has a partner whose size is 1 and none beside it; 0 where a model has no informative unit.
    """
    if not relation.size:
        return 0.0
    parts = []
    for axis in (0, 1):
        largest, whole = relation.max(axis), relation.sum(axis)
        parts.append(np.where(whole > 0, largest**2 / np.where(whole > 0, whole, 1), 0))
    return float(np.concatenate(parts).mean())


def correlate(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(A, B) sizes of Spearman's rank correlations of units (N, A) and (N, B)."""
    from scipy.stats import rankdata

    ranks = (_standardise(rankdata(units, axis=0)) for units in (one, other))
    return np.abs(next(ranks).T @ next(ranks)) / len(one)


def regress(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(A, B) sizes of the weights by which the Lasso tells units (N, B) from units (N, A), all of variance 1.

    The penalty of 0.1 takes a tenth from the weight of a unit that is told without a mistake: 0.9 is the most.
    """
    from sklearn.linear_model import Lasso

    if not one.shape[1] or not other.shape[1]:
        return np.zeros((one.shape[1], other.shape[1]))
    fit = Lasso(alpha=PENALTY, fit_intercept=False, precompute=True).fit(_standardise(one), _standardise(other))
    return np.abs(fit.coef_.reshape(other.shape[1], one.shape[1])).T


def _standardise(units: np.ndarray) -> np.ndarray:
    """(N, D) of mean 0 and variance 1; a constant is 0."""
    spread = units.std(0)
    return (units - units.mean(0)) / np.where(spread > 0, spread, 1)


def _read(record: Record) -> _Codes | None:
    """None where they were not saved, have no KL of each unit, or are of another kind."""
    try:
        folder = RunFolder(record.folder)
        rate = (folder.read_codes("kl") or {}).get("kl")
        if rate is None or rate.ndim != 1 or rate.dtype.kind != "f":
            return None
        arrays = folder.read_codes("codes", "ids") or {}
    except (OSError, ValueError):
        return None
    codes, ids = arrays.get("codes"), arrays.get("ids")
    if codes is None or ids is None or codes.ndim != 2 or codes.dtype != np.float32 or ids.shape != codes.shape[:1]:
        return None
    codes = codes[:ROWS].astype(np.float64)
    plain = codes.shape[1] == len(rate) and 2 <= len(rate) <= WIDEST and len(codes) > 1 and np.isfinite(codes).all()
    return _Codes(codes[:, rate > INFORMATIVE], ids[:ROWS]) if plain else None

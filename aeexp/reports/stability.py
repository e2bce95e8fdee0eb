"""Whether runs that differ in their seed found the same units: matched cosines of their decoders' columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aeexp.reports.records import Record
from aeexp.runs.folder import RunFolder

KEY = "dictionary/stability"
NUMBERS = {KEY: {"better": "higher", "unit": "cosine", "headline": True}}
MOST = 4096  # units that are matched: the time grows with their cube


def measure(records: Sequence[Record]) -> list[tuple[Record, dict[str, float]]]:
    """Of each run with saved columns (save_codes=true) its mean matched cosine to the others, which differ from it in
    seed alone; [] where fewer than two have columns, or they are of different sizes."""
    columns = [(record, found) for record in records if (found := _read_columns(record)) is not None]
    if len(columns) < 2 or len({found.shape for _, found in columns}) > 1:
        return []
    means = compare([found for _, found in columns])
    return [(record, {KEY: mean}) for (record, _), mean in zip(columns, means, strict=True)]


def compare(columns: Sequence[np.ndarray]) -> list[float]:
    """Of each of several dictionaries (D, F) the mean matched cosine to the others; [] of one alone."""
    if len(columns) < 2:
        return []
    cosines = np.array([[match(one, other) for other in columns] for one in columns])
    return [float(mean) for mean in (cosines.sum(1) - cosines.diagonal()) / (len(columns) - 1)]


def match(one: np.ndarray, other: np.ndarray) -> float:
    """Mean cosine of columns (D, F) and (D, F) in the pairing in which it is largest (Kuhn 1955, the Hungarian method).

    1 of a dictionary in another order and at other lengths; columns of length 0 have a cosine of 0.
    """
    from scipy.optimize import linear_sum_assignment

    cosines = _normalise(one) @ _normalise(other).T
    rows, places = linear_sum_assignment(cosines, maximize=True)
    return float(cosines[rows, places].mean())


def _normalise(columns: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(columns, axis=1, keepdims=True)
    return columns / np.where(length > 0, length, 1)


def _read_columns(record: Record) -> np.ndarray | None:
    """(D, F) float64; None where none were saved, or what lies there are none."""
    try:
        arrays = RunFolder(record.folder).read_codes("dictionary") or {}
    except (OSError, ValueError):
        return None
    columns = arrays.get("dictionary")
    plain = columns is not None and columns.ndim == 2 and columns.dtype == np.float32 and len(columns) <= MOST
    return columns.astype(np.float64) if plain and columns is not None and np.isfinite(columns).all() else None

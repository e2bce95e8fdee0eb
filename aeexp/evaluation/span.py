"""Rows of more features than rows, in the space that they span: what a linear fit with an L2 penalty needs of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

AT_ONCE = 1024  # features that are doubles at a time


class Span(NamedTuple):
    """The same rows in an orthonormal basis of their span, `coordinates` (N, rank) in double precision, and how weights
    come back."""

    coordinates: np.ndarray
    rows: np.ndarray  # (rank, D): those that the basis is made of
    corner: np.ndarray  # (rank, rank), lower: their coordinates

    def widen(self, weights: np.ndarray) -> np.ndarray:
        """(K, D) of weights (K, rank) on coordinates: the same scores of each of the rows, and the same norm."""
        from scipy.linalg import solve_triangular

        shares = solve_triangular(self.corner, weights.T.astype(np.float64), lower=True, trans=1)
        return shares.T.astype(self.rows.dtype) @ self.rows


def find_span(x: np.ndarray) -> Span:
    """Of rows (N, D), by a Cholesky factor of their products with pivots: exact but for directions in which all rows
    together vary less than 1e-8 of the largest row, which weights with a penalty do not take up.

    Loss and penalty of a linear model are the same after a rotation, so the best weights on the coordinates are those
    on the features, and none has a part outside of the span.
    """
    from scipy.linalg import get_lapack_funcs

    products = np.zeros((len(x), len(x)))
    for start in range(0, x.shape[1], AT_ONCE):
        part = x[:, start : start + AT_ONCE].astype(np.float64)
        products += part @ part.T
    factorise: Any = get_lapack_funcs("pstrf", (products,))
    factor, pivots, rank, _ = factorise(products, lower=1, overwrite_a=1)
    order = np.asarray(pivots) - 1
    factor = np.tril(factor)[:, :rank]
    coordinates = np.empty_like(factor)
    coordinates[order] = factor
    return Span(coordinates, x[order[:rank]], factor[:rank])

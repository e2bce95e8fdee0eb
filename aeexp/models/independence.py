"""Linear units that are as independent as can be."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

NORMAL = 0.37456720749143  # mean of log cosh of a standard normal number
FLAT = 1e-5  # slope of the contrast, for a radian


@final
class Unmixed(NamedTuple):
    """Units (K, F) of centred rows, the way back (F, K), and whether the search for them has come to its end."""

    there: np.ndarray
    back: np.ndarray
    settled: bool


def unmix(rows: np.ndarray, width: int, max_iter: int, seed: int) -> Unmixed:
    """Units of the subspace of PCA that are far from normal, each of variance 1 and uncorrelated with the others
    (Hyvarinen 1999): the fixed point of FastICA; where that wanders about, as it does among units that are nearly
    normal, the nearest summit of the same contrast."""
    if not np.ptp(rows, 0).any():  # no direction, and FastICA divides by its length
        return Unmixed(np.zeros((1, rows.shape[1])), np.zeros((rows.shape[1], 1)), settled=True)
    mean = rows.mean(0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(rows.T)))
    width = max(1, min(width, int((values > 1e-10 * values.max()).sum())))  # the rest is no direction
    axes = vectors[:, ::-1][:, :width]
    scores = (rows - mean) @ axes
    scale = scores.std(0)
    turn, settled = _find_fixed_point(scores / scale, max_iter, seed)
    if not settled:
        turn, settled = climb(scores / scale, turn, max_iter)
    return Unmixed(turn @ (axes / scale).T, axes * scale @ np.linalg.inv(turn), settled)


def _find_fixed_point(white: np.ndarray, max_iter: int, seed: int) -> tuple[np.ndarray, bool]:
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    build: Any = FastICA  # whose types are guessed from its defaults
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        # its own whitening loses directions: those in which the first feature is constant have no sign
        found = build(whiten=False, max_iter=max_iter, random_state=seed).fit(white)
    return found.components_, not any(issubclass(each.category, ConvergenceWarning) for each in caught)


def contrast(white: Tensor, turn: Tensor) -> Tensor:
    """How far the units are from normal: Σ_k (mean of log cosh y_k - that of a normal number)², Hyvarinen 1999."""
    size = (white @ turn.T).abs()
    return (size + torch.nn.functional.softplus(-2 * size) - math.log(2)).mean(0).sub(NORMAL).square().sum()


@torch.enable_grad()
def climb(white: np.ndarray, turn: np.ndarray, max_iter: int) -> tuple[np.ndarray, bool]:
    """Turned on, by quasi-Newton steps over the angles, to where the contrast of white rows (N, K) is flat; and whether
    it is within as many steps."""
    from scipy.optimize import minimize

    rows, start = torch.from_numpy(white), torch.from_numpy(turn)
    below = torch.tril_indices(len(turn), len(turn), -1)

    def turned(angles: Tensor) -> Tensor:
        half = torch.zeros_like(start).index_put((below[0], below[1]), angles)
        return torch.matrix_exp(half - half.T) @ start

    def fall(point: np.ndarray) -> tuple[float, np.ndarray]:
        angles = torch.tensor(point, requires_grad=True)
        value = -contrast(rows, turned(angles))
        (slope,) = torch.autograd.grad(value, angles)
        return value.item(), slope.numpy()

    options = {"maxiter": max_iter, "maxfun": 10 * max_iter, "gtol": FLAT, "ftol": 0.0}
    found = minimize(fall, np.zeros(below.shape[1]), jac=True, method="L-BFGS-B", options=options)
    return turned(torch.from_numpy(found.x)).numpy(), bool(np.abs(found.jac).max(initial=0.0) <= FLAT)

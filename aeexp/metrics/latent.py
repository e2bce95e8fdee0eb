"""How the units of a code are used."""

from __future__ import annotations

import math

import numpy as np
import torch

from aeexp.evaluate import Run, Values
from aeexp.regularizers import Contractive


class Latent:
    """Statistics of the mean codes of one split, and the size of the encoder's Jacobian.

    - `effective_rank`: exp of the entropy of the covariance's eigenvalues as shares (Roy and Vetterli 2007).
    - `l0`: non-zero units per row. `mean_activation`: over rows and units.
    - `dead_units`: units whose standard deviation is below 1e-6 of the largest.
    - `jacobian_norm`: mean Frobenius norm of the encoder's Jacobian over the first `jacobian_rows` rows.
    """

    def __init__(self, jacobian_rows: int = 256):
        self.jacobian_rows = jacobian_rows

    def __call__(self, run: Run, split: str) -> Values:
        codes = run.codes(split).astype(np.float64)
        spread = codes.std(0)
        values = {
            "effective_rank": effective_rank(codes),
            "l0": float((codes != 0).sum(1).mean()),
            "mean_activation": float(codes.mean()),
            "dead_units": float((spread <= 1e-6 * spread.max()).sum()),
            "jacobian_norm": self.jacobian_norm(run, split),
        }
        return {f"latent/{name}": value for name, value in values.items()}

    def jacobian_norm(self, run: Run, split: str) -> float:
        rows = min(self.jacobian_rows, len(run.rows(split)))
        penalty = Contractive(weight=1.0)
        chunk = max(1, int(2e7 / (math.prod(run.data.shape) * run.model.latent.dim)))  # 80 MB of Jacobians
        norms = [
            penalty(run.forward(run.rows(split).batch(slice(start, min(start + chunk, rows)))), run.model)
            for start in range(0, rows, chunk)
        ]
        return float(torch.cat(norms).detach().sqrt().mean())


def effective_rank(codes: np.ndarray) -> float:
    """1 to D for codes (N, D); 0 where no unit varies, or for a single row."""
    if len(codes) < 2:
        return 0.0
    values = np.linalg.eigvalsh(np.atleast_2d(np.cov(codes.T))).clip(min=0)
    if values.sum() == 0:
        return 0.0
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))

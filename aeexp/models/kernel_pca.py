"""Kernel PCA as an Autoencoder: what a fixed non-linear map of the same width reaches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from aeexp.conditions import Unconditional
from aeexp.contracts import Decoder, Encoder, Examples
from aeexp.errors import UsageError
from aeexp.latents.deterministic import Deterministic
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.models.autoencoder import Autoencoder

Kernel = Literal["rbf", "linear"]


@final
class KernelPca(NamedTuple):
    """Kernel PCA and what was chosen on validation rows."""

    model: Autoencoder
    gamma: float  # of the kernel on rows, in units of 1 / (features x variance); 1 where it has none
    back: float  # the same of the kernel on codes
    alpha: float  # ridge of the way back


def kernel_pca(
    train: Examples, val: Examples, dim: int, *, kernel: Kernel, gammas: Sequence[float], alphas: Sequence[float]
) -> KernelPca:
    """Kernel PCA (Schoelkopf et al. 1998) of all rows of `train`; the two gammas and the alpha are those best on `val`.

    The way back is kernel ridge regression of the rows on their codes (Bakir, Weston and Schoelkopf 2004). A gamma
    multiplies 1 / (features x variance): of the rows one way, of the codes the other. Time grows with the cube of the
    rows, once for each choice of the three.
    """
    rows, unseen = (_rows(split) for split in (train, val))
    mean = rows.mean(0)
    best, least = None, math.inf
    for gamma in gammas if kernel == "rbf" else [1.0]:
        encoder = _Encoder(rows, mean, dim, kernel, gamma)
        codes, unseen_codes = encoder.codes(rows), encoder.codes(unseen)
        for alpha, back in itertools.product(alphas, gammas if kernel == "rbf" else [1.0]):
            decoder = _Decoder(codes, rows, mean, train.shape, kernel, back, alpha)
            error = float(np.square(decoder.rows(unseen_codes) - unseen).sum(1).mean())
            if error < least:
                best, least = (encoder, decoder, gamma, back, alpha), error
    if best is None:
        raise UsageError("kernel PCA has no finite error on the validation rows: take other gammas and alphas")
    encoder, decoder, gamma, back, alpha = best
    model = Autoencoder(encoder, Deterministic(encoder.dim), decoder, Gaussian(), Unconditional())
    return KernelPca(model.eval(), gamma, back, alpha)


@final
class _Encoder(Encoder):
    """(B, *shape) to (B, dim): scikit-learn's KernelPCA; fewer units where there are fewer directions."""

    def __init__(self, rows: np.ndarray, mean: np.ndarray, dim: int, kernel: Kernel, gamma: float):
        super().__init__()
        from scipy.sparse.linalg import ArpackNoConvergence
        from sklearn.decomposition import KernelPCA

        self.mean = mean
        self.dim = min(dim, len(rows) - 1)
        # A solver that starts at random would give other codes at every call.
        solver = "arpack" if self.dim < len(rows) // 2 else "dense"
        width = _scale_gamma(gamma, rows - mean)
        self.kernel_pca = KernelPCA(self.dim, kernel=kernel, gamma=width, eigen_solver=solver, random_state=0)
        try:
            self.kernel_pca.fit(rows - mean)
        except ArpackNoConvergence:  # eigenvalues that are nearly equal, as of a kernel that sees no neighbours
            self.kernel_pca.set_params(eigen_solver="dense").fit(rows - mean)
        self.dim = len(self.kernel_pca.eigenvalues_)

    def codes(self, rows: np.ndarray) -> np.ndarray:
        """(N, dim) of rows (N, D)."""
        return self.kernel_pca.transform(rows - self.mean)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return torch.from_numpy(self.codes(x.flatten(1).cpu().double().numpy())).to(x)


@final
class _Decoder(Decoder):
    """(B, dim) to (B, *shape): scikit-learn's KernelRidge about the mean row."""

    def __init__(
        self, codes: np.ndarray, rows: np.ndarray, mean: np.ndarray, shape: torch.Size, kernel: Kernel, gamma: float,
        alpha: float,
    ):  # fmt: skip
        super().__init__()
        from sklearn.kernel_ridge import KernelRidge

        self.mean = mean
        self.shape = tuple(shape)
        self.ridge = KernelRidge(kernel=kernel, gamma=_scale_gamma(gamma, codes)).set_params(alpha=alpha)
        self.ridge.fit(codes, rows - mean)

    def rows(self, codes: np.ndarray) -> np.ndarray:
        """(N, D) of codes (N, dim)."""
        return self.ridge.predict(codes) + self.mean

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        return torch.from_numpy(self.rows(z.cpu().double().numpy())).to(z).reshape(-1, *self.shape)


def _scale_gamma(gamma: float, rows: np.ndarray) -> float:
    return gamma / (rows.shape[1] * float(rows.var()) or 1.0)


def _rows(split: Examples) -> np.ndarray:
    return torch.cat([batch.x.flatten(1).cpu() for batch in split.batches(1024)]).double().numpy()

"""Kernel PCA of the same width as a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, final

from annotated_types import Interval

from aeexp.errors import UsageError
from aeexp.evaluation.contracts import Metric
from aeexp.evaluation.kernel_pca import fit_kernel_pca
from aeexp.evaluation.run import Run, Values
from aeexp.metrics.reconstruction import ERRORS, Reconstruction
from aeexp.models.kernel_pca import Kernel
from aeexp.ranges import Positive, Seed


@final
class KernelPCA(Metric):
    """Adds the row `kernel_pca` to `baseline`: squared error, PSNR, SSIM, and the run's own metrics of codes, such as
    its probe; measures nothing else.

    Fitted on at most `rows` drawn training rows; of `gammas`, one for each way, and `alphas` those with the least
    error on as many validation rows at most (`aeexp.models.kernel_pca`). With kernel=linear it is PCA. Left out for
    sequences that end, of a single training row, and where the target is a mask or has a hole.

    Kernel PCA is that of Schoelkopf et al. 1998.

    Formula: z_j(x) = Σ_n a_nj k(x, x_n), k(x, x') = exp(-γ |x - x'|²), a_j eigenvectors of the centred kernel matrix

    Look at: its error and probes between PCA's and the model's: what any curved map gains.
    """

    keeps: ClassVar = True
    numbers: ClassVar = Reconstruction.numbers

    def __init__(
        self,
        *,
        kernel: Kernel = "rbf",
        gammas: Sequence[Positive],
        alphas: Sequence[Positive],
        rows: Annotated[int, Interval(ge=2, le=10000)] = 2000,
        seed: Seed = 0,
    ):
        for name, values in (("gammas", gammas), ("alphas", alphas)):
            if len(values) <= 0 or not min(values) > 0:
                raise UsageError(f"{name}={list(values)}: name one or more above 0")
        self.kernel: Kernel = kernel
        self.gammas = list(gammas)
        self.alphas = list(alphas)
        self.rows = rows
        self.seed = seed

    def __call__(self, run: Run, split: str) -> Values:
        return {}

    def baselines(self, run: Run, split: str) -> dict[str, Values]:
        """Its error, of an output that is a mean."""
        errors = {name: Reconstruction()(other, split) for name, other in self.models(run).items()}
        return {name: {k: v for k, v in row.items() if k in ERRORS} for name, row in errors.items()}

    def models(self, run: Run) -> dict[str, Run]:
        """Kernel PCA, where rows are whole and the target is the row."""
        made = fit_kernel_pca(
            run, kernel=self.kernel, gammas=self.gammas, alphas=self.alphas, rows=self.rows, seed=self.seed
        )
        return {} if made is None else {"kernel_pca": made}

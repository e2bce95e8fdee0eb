"""Kernel PCA of the same width as a baseline."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Annotated, ClassVar, final

from annotated_types import Interval

from aeexp.errors import UsageError
from aeexp.evaluation.contracts import Metric
from aeexp.evaluation.run import Run, Values
from aeexp.metrics.reconstruction import ERRORS, Reconstruction
from aeexp.models.kernel_pca import Kernel, kernel_pca
from aeexp.models.learner import Learner
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.ranges import Positive, Seed

log = logging.getLogger(__name__)


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
        whole = next(run.data["test"].batches(2))
        target = run.learner.task(whole).target
        if run.segments or whole.mask is not None or run.learner.task(whole).hole is not None or target is None:
            return {}
        if len(run.rows("train")) < 2:  # there is no direction between rows
            return {}
        return {"kernel_pca": run.compute_once(("kernel_pca", *map(str, vars(self).values())), lambda: self.fit(run))}

    def fit(self, run: Run) -> Run:
        """Kernel PCA of the run's rows, by the settings that are best on validation rows."""
        train, val = (run.rows(part).sample(self.rows, self.seed) for part in ("train", "val"))
        dim = run.model.latent.dim
        best = kernel_pca(train, val, dim, kernel=self.kernel, gammas=self.gammas, alphas=self.alphas)
        text = "kernel_pca: gamma=%g, %g on codes, and alpha=%g are best on %d validation rows; fitted on %d rows"
        log.info(text, best.gamma, best.back, best.alpha, len(val), len(train))
        return Run(Learner(run.learner.task, best.model, Additive(Chain({}), {})), run.data)

"""Kernel PCA of a run's rows, as wide as its code: a baseline that metrics measure and figures draw."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from aeexp.evaluation.run import Run
from aeexp.models.kernel_pca import Kernel, kernel_pca
from aeexp.models.learner import Learner
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive

log = logging.getLogger(__name__)


def fit_kernel_pca(
    run: Run, *, kernel: Kernel, gammas: Sequence[float], alphas: Sequence[float], rows: int, seed: int
) -> Run | None:
    """Kernel PCA of at most `rows` drawn training rows, by the settings that are best on as many validation rows,
    fitted once a run; None where rows end at unlike steps, of a single one, or where the target is a mask or has a
    hole."""
    whole = next(run.data["test"].batches(2))
    seen = run.learner.task(whole)
    if run.segments or whole.mask is not None or seen.hole is not None or seen.target is None:
        return None
    if len(run.rows("train")) < 2:  # there is no direction between rows
        return None

    def fit() -> Run:
        train, val = (run.rows(part).sample(rows, seed) for part in ("train", "val"))
        best = kernel_pca(train, val, run.model.latent.dim, kernel=kernel, gammas=gammas, alphas=alphas)
        text = "kernel_pca: gamma=%g, %g on codes, and alpha=%g are best on %d validation rows; fitted on %d rows"
        log.info(text, best.gamma, best.back, best.alpha, len(val), len(train))
        return Run(Learner(run.learner.task, best.model, Additive(Chain({}), {})), run.data)

    return run.compute_once(("kernel_pca", kernel, tuple(gammas), tuple(alphas), rows, seed), fit)

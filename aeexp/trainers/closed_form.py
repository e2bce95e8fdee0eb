"""No training: the weights of a linear autoencoder that least squares would reach, or a factorisation does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, final

from aeexp.errors import UsageError
from aeexp.models.factorisations import Method, factorise
from aeexp.models.learner import Learner
from aeexp.models.nn.memoriser import Lookup
from aeexp.ranges import Count, NonNegative
from aeexp.trainers.checkpoint import Progress
from aeexp.trainers.contracts import CheckpointStore, MakeOptimizer, MakeScheduler, Splits, Tracker, Trainer
from aeexp.trainers.unstepped import record


@final
class ClosedForm(Trainer):
    """PCA by eigenvectors, or a factorisation of scikit-learn's, with the run folder of a trained model.

    `method`: `pca`; `ica`, units that are as independent as a linear map makes them (FastICA, Hyvarinen 1999);
    `sparse_pca`, components of few features (Zou et al. 2006), the fewer the larger `alpha`; `nmf`, parts that only add
    up (Lee and Seung 1999); `dictionary`, atoms of which few make a row (Olshausen and Field 1996), by the price
    `model.sparsity`. The first three take model=linear, the others model=dictionary. Of more than 10,000 rows as many
    are drawn, but for PCA. Under model=memoriser the rows are learnt by heart, whatever the method.
    """

    starts_anew: ClassVar[bool] = True
    takes_steps: ClassVar[bool] = False

    def __init__(self, *, method: Method = "pca", alpha: NonNegative = 1.0, max_iter: Count = 500):
        self.method: Method = method
        self.alpha = alpha
        self.max_iter = max_iter

    def fit(
        self, learner: Learner, data: Splits, optimizer: MakeOptimizer, scheduler: MakeScheduler,
        store: CheckpointStore, track: Tracker, seed: int, stop: Callable[[], bool] = lambda: False,
    ) -> Progress:  # fmt: skip
        """Solve, and record the losses; optimizer, scheduler and `stop` are not asked."""
        began = time.perf_counter()
        train = data["train"]
        progress = Progress(samples=len(train))
        track.start(1, progress)
        if learner.task.masks:
            raise UsageError(
                "trainer=closed_form solves for the least squared error of pictures, not of masks: take trainer=joint"
            )
        if isinstance(learner.model.encoder, Lookup):
            learner.model.encoder.learn(train)
        else:
            factorise(learner.model, train, self.method, alpha=self.alpha, max_iter=self.max_iter, seed=seed)
        learner.model.likelihood.fit(learner.model(learner.task(batch)) for batch in train.batches(1024))
        progress.step = progress.best_step = progress.best_epoch = 1
        progress.seconds = time.perf_counter() - began
        return record(learner, data, store, track, progress)

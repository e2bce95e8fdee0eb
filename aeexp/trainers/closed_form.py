"""No training: the weights of a linear autoencoder that least squares would reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, final

from aeexp.errors import UsageError
from aeexp.models.learner import Learner
from aeexp.models.nn.memoriser import Lookup
from aeexp.models.pca import solve
from aeexp.trainers.checkpoint import Progress
from aeexp.trainers.contracts import CheckpointStore, MakeOptimizer, MakeScheduler, Splits, Tracker, Trainer
from aeexp.trainers.unstepped import record


@final
class ClosedForm(Trainer):
    """PCA by eigenvectors (`aeexp.models.pca.solve`), or rows learnt by heart (`model=memoriser`), with the run folder
    of a trained model."""

    starts_anew: ClassVar[bool] = True

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
            solve(learner.model, train)
        learner.model.likelihood.fit(learner.model(learner.task(batch)) for batch in train.batches(1024))
        progress.step = progress.best_step = progress.best_epoch = 1
        progress.seconds = time.perf_counter() - began
        return record(learner, data, store, track, progress)

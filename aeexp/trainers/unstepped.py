"""What stands for training where no optimizer takes a step: PCA in closed form, a stage without fine-tuning."""

from __future__ import annotations

import torch

from aeexp.models.learner import Learner, average
from aeexp.schedulers import constant
from aeexp.trainers.checkpoint import Progress, State
from aeexp.trainers.contracts import CheckpointStore, Splits, Tracker


def record(learner: Learner, data: Splits, store: CheckpointStore, track: Tracker, progress: Progress) -> Progress:
    """The learner as it is becomes the best state, with its losses in the history; `progress` says at which step."""
    for split in ("train", "val"):
        values = average(learner, data[split])
        place = {"step": progress.step, "epoch": float(progress.best_epoch), "split": split, "lr": 0.0}
        progress.history.append({**place, **values})
    progress.best = values["loss"]
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.0)
    state = State(learner, optimizer, constant(optimizer, 1), progress)
    store.keep_best(state)
    store.save(state, now=True)
    track.evaluation(progress)
    return progress

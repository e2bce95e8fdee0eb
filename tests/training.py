"""Optimizers, trainers and runs that tests of the training loop share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import torch

from aeexp.contracts import Noise
from aeexp.models.learner import Learner
from aeexp.noises import Masking
from aeexp.trainers.checkpoint import Store
from aeexp.trainers.contracts import MakeOptimizer, MakeScheduler, Splits, Tracker, Trainer
from aeexp.trainers.layerwise import Layerwise

ADAM = functools.partial(torch.optim.Adam, lr=0.05)
SGD = functools.partial(torch.optim.SGD, lr=0.01)
HEADER = {"run_id": "a1"}
EVERY = dict(steps=14, batch_size=8, validate_every_steps=3, log_every_steps=2, clip_norm=1.0)
FIVE = dict(batch_size=12, validate_every_steps=5)
LAYERS = dict(pretrain_epochs=[2, 3, 1], pretrain_batch_size=8, noise=[0.1, 0.2, 0.3], finetune=None)
FINE = dict(epochs=2, batch_size=8, validate_every_steps=3, log_every_steps=2)


def layerwise(corruption: Mapping[str, Noise] | None = None, penalty=None, **options) -> Layerwise:
    """Layers under masking, without a penalty, where nothing else is said."""
    corruption = {"masking": Masking(0.0)} if corruption is None else corruption
    return Layerwise(corruption=corruption, penalty=penalty or {}, **options)


def train_in(
    folder: Path, trainer: Trainer, learner: Learner, data: Splits, optimizer: MakeOptimizer,
    scheduler: MakeScheduler, track: Tracker, *, seed: int = 0, every_seconds: float = math.inf,
    stop: Callable[[], bool] = lambda: False,
) -> SimpleNamespace:  # fmt: skip
    """What a command does with a fresh learner; goes on where the folder has a state."""
    store = Store(folder, HEADER, every_seconds)
    if (folder / "last.pt").is_file() or (folder / "best.pt").is_file():
        store.resume(folder)
    torch.manual_seed(torch.seed())  # whatever the process drew before must not matter
    progress = trainer.fit(learner, data, optimizer, scheduler, store, track, seed, stop)
    return SimpleNamespace(learner=learner, progress=progress, track=track, folder=folder, store=store)

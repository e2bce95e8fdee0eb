"""From a built learner to its best state: the command, Python and the estimator do it here."""

from __future__ import annotations

import torch
from omegaconf import DictConfig

from aeexp.datasets.core.data import Data
from aeexp.evaluation.run import Run
from aeexp.models.learner import Learner
from aeexp.runs.config import make
from aeexp.signals import catch_signals
from aeexp.timing import stage
from aeexp.trainers.checkpoint import Progress, Store
from aeexp.trainers.contracts import Tracker, Trainer


@stage("fit")
def train(cfg: DictConfig, trainer: Trainer, learner: Learner, data: Data, store: Store, track: Tracker) -> Progress:
    """Train by what `cfg.trainer` gave, with its optimizer; afterwards the learner holds the best state.

    Ctrl-C and the like end it between two steps, with the state saved. Raises KeyboardInterrupt then, and `Diverged`.
    """
    optimizer, scheduler = make(cfg, "optimizer"), make(cfg, "scheduler")
    with catch_signals() as stop:
        return trainer.fit(learner, data, optimizer, scheduler, store, track, cfg.seed, stop)


@stage("build")
def fit_codes(run: Run) -> None:
    """What its latent takes from the codes of the training rows, such as a density to draw samples from."""
    run.model.fit_codes(torch.from_numpy(run.codes("train")).to(run.device))

"""From a built learner to its best state: the command, Python and the estimator do it here."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

import torch
from omegaconf import DictConfig

from aeexp.datasets.core.data import Data
from aeexp.evaluation.run import Run
from aeexp.models.learner import Learner
from aeexp.runs.config import make
from aeexp.signals import catch_signals
from aeexp.timing import stage
from aeexp.trainers.checkpoint import Progress, Store
from aeexp.trainers.contracts import Tracker, Trainer, Training

R = TypeVar("R")
Steps = Generator[Training, Progress, R]  # gives a training away, goes on with its progress, and returns in the end


def train(cfg: DictConfig, trainer: Trainer, learner: Learner, data: Data, store: Store, track: Tracker) -> Progress:
    """Train by what `cfg.trainer` gave, with its optimizer; afterwards the learner holds the best state.

    Ctrl-C and the like end it between two steps, with the state saved. Raises KeyboardInterrupt then, and `Diverged`.
    """
    optimizer, scheduler = make(cfg, "optimizer"), make(cfg, "scheduler")
    return fit(Training(trainer, learner, data, optimizer, scheduler, store, track, cfg.seed))


@stage("fit")
def fit(training: Training) -> Progress:
    """`train`, of what is built already."""
    with catch_signals() as stop:
        return training.fit(stop)


def run_through(steps: Steps[R], fit: Callable[[Training], Progress] = fit) -> R:
    """What steps return in the end, with each training that they give away done at once."""
    try:
        training = next(steps)
        while True:
            try:
                progress = fit(training)
            except BaseException as error:  # theirs to handle
                training = steps.throw(error)
            else:
                training = steps.send(progress)
    except StopIteration as end:
        return end.value


@stage("build")
def fit_codes(run: Run) -> None:
    """What its latent takes from the codes of the training rows, such as a density to draw samples from."""
    run.model.fit_codes(torch.from_numpy(run.codes("train")).to(run.device))

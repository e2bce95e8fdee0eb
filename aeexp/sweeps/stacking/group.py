"""Jobs that may be alike are begun, trained together, and gone on with one by one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from typing import final

import psutil
import torch
from hydra.core.utils import JobReturn, configure_log, run_job
from hydra.types import HydraContext, TaskFunction
from joblib import cpu_count
from omegaconf import DictConfig, open_dict

from aeexp.ranges import Positive, Several, Threads
from aeexp.reference.folders import name_folders
from aeexp.runs.machine import Machine, keep_generators
from aeexp.runs.shared import share_data
from aeexp.signals import catch_signals, interrupt_when_told
from aeexp.sweeps.job import list_own_folders
from aeexp.sweeps.stacking.setaside import Inside, SetAside
from aeexp.trainers.checkpoint import Progress
from aeexp.trainers.stacking import Outcome, fit_together

log = logging.getLogger(__name__)

GIGABYTE = 1e9


@final
class Stacking:
    """How jobs are trained together: in how many `processes` (None: one for each core), `most` runs a stack, which
    takes about `memory_gb` at most (None: a quarter of what is free, divided by the processes)."""

    def __init__(self, *, processes: Threads | None = 1, most: Several = 64, memory_gb: Positive | None = None):
        self.processes = processes or cpu_count()
        self.most = most
        free = psutil.virtual_memory().available / 4 / self.processes
        self.most_bytes = free if memory_gb is None else memory_gb * GIGABYTE


def compose_job(context: HydraContext, config: DictConfig, number: int, overrides: Sequence[str]) -> DictConfig:
    """As Hydra's own launcher does."""
    composed = context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(composed):
        composed.hydra.job.id = number
        composed.hydra.job.num = number
    return composed


def run_group(
    stacking: Stacking, context: HydraContext, config: DictConfig, task: TaskFunction, composed: Sequence[DictConfig]
) -> dict[int, JobReturn]:
    """The results of jobs that may be alike, by their numbers; `composed` as `compose_job` gives them."""
    results: dict[int, JobReturn] = {}
    if len(composed) == 1:
        (job,) = composed
        results[job.hydra.job.num] = run_job(task, job, "hydra.sweep.dir", "hydra.sweep.subdir", context)
        configure_log(config.hydra.hydra_logging, config.hydra.verbose)
        return results
    for start in range(0, len(composed), stacking.most):  # so many folders and logs are open at once
        jobs = [SetAside(context, task, each) for each in composed[start : start + stacking.most]]
        run_together(stacking, jobs)
        results |= {job.number: job.result for job in jobs}
        configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    return results


def run_together(stacking: Stacking, jobs: Sequence[SetAside]) -> None:
    """Begin all, train them, and bring each to its end. Raises KeyboardInterrupt, once each has its last word."""
    before = Machine.read()
    with ExitStack() as stack:
        stack.callback(before.set)
        stack.enter_context(interrupt_when_told())
        stack.enter_context(name_folders(list_own_folders(jobs[0].config.hydra)))
        stack.enter_context(share_data())
        stack.enter_context(keep_generators(torch.device("cpu")))
        outcomes: dict[int, Outcome | None] = {}
        try:
            said: set[str] = set()
            for job in jobs:
                job.begin(said)
            outcomes = _train(stacking, [job for job in jobs if job.training is not None])
            for job in jobs:
                job.go_on(outcomes.get(job.number))
        except KeyboardInterrupt as interrupt:
            for job in jobs:
                try:
                    job.go_on(interrupt)
                except KeyboardInterrupt:
                    continue  # it has said so in its own folder
            raise


def _train(stacking: Stacking, jobs: Sequence[SetAside]) -> dict[int, Outcome | None]:
    board = Board()
    trainings = [
        job.training._replace(track=Inside(job, job.training.track, board.note))
        for job in jobs if job.training is not None
    ]  # fmt: skip
    if not trainings:
        return {}

    def tell(places: Sequence[int], reason: str) -> None:
        board.say()
        names = ", ".join(f"#{jobs[place].number}" for place in places)
        if reason:
            log.info("%s: trained alone: %s", names, reason)
        else:
            log.info("%s: trained together", names)
            board.begin(len(places))

    with jobs[0].on_its_machine(), catch_signals() as stop:
        outcomes = fit_together(trainings, stop, tell, stacking.most_bytes, stacking.most)
        if stop():
            raise KeyboardInterrupt
    board.say()
    return dict(zip((job.number for job in jobs), outcomes, strict=True))


@final
class Board:
    """A line for each validation of a stack, in place of one for each run."""

    def __init__(self) -> None:
        self.runs = self.step = self.total = 0
        self.losses: list[float] = []

    def begin(self, runs: int) -> None:
        """Another stack, of so many runs."""
        self.runs = runs

    def note(self, total: int, progress: Progress) -> None:
        """One run has been validated."""
        if progress.step != self.step:
            self.say()
        self.step, self.total = progress.step, total
        self.losses.append(progress.history[-1]["loss"])

    def say(self) -> None:
        """What was noted of the last step."""
        if self.losses:
            ends = f"val {min(self.losses):.4f} to {max(self.losses):.4f}"
            log.info("step %d/%d  %d of %d runs  %s", self.step, self.total, len(self.losses), self.runs, ends)
        self.losses = []

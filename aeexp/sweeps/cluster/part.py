"""What one process elsewhere does: a job of a sweep, or several that are trained together."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import joblib
import torch
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from aeexp import files
from aeexp.sweeps.cluster.scheduler import hear_scheduler, is_preempted, pass_on
from aeexp.sweeps.refusals import note_refusal
from aeexp.sweeps.stacking.group import Stacking, compose_job, run_group

Values = dict[int, float]  # what the jobs returned, by their numbers
OURS = ("AEEXP_", "HYDRA_", "PYTHONPATH")  # beginnings of the variables that go along


@final
class Part:
    """Jobs with their overrides; all that another process needs, and no more than can be sent there."""

    def __init__(
        self, given: Mapping[str, Any], context: HydraContext, config: DictConfig, task: TaskFunction,
        jobs: Sequence[tuple[int, Sequence[str]]], threads: int | None = None, results: Path | None = None,
    ):  # fmt: skip
        """`given` are the keys of `Stacking`; `threads` what torch may use, None: what the process has; in the folder
        `results` the values are left as JSON, for who waits on another machine."""
        self.given = dict(given)
        self.context = context
        self.config = config
        self.task = task
        self.jobs = [(number, list(overrides)) for number, overrides in jobs]
        self.threads = threads
        self.results = results
        self.state = Singleton.get_state()
        self.folder = str(Path.cwd())
        self.environment = {key: value for key, value in os.environ.items() if key.startswith(OURS)}

    @property
    def name(self) -> str:
        """For a log."""
        return ", ".join(f"#{number}" for number, _ in self.jobs)

    @property
    def place(self) -> Path | None:
        """The file that holds the values once all jobs are through."""
        return None if self.results is None else self.results / f"values-{self.jobs[0][0]}.json"

    def __call__(self) -> Values:
        """Run them. One that is interrupted has no value: its folder says so."""
        os.environ.update(self.environment)
        os.chdir(self.folder)
        Singleton.set_state(self.state)
        setup_globals()
        if self.config.get("threads") is None:
            torch.set_num_threads(self.threads or count_cpus())
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        values: Values = {}
        with hear_scheduler() as told:
            try:
                jobs = [compose_job(self.context, self.config, *job) for job in self.jobs]
                results = run_group(Stacking(**self.given), self.context, self.config, self.task, jobs)
                values = {number: self._read(number, result) for number, result in results.items()}
            except KeyboardInterrupt:
                if not told and not is_preempted():
                    return values
                told = told or [signal.SIGTERM]
        if told:
            pass_on(told[0])
        if self.place is not None:
            files.write_json(
                self.place, {str(key): value if math.isfinite(value) else None for key, value in values.items()}
            )
        return values

    def checkpoint(self) -> Any:
        """submitit's question what is to run once it has put the job into the queue again: this, which skips what is
        finished and goes on with what is begun."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _read(self, number: int, result: JobReturn) -> float:
        if result.status == JobStatus.COMPLETED:
            return float(result.return_value)
        note_refusal(Path(str(self.config.hydra.sweep.dir)), number, str(result._return_value), 1)
        return math.nan


def count_cpus() -> int:
    """Those that this process may use, of a container too."""
    return joblib.cpu_count()

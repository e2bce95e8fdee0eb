"""`hydra/launcher=slurm` and `submitit_local`: each part a job of a queue."""

from __future__ import annotations

import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, final

from aeexp import files
from aeexp.errors import UsageError
from aeexp.ranges import Count, NonNegative, Positive, Whole
from aeexp.signals import let_finish
from aeexp.sweeps.cluster.part import Part, Values, count_cpus
from aeexp.sweeps.cluster.pool import PATIENCE, Ending, Lost, Outcome, Pool, kill_descendants, tell_children

LOOKED = 1.0  # seconds between two looks for results
ASKED = 10.0  # seconds between two questions to the queue
# Seconds after which the result of a job that has left the queue will not come any more: network file systems tell of
# new files after a minute.
LATE = {"slurm": 75.0, "local": 5.0}
STAY = {"nodes": 1, "tasks_per_node": 1}


@final
class Submitit(Pool):
    """Jobs that submitit gives to Slurm, as one array, or to this machine.

    A job that is preempted, or whose time ends, saves its run and is put into the queue again: for want of time up to
    `max_num_timeout` times. Keys are those of hydra-submitit-launcher; `additional_parameters` are of sbatch.
    """

    def __init__(
        self, *, cluster: Literal["slurm", "local"], submitit_folder: str, name: str = "aeexp",
        timeout_min: Count = 60, cpus_per_task: Count | None = None, gpus_per_node: Count | None = None,
        mem_gb: Positive | None = None, array_parallelism: Count = 256, max_num_timeout: Whole = 3,
        signal_delay_s: NonNegative = 120, partition: str | None = None, qos: str | None = None,
        account: str | None = None, constraint: str | None = None, gres: str | None = None,
        setup_commands: Sequence[str] | None = None, additional_parameters: Mapping[str, Any] | None = None,
    ):  # fmt: skip
        self.cluster = cluster
        self.folder = Path(submitit_folder)
        self.at_once = array_parallelism
        self.max_num_timeout = max_num_timeout
        self.threads = cpus_per_task or (max(1, count_cpus() // array_parallelism) if cluster == "local" else None)
        plain = {"name": name, "timeout_min": timeout_min, "cpus_per_task": cpus_per_task,
                 "gpus_per_node": gpus_per_node, "mem_gb": mem_gb}  # fmt: skip
        queue = {"array_parallelism": array_parallelism, "signal_delay_s": int(signal_delay_s), "partition": partition,
                 "qos": qos, "account": account, "constraint": constraint, "gres": gres,
                 "setup": None if setup_commands is None else list(setup_commands),
                 "additional_parameters": dict(additional_parameters or {})}  # fmt: skip
        self.parameters = {key: value for key, value in plain.items() if value is not None} | STAY
        if cluster == "slurm":
            self.parameters |= {f"slurm_{key}": value for key, value in queue.items() if value is not None}

    def run(self, parts: Sequence[Part], ending: Ending) -> list[Outcome]:
        """See `Pool`. Raises UsageError without submitit, and without Slurm."""
        executor = self._open()
        results = self.folder.absolute() / uuid.uuid4().hex  # a job of an earlier command may still write into its own
        for part in parts:
            part.results, part.threads = results, self.threads
        outcomes: list[Outcome] = [None] * len(parts)
        waiting, jobs = list(range(len(parts))), {}
        ended: dict[int, float] = {}
        asked = until = 0.0
        while jobs or (waiting and not ending.heard):
            at_once = len(parts) if self.cluster == "slurm" else self.at_once - len(jobs)
            if waiting and at_once > 0 and not ending.heard:
                begun, waiting = waiting[:at_once], waiting[at_once:]
                jobs |= dict(zip(begun, self._submit(executor, [parts[place] for place in begun]), strict=True))
            time.sleep(LOOKED)
            if ending.heard and not until:
                until = time.monotonic() + PATIENCE
                self._cancel(list(jobs.values()))
            if time.monotonic() - asked > ASKED or ending.heard:
                asked = time.monotonic()
                there = self._list_there(list(jobs.values()))
                ended = {place: ended.get(place, asked) for place, job in jobs.items() if job.job_id not in there}
            for place in list(jobs):
                outcomes[place] = self._read(parts[place], ended.get(place))
                if outcomes[place] is not None or (ending.heard and (place in ended or time.monotonic() > until)):
                    del jobs[place]
        if jobs and self.cluster == "local":
            kill_descendants()
        shutil.rmtree(results, ignore_errors=True)
        return outcomes

    def _open(self) -> Any:
        try:
            import submitit
        except ImportError as error:
            raise UsageError(
                f"hydra/launcher={self._name}: submitit is not installed: pip install 'aeexp[slurm]'"
            ) from error
        if self.cluster == "slurm" and shutil.which("sbatch") is None:
            raise UsageError(
                "hydra/launcher=slurm: there is no sbatch on this machine: take a login node, or another launcher"
            )
        extra = {"slurm_max_num_timeout": self.max_num_timeout} if self.cluster == "slurm" else {}
        executor = submitit.AutoExecutor(folder=str(self.folder / "%j"), cluster=self.cluster, **extra)
        executor.update_parameters(**self.parameters)
        return executor

    @property
    def _name(self) -> str:
        return "slurm" if self.cluster == "slurm" else "submitit_local"

    def _submit(self, executor: Any, parts: Sequence[Part]) -> list[Any]:
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        try:
            with let_finish(), executor.batch():  # what a terminal sends is ours to pass on: its jobs inherit that
                return [executor.submit(part) for part in parts]
        except (FailedJobError, FailedSubmissionError) as error:
            last = str(error).strip().splitlines()[-1]
            raise UsageError(f"hydra/launcher={self._name}: the queue refused the jobs: {last}") from error

    def _read(self, part: Part, ended: float | None) -> Outcome:
        assert part.place is not None
        if part.place.is_file():
            values: Values = {}
            for key, value in files.read_json(part.place).items():
                values[int(key)] = float("nan") if value is None else float(value)
            return values
        if ended is not None and time.monotonic() - ended > LATE[self.cluster]:
            return Lost(f"its job has left the queue without a word (see {self.folder}: killed, out of memory or time, "
                        "or its node died)")  # fmt: skip
        return None

    def _list_there(self, jobs: Sequence[Any]) -> set[str]:
        """Ids of those that the queue has, waiting or running: one question for all."""
        if self.cluster == "local":
            return {job.job_id for job in jobs if job.get_info()["jobState"] == "RUNNING"}
        ids = sorted({job.job_id.split("_")[0] for job in jobs})
        command = ["squeue", "--noheader", "--array", "--format=%i %F_%K", "--jobs", ",".join(ids)]
        try:
            done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return {job.job_id for job in jobs}
        if done.returncode != 0 and "Invalid job id" not in done.stderr:
            return {job.job_id for job in jobs}  # the queue does not answer now
        return set(done.stdout.split())

    def _cancel(self, jobs: Sequence[Any]) -> None:
        if self.cluster == "local":
            tell_children()
        elif jobs:
            with suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(["scancel", *(job.job_id for job in jobs)], capture_output=True, check=False, timeout=60)

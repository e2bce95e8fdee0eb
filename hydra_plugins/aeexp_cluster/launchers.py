"""`hydra/launcher=processes`, `slurm`, `submitit_local` and `ray`: where Hydra finds them. Their keys are in
conf/hydra/launcher.

Hydra imports this file at each start, so what works lies in aeexp.sweeps.cluster and is imported by a sweep alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ClusterLauncher(Launcher, ABC):
    """Runs each job, or with `stack` those that are alike together, as a part of a pool of aeexp.sweeps.cluster."""

    @abstractmethod
    def __init__(self) -> None:
        """Hydra passes the keys."""

    def remember(self, pool: str, given: dict[str, Any], stack: Any, most: Any, memory_gb: Any) -> None:
        """The name of the pool's class, and its keys: they are held against its own before anything runs."""
        self.pool = pool
        self.sharing = {"stack": stack, "most": most, "memory_gb": memory_gb}
        self.given = given

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's call before the sweep."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hydra's call for each batch of jobs. Raises UsageError."""
        from aeexp.sweeps import cluster

        return cluster.launch(
            self.pool, self.given, self.sharing, self.hydra_context, self.config, self.task_function, job_overrides,
            initial_job_idx,
        )  # fmt: skip


@final
class ProcessesLauncher(ClusterLauncher):
    """Processes of this machine, by joblib."""

    def __init__(self, n_jobs: Any = None, stack: Any = False, most: Any = 64, memory_gb: Any = None):
        self.remember("Processes", {"n_jobs": n_jobs}, stack, most, memory_gb)


@final
class SubmititLauncher(ClusterLauncher):
    """Jobs of Slurm, or of this machine, by submitit."""

    def __init__(
        self, cluster: Any, submitit_folder: Any, name: Any, timeout_min: Any, cpus_per_task: Any, gpus_per_node: Any,
        mem_gb: Any, array_parallelism: Any, max_num_timeout: Any = 0, signal_delay_s: Any = 120, partition: Any = None,
        qos: Any = None, account: Any = None, constraint: Any = None, gres: Any = None, setup_commands: Any = None,
        additional_parameters: Any = None, stack: Any = False, most: Any = 64, memory_gb: Any = None,
    ):  # fmt: skip
        given = {key: value for key, value in locals().items() if key not in ("self", "stack", "most", "memory_gb")}
        self.remember("Submitit", given, stack, most, memory_gb)


@final
class RayLauncher(ClusterLauncher):
    """Tasks of a Ray cluster."""

    def __init__(
        self, address: Any = None, num_cpus: Any = 1, num_gpus: Any = 0, task_memory_gb: Any = None,
        max_retries: Any = 2, stack: Any = False, most: Any = 64, memory_gb: Any = None,
    ):  # fmt: skip
        given = {"address": address, "num_cpus": num_cpus, "num_gpus": num_gpus, "task_memory_gb": task_memory_gb,
                 "max_retries": max_retries}  # fmt: skip
        self.remember("Ray", given, stack, most, memory_gb)

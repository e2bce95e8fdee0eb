"""`hydra/launcher=stacked` and `auto`: where Hydra finds them. Their keys are in conf/hydra/launcher.

Hydra imports this file at each start, so what works lies in aeexp.sweeps.stacking and is imported by a sweep alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@final
class StackedLauncher(Launcher):
    """Trains jobs that are alike as one, in one process or in several."""

    def __init__(self, processes: Any = 1, most: Any = 64, memory_gb: Any = None):
        """Hydra passes the keys; they are held against `sweeps.stacking.Stacking`, which says what they mean."""
        self.given = {"processes": processes, "most": most, "memory_gb": memory_gb}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's call before the sweep."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hydra's call for each batch of jobs. Raises UsageError."""
        from aeexp.sweeps.stacking import launch

        return launch(self.given, self.hydra_context, self.config, self.task_function, job_overrides, initial_job_idx)

"""What the launchers do: jobs in groups, here or in several processes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, configure_log, filter_overrides, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from aeexp.runs.config import check_node
from aeexp.sweeps.stacking.group import Stacking, compose_job, run_group
from aeexp.sweeps.stacking.grouping import cut, group_jobs
from aeexp.sweeps.stacking.processes import launch_in_processes

log = logging.getLogger(__name__)


def launch(
    given: Mapping[str, Any], context: HydraContext, config: DictConfig, task: TaskFunction,
    job_overrides: Sequence[Sequence[str]], first: int,
) -> list[JobReturn]:  # fmt: skip
    """What `Launcher.launch` returns. Raises UsageError for keys that make no sense, and KeyboardInterrupt."""
    check_node("hydra.launcher", {"_target_": "aeexp.sweeps.stacking.Stacking", **given})
    stacking = Stacking(**given)
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    log.info("Launching %d jobs, those that are alike together", len(job_overrides))
    for place, overrides in enumerate(job_overrides):
        log.info("\t#%d : %s", first + place, " ".join(filter_overrides(overrides)))
    numbers = list(range(first, first + len(job_overrides)))
    composed = [compose_job(context, config, *job) for job in zip(numbers, job_overrides, strict=True)]
    groups = group_jobs(composed)
    parts = cut(groups, stacking.processes)
    if stacking.processes > 1 and len(parts) > 1:
        jobs = [[composed[place] for place in part] for part in parts]
        results = launch_in_processes(given, stacking, context, config, task, jobs)
    else:
        results = {}
        for group in groups:
            results |= run_group(stacking, context, config, task, [composed[place] for place in group])
    return [results[number] for number in numbers]

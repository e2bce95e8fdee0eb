"""What the launchers do: jobs, or those that are alike together, in processes of a pool."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, setup_globals
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from aeexp.errors import FAILED
from aeexp.ranges import Positive, Several
from aeexp.runs.config import check_node
from aeexp.runs.folder import find_runs
from aeexp.sweeps.cluster.part import Part
from aeexp.sweeps.cluster.pool import Lost, Outcome, Pool, hear_endings
from aeexp.sweeps.refusals import note_refusal
from aeexp.sweeps.stacking.group import compose_job
from aeexp.sweeps.stacking.grouping import group_jobs

log = logging.getLogger(__name__)


@final
class Sharing:
    """What is one job of a pool: a run, or with `stack` up to `most` runs that are alike, trained together in about
    `memory_gb` at most (None: a quarter of what is free where they are trained)."""

    def __init__(self, *, stack: bool = False, most: Several = 64, memory_gb: Positive | None = None):
        self.stack = stack
        self.given = {"processes": 1, "most": most, "memory_gb": memory_gb}
        self.most = most


def launch(
    pool_name: str, given: Mapping[str, Any], sharing: Mapping[str, Any], context: HydraContext, config: DictConfig,
    task: TaskFunction, job_overrides: Sequence[Sequence[str]], first: int,
) -> list[JobReturn]:  # fmt: skip
    """What `Launcher.launch` returns. Raises UsageError for keys that make no sense, and KeyboardInterrupt."""
    pool: Pool = make(pool_name, given)
    share: Sharing = make("Sharing", sharing)
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    root = Path(str(config.hydra.sweep.dir))
    root.mkdir(parents=True, exist_ok=True)
    jobs = list(enumerate(job_overrides, first))
    groups = group(share, context, config, jobs)
    log.info("Launching %d jobs%s", len(jobs), f" in {len(groups)} groups" if len(groups) < len(jobs) else "")
    for number, overrides in jobs:
        log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
    parts = [Part(share.given, context, config, task, each) for each in groups]
    with hear_endings() as ending:
        outcomes = pool.run(parts, ending)
        if ending.heard:
            raise KeyboardInterrupt
    return collect(root, jobs, parts, outcomes)


def make(name: str, given: Mapping[str, Any]) -> Any:
    """An object of this package, of keys of the launcher. Raises UsageError."""
    plain = {
        key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value for key, value in given.items()
    }
    node = {"_target_": f"aeexp.sweeps.cluster.{name}", **plain}
    check_node("hydra.launcher", node)
    return instantiate(node)


def group(
    share: Sharing, context: HydraContext, config: DictConfig, jobs: Sequence[tuple[int, Sequence[str]]]
) -> list[list[tuple[int, Sequence[str]]]]:
    """The jobs of each part, in order."""
    if not share.stack:
        return [[job] for job in jobs]
    places = group_jobs([compose_job(context, config, *job) for job in jobs])
    cut = [alike[start : start + share.most] for alike in places for start in range(0, len(alike), share.most)]
    return [[jobs[place] for place in alike] for alike in cut]


def collect(
    root: Path, jobs: Sequence[tuple[int, Sequence[str]]], parts: Sequence[Part], outcomes: Sequence[Outcome]
) -> list[JobReturn]:
    """A result for each job; of one that was lost NaN, and a word beside the folders if it has none of its own."""
    values: dict[int, float] = {}
    begun = list_begun(root) if any(isinstance(outcome, Lost) for outcome in outcomes) else []
    for part, outcome in zip(parts, outcomes, strict=True):
        if isinstance(outcome, Lost):
            log.error("%s: %s; the same command with this hydra.sweep.dir goes on", part.name, outcome.reason)
            for number, overrides in part.jobs:
                if filter_overrides(overrides) not in begun:
                    note_refusal(root, number, outcome.reason, FAILED)
        else:
            values |= outcome or {}
    return [
        JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED, _return_value=values.get(number, math.nan))
        for number, overrides in jobs
    ]


def list_begun(root: Path) -> list[list[str]]:
    """The overrides of each job that has a folder with a word of its own, wherever below `root` that lies."""
    begun = []
    for run in find_runs(root):
        with suppress(OSError, ValueError):
            if run.status.is_file():
                begun.append(run.read_overrides())
    return begun

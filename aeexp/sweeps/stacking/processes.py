"""A part of the jobs in each of several processes, where they are trained together."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psutil
import torch
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.types import HydraContext, TaskFunction
from joblib import Parallel, delayed, parallel_config
from omegaconf import DictConfig

from aeexp.signals import do_nothing, handle_endings
from aeexp.sweeps.stacking.group import Stacking, run_group


def launch_in_processes(
    given: Mapping[str, Any], stacking: Stacking, context: HydraContext, config: DictConfig, task: TaskFunction,
    parts: Sequence[Sequence[DictConfig]],
) -> dict[int, JobReturn]:  # fmt: skip
    """The results of all jobs, by their numbers. Raises KeyboardInterrupt, once all processes have saved their runs."""
    told: list[int] = []

    def tell_all(number: int, frame: object) -> None:
        if told:
            raise KeyboardInterrupt
        told.append(number)
        for child in psutil.Process().children():
            child.send_signal(signal.SIGTERM)  # the one that they listen to: a terminal sends them the others too

    def list_calls() -> Iterator[Any]:
        for part in parts:
            if told:
                return
            yield delayed(_run_part)(given, stacking.most_bytes, context, config, task, part, Singleton.get_state())

    count = min(stacking.processes, len(parts))
    kind = parallel_config("loky", inner_max_num_threads=1)  # of the libraries beside torch
    parallel: Any = Parallel(n_jobs=count, pre_dispatch="n_jobs")
    with kind, handle_endings(tell_all):
        try:
            results = parallel(list_calls())
        except BaseException:
            if told:
                raise KeyboardInterrupt from None
            raise
    if told:
        raise KeyboardInterrupt
    return {number: result for part in results for number, result in part.items()}


def _run_part(
    given: Mapping[str, Any], most_bytes: float, context: HydraContext, config: DictConfig, task: TaskFunction,
    part: Sequence[DictConfig], state: Any,
) -> dict[int, JobReturn]:  # fmt: skip
    """In a process of its own. One that was interrupted has no results: the folders say so."""
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIG" + "HUP", signal.SIGTERM)):
        # whoever began this tells it by SIGTERM, once; between two parts there is nothing to end
        signal.signal(number, do_nothing if number == signal.SIGTERM else signal.SIG_IGN)
    setup_globals()
    Singleton.set_state(state)
    if "OMP_NUM_THREADS" not in os.environ or config.get("threads") is None:
        torch.set_num_threads(1)
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    stacking = Stacking(**{**given, "processes": 1, "memory_gb": most_bytes / 1e9})
    try:
        return run_group(stacking, context, config, task, part)
    except KeyboardInterrupt:
        return {}

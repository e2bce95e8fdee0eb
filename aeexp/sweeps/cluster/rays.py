"""`hydra/launcher=ray`: each part a task of a Ray cluster."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from typing import Any, final

from aeexp.errors import UsageError
from aeexp.ranges import Count, NonNegative, Positive, Whole
from aeexp.signals import keep_handlers
from aeexp.sweeps.cluster.part import Part, count_cpus
from aeexp.sweeps.cluster.pool import PATIENCE, Ending, Lost, Outcome, Pool

ANSWERED = 20.0  # seconds in which a cluster should


@final
class Ray(Pool):
    """Tasks of the cluster at `address` (None: the one of RAY_ADDRESS, else one of this machine alone, made for the
    sweep), each with so many CPUs and GPUs. One whose node dies is tried `max_retries` times more."""

    def __init__(
        self, *, address: str | None = None, num_cpus: Count = 1, num_gpus: NonNegative = 0,
        task_memory_gb: Positive | None = None, max_retries: Whole = 2,
    ):  # fmt: skip
        self.address = address
        self.num_cpus = num_cpus
        self.options = {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_retries": max_retries}
        if task_memory_gb is not None:
            self.options["memory"] = int(task_memory_gb * 1e9)

    def run(self, parts: Sequence[Part], ending: Ending) -> list[Outcome]:
        """See `Pool`. Raises UsageError without Ray, and without the cluster."""
        ray = self._connect()
        try:
            task = ray.remote(**self.options)(_call)
            places: dict[Any, int] = {}
            for place, part in enumerate(parts):
                part.threads = self.num_cpus
                places[task.remote(part)] = place
            outcomes: list[Outcome] = [None] * len(parts)
            until = 0.0
            while places and not (until and time.monotonic() > until):
                done, _ = ray.wait(list(places), timeout=1.0)
                for reference in done:
                    outcomes[places.pop(reference)] = _get(ray, reference)
                if ending.heard and not until:
                    until = time.monotonic() + PATIENCE
                    for reference in places:
                        ray.cancel(reference, force=False)  # KeyboardInterrupt there
            return outcomes
        finally:
            ray.shutdown()

    def _connect(self) -> Any:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_task_oom_retries", str(self.options["max_retries"]))
        try:
            import ray
        except ImportError as error:
            raise UsageError("hydra/launcher=ray: Ray is not installed: pip install 'aeexp[ray]'") from error
        address = self.address or os.environ.get("RAY_ADDRESS")
        own = {} if address else {"num_cpus": count_cpus(), "include_dashboard": False}
        try:
            if address:
                knock(address)
            with keep_handlers():  # Ray's own of SIGTERM would leave at once
                ray.init(address=address, log_to_driver=True, configure_logging=False, **own)
        except ConnectionError as error:
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(f"hydra.launcher.address={address}: no Ray cluster answers there ({reason})") from error
        most = ray.cluster_resources()
        for key, name in (("num_cpus", "CPU"), ("num_gpus", "GPU")):
            if self.options[key] > most.get(name, 0):
                ray.shutdown()
                raise UsageError(
                    f"hydra.launcher.{key}={self.options[key]}: this Ray cluster has {most.get(name, 0):g} in all"
                )
        return ray


def knock(address: str) -> None:
    """Raises ConnectionError where nothing listens at HOST:PORT, which Ray itself notices after a quarter of an hour;
    of an address of another form nothing is known."""
    host, _, port = address.rpartition(":")
    if not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERED).close()
    except OSError as error:
        raise ConnectionError(str(error)) from error


def _call(part: Part) -> dict[int, float]:
    return part()


def _get(ray: Any, reference: Any) -> Outcome:
    try:
        return ray.get(reference)
    except (ray.exceptions.TaskCancelledError, ray.exceptions.RayTaskError) as error:
        return Lost(str(error).strip().splitlines()[-1])
    except ray.exceptions.RayError as error:
        return Lost(f"its process was killed, or its node died ({str(error).strip().splitlines()[0]})")

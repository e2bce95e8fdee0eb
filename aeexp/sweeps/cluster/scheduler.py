"""What a scheduler says to a job: that its time or its machine is about to be taken away."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SCHEDULERS = [signal.Signals[name] for name in ("SIGUSR1", "SIGUSR2") if name in signal.Signals.__members__]
ANSWERED = 20.0  # seconds in which the controller should answer
_before: dict[signal.Signals, Any] = {}


@contextmanager
def hear_scheduler() -> Iterator[list[int]]:
    """SIGUSR1 and SIGUSR2, by which a scheduler says that the time or the machine is about to be taken away, end the
    jobs as SIGTERM does: their runs are saved. Yields those that came."""
    told: list[int] = []

    def hear(number: int, frame: object) -> None:
        told.append(number)
        signal.raise_signal(signal.SIGTERM)

    past = {number: signal.getsignal(number) for number in [*SCHEDULERS, signal.SIGTERM]}
    _before.update(past)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # submitit's own would do nothing
    for number in SCHEDULERS:
        signal.signal(number, hear)
    try:
        yield told
    finally:
        for number, handler in past.items():
            signal.signal(number, handler)


def find_requeuing(number: int) -> Any:
    """The handler that was there before ours and puts the job into the queue again: of this signal, else of the other
    one, for submitit listens to one of them. None where nobody does."""
    handlers = (_before.get(each) for each in sorted(SCHEDULERS, key=lambda each: each != number))
    return next((handler for handler in handlers if callable(handler)), None)


def pass_on(number: int) -> None:
    """To who was there before ours: submitit puts the job into the queue again and ends the process."""
    handler = find_requeuing(number)
    if handler is not None:
        handler(number, None)


def is_preempted() -> bool:
    """Whether SIGTERM, which a user's scancel sends too, came because Slurm gives this job's place to another one: it
    then says since when, and lets the job run for as long as the partition's GraceTime is."""
    number = os.environ.get("SLURM_JOB_ID")
    if number is None or find_requeuing(signal.SIGTERM) is None:
        return False
    try:
        asked = subprocess.run(["scontrol", "show", "job", number], capture_output=True, encoding="utf-8",
                               timeout=ANSWERED, check=False)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    said = dict(re.findall(r"(\w+)=(\S+)", asked.stdout))
    return said.get("JobState") == "RUNNING" and said.get("PreemptTime", "None") not in ("None", "(null)")

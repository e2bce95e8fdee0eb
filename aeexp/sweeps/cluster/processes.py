"""`hydra/launcher=processes`: a process of its own on this machine for each part, several at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, final

from hydra.core.utils import env_override
from joblib import wrap_non_picklable_objects

from aeexp.ranges import Threads
from aeexp.signals import ENDING, do_nothing
from aeexp.sweeps.cluster.part import Part, count_cpus
from aeexp.sweeps.cluster.pool import Ending, Lost, Outcome, Pool, tell_children

LOOKED = 1.0  # seconds between two looks whether the sweep was told to end
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # of the libraries beside torch


class Running(NamedTuple):
    """A part under way."""

    place: int
    process: BaseProcess
    answer: Any  # a Connection; of another kind on Windows


@final
class Processes(Pool):
    """`n_jobs` processes at a time (None: one for each core), each with its share of the cores. One that is killed is
    lost by itself."""

    def __init__(self, *, n_jobs: Threads | None = None):
        self.count = n_jobs or count_cpus()

    def run(self, parts: Sequence[Part], ending: Ending) -> list[Outcome]:
        """See `Pool`."""
        outcomes: list[Outcome] = [None] * len(parts)
        waiting = list(enumerate(parts))
        running: list[Running] = []
        context, share = multiprocessing.get_context("spawn"), max(1, count_cpus() // self.count)
        ending.act = tell_children
        while running or (waiting and not ending.heard):
            while waiting and len(running) < self.count and not ending.heard:
                place, part = waiting.pop(0)
                part.threads = share
                with ending.hold():
                    running.append(start(context, place, part, share))
            for each in find_ready(running):
                running.remove(each)
                outcomes[each.place] = read(each)
        return outcomes


def start(context: SpawnContext, place: int, part: Part, threads: int) -> Running:
    """A process that runs the part, with so many threads in its libraries unless the user says otherwise."""
    answer, sender = context.Pipe(duplex=False)
    # Hydra's resolvers are functions within functions, which pickle by itself does not send
    sent = wrap_non_picklable_objects(part, keep_wrapper=False)
    process = context.Process(target=call, args=(sent, sender))
    with env_override({name: str(threads) for name in THREADS if name not in os.environ}):
        process.start()
    sender.close()
    return Running(place, process, answer)


def find_ready(running: Sequence[Running]) -> list[Running]:
    """Those that answer, or have ended, within a moment: who answers more than a pipe holds ends once it is read."""
    ready = set(wait([source for each in running for source in (each.process.sentinel, each.answer)], timeout=LOOKED))
    return [each for each in running if {each.process.sentinel, each.answer} & ready]


def read(ready: Running) -> Outcome:
    """What a process said, once it has ended."""
    said: Outcome = None
    with ready.answer, suppress(EOFError, OSError):  # OSError: the answer breaks off
        if ready.answer.poll():
            said = ready.answer.recv()
    ready.process.join()
    if said is None:
        how = f"exit code {ready.process.exitcode}"
        return Lost(f"its process was killed, by the system for want of memory or by somebody ({how})")
    return said


def call(part: Part, sender: Connection) -> None:
    """In the process. Whoever began this tells it by SIGTERM, once: before and behind the part there is nothing to
    end."""
    for number in ENDING:
        signal.signal(number, do_nothing if number == signal.SIGTERM else signal.SIG_IGN)
    with sender:
        values = part()
        with suppress(BrokenPipeError):  # who waited was killed: the runs' folders say all
            sender.send(values)

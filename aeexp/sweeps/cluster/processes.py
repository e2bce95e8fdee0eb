"""`hydra/launcher=processes`: those of this machine, which take one part after another."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import Any, final

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from aeexp.ranges import Threads
from aeexp.signals import ENDING, do_nothing
from aeexp.sweeps.cluster.part import Part, Values, count_cpus
from aeexp.sweeps.cluster.pool import Ending, Lost, Outcome, Pool, tell_children

MOST_DEATHS = 2  # of one part
KILLED = "its process was killed (by the system for want of memory, or by somebody)"


@final
class Processes(Pool):
    """`n_jobs` processes at a time (None: one for each core), each with its share of the cores.

    Where one is killed, joblib ends the others too: they are begun again and go on with their runs; the one that is
    killed twice is lost.
    """

    def __init__(self, *, n_jobs: Threads | None = None):
        self.count = n_jobs or count_cpus()

    def run(self, parts: Sequence[Part], ending: Ending) -> list[Outcome]:
        """See `Pool`."""
        outcomes: list[Outcome] = [None] * len(parts)
        deaths = [0] * len(parts)
        share = max(1, count_cpus() // self.count)
        for part in parts:
            part.threads = share
        ending.act = tell_children
        while (left := [i for i, outcome in enumerate(outcomes) if outcome is None]) and not ending.heard:
            suspects = [i for i in left if deaths[i]]  # each by itself, so that it takes no other with it again
            for place in self._run([(i, parts[i]) for i in suspects[:1] or left], share, ending, outcomes):
                deaths[place] += 1
                if deaths[place] == MOST_DEATHS:
                    outcomes[place] = Lost(KILLED)
        return outcomes

    def _run(
        self, numbered: Sequence[tuple[int, Part]], share: int, ending: Ending, outcomes: list[Outcome]
    ) -> list[int]:
        """Fill in what comes; returns the places of those that were under way when a process was killed."""
        begun: list[int] = []

        def list_calls() -> Iterator[Any]:
            for place, part in numbered:
                if ending.heard:
                    return
                begun.append(place)
                yield delayed(_call)(place, part)

        kind = parallel_config("loky", inner_max_num_threads=share)  # of the libraries beside torch
        count = min(self.count, len(numbered))
        parallel: Any = Parallel(n_jobs=count, pre_dispatch="n_jobs", return_as="generator_unordered")
        try:
            with kind:
                for place, values in parallel(list_calls()):
                    outcomes[place] = values
        except TerminatedWorkerError:
            return [place for place in begun if outcomes[place] is None]
        return []


def _call(place: int, part: Part) -> tuple[int, Values]:
    """In a process of joblib's. Whoever began this tells it by SIGTERM, once: between two parts there is nothing to
    end."""
    for number in ENDING:
        signal.signal(number, do_nothing if number == signal.SIGTERM else signal.SIG_IGN)
    return place, part()

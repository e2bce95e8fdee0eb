"""How far a sweep is, while it runs: `aeexp-report DIR --watch`. Of each run status.json alone is read, and again only
where it has changed."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, final

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aeexp.reports.plan import Swept, describe, is_planned, read_plan, read_words
from aeexp.runs import locks
from aeexp.runs.folder import UNREADABLE, RunFolder, find_runs

EVERY = 2.0  # seconds between two looks
REST = 9  # times as long as a look takes is waited for the next one at least
SHOWN = 12  # running jobs
RECENT = 20  # ended runs that the rate is taken of
CUT_OFF = "cut off"
ENDED = ("finished", "pruned", "failed", "interrupted", CUT_OFF, UNREADABLE)


@final
class Job(NamedTuple):
    """What is known of a run."""

    name: str
    state: str
    words: str  # what differs in it
    step: int
    steps: int | None
    best: float | None  # lowest monitored value so far
    began: datetime | None
    ended: datetime | None
    planned: bool = True  # of the sweep that was begun last, where an earlier one of other values lies beside it


@final
class Progress(NamedTuple):
    """Of all runs below a folder at one moment."""

    jobs: list[Job]
    planned: int | None  # None where nothing says how many there will be
    now: datetime
    quiet: float = math.inf  # seconds since anything changed

    @property
    def counts(self) -> Counter[str]:
        """Runs by state; `to come` are those that have no folder yet."""
        counts = Counter(job.state for job in self.jobs)
        counts["to come"] = max(0, (self.planned or 0) - sum(job.planned for job in self.jobs))
        return counts

    @property
    def left(self) -> float:
        """Runs that are not ended, those under way by what is left of them."""
        return self.counts["to come"] + sum(
            1 - job.step / job.steps if job.steps else 1.0 for job in self.jobs if job.state == "running"
        )

    @property
    def is_over(self) -> bool:
        """Whether nothing runs, and nothing more is to come: what was cut off or interrupted may be gone on with, so
        that it counts once all has been quiet for as long as a dead process is waited for."""
        counts = self.counts
        open_ended = sum(counts[state] for state in (CUT_OFF, "interrupted", UNREADABLE)) + counts["to come"]
        return not counts["running"] and (not open_ended or self.quiet > locks.STALE)

    def estimate(self) -> timedelta | None:
        """Time until all are through, at the rate of the last ones; None where none has ended yet."""
        ends = sorted(job.ended for job in self.jobs if job.ended is not None and job.state in ("finished", "pruned"))
        starts = [job.began for job in self.jobs if job.began is not None]
        if not ends or not starts:
            return None
        since = ends[-RECENT - 1] if len(ends) > RECENT else min(starts)
        try:
            return (self.now - since) / min(len(ends), RECENT) * self.left
        except OverflowError:
            return None

    def find_best(self) -> Job | None:
        """The run of the lowest monitored value so far."""
        known = [job for job in self.jobs if job.best is not None]
        return min(known, key=lambda job: job.best if job.best is not None else math.inf, default=None)


@final
class Watch:
    """The runs below `root`, read again at each look."""

    def __init__(self, root: Path):
        self.root = root
        self.planned: int | None = None
        self.swept: Swept = {}
        self._known: dict[Path, tuple[int, dict[str, Any]]] = {}
        self._words: dict[Path, tuple[str, bool]] = {}
        self._jobs: list[Job] = []
        self._changed = time.monotonic()

    def look(self) -> Progress:
        """How far it is now."""
        planned, swept = read_plan(self.root)  # another command may have begun
        if swept != self.swept:
            self._words = {}
        self.planned, self.swept = planned, swept
        jobs = [self._read(run) for run in find_runs(self.root)]
        if jobs != self._jobs:
            self._jobs, self._changed = jobs, time.monotonic()
        return Progress(jobs, self.planned, datetime.now().astimezone(), time.monotonic() - self._changed)

    def _read(self, run: RunFolder) -> Job:
        node = self._read_status(run)
        state = str(node.get("status", "running" if run.hydra.is_dir() else UNREADABLE))
        if state == "running" and not locks.is_held(run.checkpoints):
            state = CUT_OFF
        if run.path not in self._words and (overrides := read_words(run)):
            self._words[run.path] = describe(overrides, self.swept), is_planned(overrides, self.swept)
        words, planned = self._words.get(run.path, ("", True))
        step, steps, best = (_number(node.get(key)) for key in ("step", "steps", "best"))
        name = run.path.name if run.path == self.root else run.path.relative_to(self.root).as_posix()
        ended = None if state == "running" else _time(node.get("ended"))
        return Job(name, state, words, int(step or 0), int(steps) if steps else None, best,
                   _time(node.get("started")), ended, planned)  # fmt: skip

    def _read_status(self, run: RunFolder) -> dict[str, Any]:
        try:
            changed = run.status.stat().st_mtime_ns
            known = self._known.get(run.path)
            if known is None or known[0] != changed:
                known = self._known[run.path] = changed, run.read_status()
            return known[1]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            return {"status": UNREADABLE}


def show(progress: Progress, root: Path) -> Group:
    """The counts, the best so far, and what runs."""
    table = Table("run", "what differs", "step", "best so far", "since", box=box.SIMPLE, padding=(0, 1))
    running = [job for job in progress.jobs if job.state == "running"]
    for job in running[:SHOWN]:
        step = f"{job.step}/{job.steps}" if job.steps else "-"
        since = _clock(progress.now - job.began) if job.began else "-"
        table.add_row(*(Text(cell) for cell in (job.name, job.words, step, _value(job.best), since)))
    lines = [Text(f"{root}: {summarise(progress)}")]
    if (best := progress.find_best()) is not None:
        lines.append(Text(f"best so far {_value(best.best)}: {best.name}  {best.words}"))
    more = [Text(f"and {len(running) - SHOWN} more that run")] if len(running) > SHOWN else []
    return Group(*lines, *([table] if running else []), *more)


def summarise(progress: Progress) -> str:
    """The counts and the time that is left, in one line."""
    counts = progress.counts
    parts = [f"{counts['finished']} of {len(progress.jobs) + counts['to come']} finished"]
    parts += [f"{counts[state]} {state}" for state in ("running", *ENDED[1:], "to come") if counts[state]]
    if not progress.is_over and (left := progress.estimate()) is not None:
        parts.append(f"about {_clock(left)} left")
    return ", ".join(parts)


def watch(root: Path, console: Console, every: float = EVERY) -> None:
    """Until all is over: a table that is drawn anew on a terminal, elsewhere a line wherever the counts change."""
    looks = look_again(Watch(root), every)
    if not console.is_terminal:
        said: Mapping[str, int] = {}
        for progress in looks:
            if progress.counts != said:
                console.print(Text(summarise(progress)), soft_wrap=True)
                said = progress.counts
        return
    with Live(console=console, auto_refresh=False) as live:
        for progress in looks:
            live.update(show(progress, root), refresh=True)


def look_again(runs: Watch, every: float) -> Iterator[Progress]:
    """One look after another, the last when all is over."""
    while True:
        began = time.monotonic()
        progress = runs.look()
        took = time.monotonic() - began
        yield progress
        if progress.is_over:
            return
        time.sleep(max(every, REST * took))  # a look at ten thousand folders is work, on a network for others too


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone()
    except (TypeError, ValueError, OverflowError):
        return None


def _clock(duration: timedelta) -> str:
    seconds = max(0, round(duration.total_seconds()))
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

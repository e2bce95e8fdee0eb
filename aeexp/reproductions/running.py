"""A study's runs: one multirun for each arm, by the launcher at hand. What is finished is read, not trained."""

from __future__ import annotations

import fnmatch
import math
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aeexp.errors import INTERRUPTED, MISTAKE, UsageError, quote_words
from aeexp.reports.records import Failure, Record, read_run
from aeexp.reproductions.planning import Plan
from aeexp.reproductions.studies import PROGRAMS, Reading, Study
from aeexp.runs.folder import find_runs
from aeexp.runs.follow import follow_me
from aeexp.signals import let_finish

SPLITS = ("train", "val", "test")


def run_plan(plan: Plan, seeds: Sequence[int]) -> None:
    """All its command lines, whose words go to stderr; an arm whose runs are finished is passed over.

    A line that fails hides no other; what it lacks is told by `read_values`. Raises UsageError where a line is a
    mistake, and KeyboardInterrupt where it was ended.
    """
    left = [step for step in plan.steps if step.arm and len(read_arm(step.folder, seeds)) < len(seeds)]
    for number, step in enumerate(plan.steps, 1):
        head = f"[{number}/{len(plan.steps)}] {step.arm or 'before the others'}: "
        if step not in left and (step.arm or not left):
            print(f"{head}finished, in {step.folder}", file=sys.stderr)
            continue
        print(f"{head}{quote_words(*step.line)}", file=sys.stderr, flush=True)
        code = call(step.line)
        if code in (INTERRUPTED, -signal.SIGINT, -signal.SIGTERM):
            raise KeyboardInterrupt
        if code == MISTAKE:
            raise UsageError(f"{plan.study.name}: {step.line[0]} refuses this line, for what it says above")
        if code and not step.arm:
            print(f"{head}failed, and the others would lack what it makes", file=sys.stderr)
            return


def call(line: Sequence[str]) -> int:
    """One command in a process of its own, which ends where this one does; its exit code."""
    process = subprocess.Popen(follow_me(PROGRAMS[line[0]], line[1:]), stdout=2)
    try:
        return process.wait()
    except KeyboardInterrupt:
        with let_finish():  # it writes its state and its last word
            process.terminate()
            process.wait()
        raise


def read_arm(folder: Path, seeds: Sequence[int]) -> dict[int, Record]:
    """The finished runs of an arm by their seeds."""
    found = {}
    for run in find_runs(folder) if folder.is_dir() else ():
        record = read_run(run)
        if isinstance(record, Record) and (seed := record.config.get("seed")) in seeds:
            found[seed] = record
    return found


def read_values(plan: Plan, seeds: Sequence[int]) -> tuple[dict[str, dict[int, float]], list[str]]:
    """Each arm's numbers by seed, in the study's unit; and what gave none."""
    values: dict[str, dict[int, float]] = {}
    failures = []
    steps = {step.arm: step for step in plan.steps if step.arm}
    runs = {arm: read_arm(step.folder, seeds) for arm, step in steps.items()}
    for name in plan.study.measured(plan.form):
        reading = plan.study.readings.get(name) or Reading(name)
        number = reading.number or plan.number
        values[name] = dict(_convert(plan.study, runs[reading.of], number, reading.place))
        for seed in seeds:
            if seed not in values[name]:
                failures.append(f"{name}, seed {seed}: {_tell(steps[reading.of].folder, seed)}")
    return values, failures


def _convert(study: Study, records: Mapping[int, Record], number: str, place: str) -> Iterator[tuple[int, float]]:
    for seed in sorted(records):
        found = find_number(records[seed].metrics, number, place)
        if found is not None:
            yield seed, 100 * (1 - found.value) if study.convert == "percent_wrong" else found.value


class Found(NamedTuple):
    """A number of metrics.json."""

    key: str  # its whole name
    value: float


def find_number(metrics: Mapping[str, Any], key: str, place: str = "test") -> Found | None:
    """A finite number of a split, or of a row of `baseline`; its key may hold a *."""
    numbers = (metrics if place in SPLITS else metrics.get("baseline") or {}).get(place) or {}
    found = key if key in numbers else next((known for known in numbers if fnmatch.fnmatchcase(known, key)), key)
    value = numbers.get(found)
    return Found(found, float(value)) if value is not None and math.isfinite(value) else None


def _tell(folder: Path, seed: int) -> str:
    """What became of a run that gave no number."""
    for run in find_runs(folder) if folder.is_dir() else ():
        record = read_run(run)
        if isinstance(record, Failure):
            try:
                if run.read_config().get("seed") == seed:
                    return f"{record.status}: {record.message}"
            except (OSError, ValueError):
                continue
        elif record.config.get("seed") == seed:
            return "it did not measure this number"
    return "it was not run"


def read_cost(plan: Plan) -> tuple[float, dict[str, str]]:
    """Hours of all runs, and the versions that the last one of them had."""
    seconds, versions = 0.0, {}
    for folder in dict.fromkeys(step.folder for step in plan.steps):
        for run in find_runs(folder) if folder.is_dir() else ():
            record = read_run(run)
            if isinstance(record, Record):
                timing = record.metrics.get("timing") or {}
                # a run that was gone on with counts its training in all, and the rest of its last try
                seconds += max(timing.get("total_seconds", 0.0), timing.get("fit_seconds", 0.0))
                versions = dict(record.status.get("versions") or {})
                commit = record.status.get("git_commit")
                versions |= {"commit": str(commit)[:12]} if commit else {}
    return seconds / 3600, versions

"""Runs of a sweep whose processes are killed: who has which, how far it is, and which of them a kill ended."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import psutil

from aeexp.runs import locks
from aeexp.runs.folder import RunFolder
from aeexp.trainers.checkpoint import load


class Work(NamedTuple):
    """A run that a process has and that is not measured yet, and the step that another process would go on from."""

    run: RunFolder
    variant: str
    step: int


def find_owners(root: Path) -> set[int]:
    """Processes that have a run folder."""
    return {pid for path in root.glob(f"*/checkpoints/{locks.NAME}") if (pid := locks.read_owner(path).get("pid"))}


def read_work(root: Path) -> dict[int, Work]:
    """Of each process that lives and has a run folder."""
    found = {}
    for path in root.glob(f"*/checkpoints/{locks.NAME}"):
        pid, run = locks.read_owner(path).get("pid"), RunFolder(path.parents[1])
        if pid and _lives(pid) and (run.hydra / "overrides.yaml").exists() and not run.metrics.exists():
            (variant,) = (word for word in run.read_overrides() if word.startswith("variant="))
            found[pid] = Work(run, variant.removeprefix("variant="), read_step(run.last) if run.last.exists() else 0)
    return found


def read_step(path: Path) -> int:
    """Of a checkpoint, through all stages of its run."""
    saved = load(path)
    return saved["progress"]["step"] + saved.get("stage", {}).get("past", {}).get("steps", 0)


def name_hit(work: dict[int, Work]) -> str:
    """Which of them ended by a kill of a moment ago, and not by their own end, and where they were."""
    time.sleep(2.5)  # in which one whose other rank, or whose command, is gone ends
    hit = [each for pid, each in work.items() if not _lives(pid) and not each.run.metrics.exists()]
    return ", ".join(f"{each.variant} at step {each.step}" for each in hit) or "no run"


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

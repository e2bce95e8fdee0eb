"""A sweep on some launcher of which one job is killed, one preempted and one diverges; and the same command again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from commands import ROOT
from composing import on_digits

from aeexp.files import read_json
from aeexp.runs import locks

KILLED, PREEMPTED = 1, 2


def make_words(jobs: int, steps: int = 1500) -> list[str]:
    """So many jobs that end, the last of them by NaN; each saves a state several times a second."""
    rates = [*(f"{0.001 + 0.0001 * place:.4f}" for place in range(jobs - 1)), "1e30"]
    return ["optimizer.lr=" + ",".join(rates), f"trainer.steps={steps}", "trainer.validate_every_steps=100",
            "trainer.checkpoint_seconds=0.2", "threads=1", "plot=none", "metric=reconstruction"]  # fmt: skip


def start(root: Path, *words: str) -> subprocess.Popen[str]:
    """The command, in the background."""
    line = [sys.executable, "-m", "aeexp", "-m", *on_digits(words), f"hydra.sweep.dir={root}"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(line, cwd=root.parent, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(command: subprocess.Popen[str], seconds: float = 400) -> tuple[int, str]:
    """Exit code and output."""
    try:
        output, _ = command.communicate(timeout=seconds)
    finally:
        command.kill()
    return command.returncode, output


def wait_for(condition: Callable[[], Any], seconds: float = 300) -> Any:
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.05)
    return value


def find_trainer(root: Path, number: int) -> int:
    """The process that trains a job, once it has saved a state."""
    folder = root / str(number) / "checkpoints"
    return wait_for(lambda: (folder / "last.pt").is_file() and locks.read_owner(folder / locks.NAME).get("pid"))


def disturb(root: Path) -> None:
    """Kill one job, and tell another that its machine is about to be taken away."""
    os.kill(find_trainer(root, KILLED), signal.SIGKILL)
    os.kill(find_trainer(root, PREEMPTED), signal.SIGUSR2)


def read_states(root: Path, jobs: int) -> list[str]:
    return [read_json(root / str(number) / "status.json")["status"] for number in range(jobs)]


def read_finished(root: Path) -> dict[int, tuple[str, dict[str, float]]]:
    """When each finished run ended, and its test numbers."""
    found = {}
    for path in root.glob("*/status.json"):
        status = read_json(path)
        if status["status"] == "finished":
            metrics = json.loads((path.parent / "metrics.json").read_text(encoding="utf-8"))
            found[int(path.parent.name)] = status["ended"], metrics["test"]
    return found


def run_twice(root: Path, launcher: Sequence[str], jobs: int) -> tuple[list[str], list[str]]:
    """What the two commands printed; asserts that each job that can finish did so, and none twice."""
    words = [*launcher, *make_words(jobs)]
    command = start(root, *words)
    disturb(root)
    code, first = finish(command)
    assert code in (1, 130), first  # of the jobs that failed, or of one that was interrupted
    before = read_finished(root)
    assert before.keys() >= set(range(jobs - 1)) - {KILLED, PREEMPTED}, first
    code, second = finish(start(root, *words))
    assert code == 1, second  # of the one that diverges
    after = read_finished(root)
    assert after.keys() == set(range(jobs - 1)), second
    assert {number: after[number] for number in before} == before, "none that was finished is done again"
    return first.splitlines(), second.splitlines()

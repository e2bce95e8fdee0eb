"""A sweep of twelve of which one job is killed, one preempted and one diverges; then the same command again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aeexp.files import read_json
from aeexp.runs import locks

RATES = [*(round(0.001 + 0.0001 * place, 4) for place in range(11)), 1e30]
KILLED, PREEMPTED, DIVERGES = 2, 5, 11
WORDS = [
    "optimizer.lr=" + ",".join(map(str, RATES)), "trainer.steps=1500", "trainer.validate_every_steps=100",
    "trainer.checkpoint_seconds=0.5", "threads=1", "plot=none", "metric=reconstruction",
]  # fmt: skip


def start(launcher: Sequence[str], root: Path, words: Sequence[str] = WORDS) -> subprocess.Popen[str]:
    """The command, in the background."""
    line = [sys.executable, "-m", "aeexp", "-m", *launcher, *words, f"hydra.sweep.dir={root}"]
    return subprocess.Popen(line, cwd=root.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(command: subprocess.Popen[str], seconds: float = 300) -> tuple[int, str]:
    """Exit code and output."""
    output, _ = command.communicate(timeout=seconds)
    return command.returncode, output


def read_status(root: Path, number: int) -> dict[str, Any]:
    try:
        return read_json(root / str(number) / "status.json")
    except (OSError, ValueError):
        return {}


def wait_for(condition, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.05)


def find_trainer(root: Path, number: int) -> int:
    """The process that trains a job, once it has saved a state."""
    folder = root / str(number) / "checkpoints"
    wait_for(lambda: (folder / "last.pt").is_file() and locks.read_owner(folder / locks.NAME).get("pid"))
    return locks.read_owner(folder / locks.NAME)["pid"]


def disturb(root: Path) -> None:
    """Kill one job and tell another that its machine is about to be taken away."""
    os.kill(find_trainer(root, KILLED), signal.SIGKILL)
    os.kill(find_trainer(root, PREEMPTED), signal.SIGUSR2)


def read_finished(root: Path) -> Iterator[tuple[int, str, dict[str, float]]]:
    """Number, when it ended, and test numbers of each finished run."""
    for number in range(len(RATES)):
        status = read_status(root, number)
        if status.get("status") == "finished":
            metrics = json.loads((root / str(number) / "metrics.json").read_text(encoding="utf-8"))
            yield number, status["ended"], metrics["test"]

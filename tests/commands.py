"""The commands as a person types them, each in a process of its own.

`aeexp` and `command` fork one that has imported what a run needs; `fresh` starts the interpreter anew, which takes
three seconds more: for what happens at a start, where PYTHONPATH brings other modules, and where the command begins
processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from composing import on_digits

ROOT = Path(__file__).resolve().parents[1]


QUICK = ["threads=1", "plot=none", "metric=none", "trainer.epochs=1"]
TRAIN = "aeexp.cli.train"
BEGINNING = ("hydra/launcher=", "trainer.processes=", "dataset.workers=")  # what begins processes: not from a fork


def aeexp(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """On the digits, where the words name no data."""
    return command(TRAIN, *on_digits(words), cwd=cwd, **env)


def command(module: str, *words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """`python -m module words...`; `env` beside the variables of this process, PYTHONPATH instead of the checkout."""
    begins = any(word.lstrip("+").startswith(BEGINNING) for word in words)
    if sys.platform == "win32" or "PYTHONPATH" in env or begins:  # has no forks; is for a start
        return fresh(module, *words, cwd=cwd, **env)
    import forked  # which reads this file's neighbours

    return forked.run(module, words, cwd, {**make_environment(), **env})


def fresh(module: str, *words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """As `command`, by a new interpreter."""
    return subprocess.run(
        [sys.executable, "-m", module, *words], cwd=cwd, capture_output=True, text=True, timeout=300,
        env={**make_environment(), **env},
    )  # fmt: skip


def make_environment() -> dict[str, str]:
    """This process's, apart from what the command, called in it, leaves for the processes of a launcher."""
    around = {key: value for key, value in os.environ.items() if key not in ("AEEXP_FULL_ERROR", "HYDRA_FULL_ERROR")}
    return {**around, "PYTHONPATH": str(ROOT)}

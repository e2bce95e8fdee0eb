"""The command as a person types it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from composing import on_digits

ROOT = Path(__file__).resolve().parents[1]


QUICK = ["threads=1", "plot=none", "metric=none", "trainer.epochs=1"]


def aeexp(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """On the digits, where the words name no data."""
    path = env.pop("PYTHONPATH", str(ROOT))
    # what the command, called in this process, leaves for the processes of a launcher
    around = {key: value for key, value in os.environ.items() if key not in ("AEEXP_FULL_ERROR", "HYDRA_FULL_ERROR")}
    return subprocess.run(
        [sys.executable, "-m", "aeexp", *on_digits(words)],
        cwd=cwd, capture_output=True, text=True, timeout=300, env={**around, "PYTHONPATH": path, **env},
    )  # fmt: skip

"""The command as a person types it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


QUICK = ["threads=1", "plot=none", "metric=none", "trainer.epochs=1"]


def aeexp(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    path = env.pop("PYTHONPATH", str(ROOT))
    return subprocess.run(
        [sys.executable, "-m", "aeexp", *words],
        cwd=cwd, capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": path, **env},
    )  # fmt: skip

"""The runs of a topic, each in a process of its own; what is finished is not trained again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from aeexp.errors import quote_words
from aeexp.lectures.topics import Topic
from aeexp.runs.folder import find_runs


def list_words(topic: Topic, folder: Path, overrides: Sequence[str] = ()) -> list[str]:
    """The overrides of a topic's command: its runs go into `folder`."""
    place = "sweep" if topic.sweeps else "run"
    return [f"experiment={topic.experiment}", *overrides, f"hydra.{place}.dir={folder}"]


def format_command(topic: Topic, overrides: Sequence[str] = ()) -> str:
    """As a person types it."""
    return f"aeexp {quote_words(f'experiment={topic.experiment}', *overrides)}"


def train_topic(topic: Topic, folder: Path, overrides: Sequence[str] = ()) -> str:
    """Train what is missing. Returns why a run failed, the last line of what it said; "" where all went well."""
    words = list_words(topic, folder, overrides)
    done = subprocess.run(
        [sys.executable, "-m", "aeexp", *words], capture_output=True, text=True, encoding="utf-8", errors="replace"
    )  # fmt: skip
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.returncode}"


def list_finished(topic: Topic, folder: Path) -> list[Path]:
    """The finished runs in a topic's folder."""
    return [run.path for run in find_runs(folder) if run.is_finished()]

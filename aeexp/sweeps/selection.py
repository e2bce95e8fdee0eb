"""Which runs of a multirun are shown side by side, and what each is called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aeexp.reports.grouping import REPEATS
from aeexp.runs.folder import RunFolder, find_runs

ASIDE = ("threads", "device", "dataset.root", "save_codes", "plot", "metric")  # no word on what was trained
MOST = 12  # runs that still can be read from the last row of a lecture hall
DPI = 200  # a tile of 28 pixels has 2.7 dots for each
SEED = 0  # of the codes, the same for every run


def find_drawn_runs(root: Path) -> list[RunFolder]:
    """Finished runs that were asked for figures, in the order of the jobs."""
    return [run for run in find_runs(root) if run.is_finished() and run.read_config().get("plot")]


def select_distinct(runs: Sequence[RunFolder]) -> dict[tuple[str, ...], RunFolder]:
    """The first run of each set of overrides; seeds and folds do not count."""
    first: dict[tuple[str, ...], RunFolder] = {}
    for run in runs:
        overrides = (override for override in run.read_overrides() if override.split("=")[0] not in REPEATS)
        first.setdefault(tuple(overrides), run)
    return first


def name_runs(runs: dict[tuple[str, ...], RunFolder]) -> tuple[list[tuple[str, RunFolder]], str]:
    """Each run with the overrides that not all share, and what all share of what they were trained on."""
    if not runs:
        return [], ""
    shared = set.intersection(*map(set, runs))
    titles = [(format_title(overrides, shared), run) for overrides, run in runs.items()]
    first = next(iter(runs))
    return titles, " ".join(word for word in first if word in shared and not word.startswith(ASIDE))


def format_title(overrides: Sequence[str], shared: set[str]) -> str:
    """What is said of one run beside others."""
    return "  ".join(override for override in overrides if override not in shared) or "defaults"


def read_data(run: RunFolder) -> dict[str, Any]:
    """What the run was measured on: the node `data` of metrics.json."""
    return run.read_metrics()["data"]

"""Which runs of a multirun are shown side by side, and what each is called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from aeexp.reference.parts import list_packages
from aeexp.reports.grouping import REPEATS
from aeexp.runs.folder import RunFolder, find_runs
from aeexp.runs.foreign import find_package

TYPED = re.compile(r"_target_['\"]?\s*[=:]\s*['\"]?(\w+)\.")  # the package of a part that was named on the command line
ASIDE = ("threads", "device", "dataset.root", "save_codes", "plot", "metric")  # no word on what was trained
MOST = 12  # runs that still can be read from the last row of a lecture hall
DPI = 200  # a tile of 28 pixels has 2.7 dots for each
SEED = 0  # of the codes, the same for every run


def list_composed(config: DictConfig) -> list[str]:
    """Packages whose parts a sweep was composed of: those of the user's folders of options, and what he typed. He has
    trained with them, so that his runs may be built of them again."""
    sources = [source.path for source in config.hydra.runtime.config_sources if source.schema == "file"]
    found = {package for folder in sources for package in list_packages(folder)}
    words = (str(word) for words in config.hydra.overrides.values() for word in words)
    found |= {name for word in words for name in TYPED.findall(word)}
    return sorted(package for package in found if find_package(f"{package}.X") == package and package != "torch")


def choose_shown(root: Path) -> tuple[list[tuple[str, RunFolder]], str]:
    """The first different runs below `root`, each with its title; what all share, and of how many these are."""
    runs = select_distinct(find_drawn_runs(root))
    titles, common = name_runs(dict(islice(runs.items(), MOST)))
    if len(runs) > MOST:
        common = f"{common}\nthe first {MOST} of {len(runs)} different runs".lstrip()
    return titles, common


def find_drawn_runs(root: Path) -> list[RunFolder]:
    """Finished runs that were asked for figures, in the order of the jobs."""
    return [run for run in find_runs(root) if run.is_finished() and asks_for_figures(run.read_config())]


def asks_for_figures(config: Mapping[str, Any]) -> bool:
    """Whether any figure is named, beside the keys of the group itself."""
    return any(isinstance(node, dict) for node in (config.get("plot") or {}).values())


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

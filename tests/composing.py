"""Compose a configuration as the command does, without the command."""

from __future__ import annotations

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from aeexp.reference.options import find_conf_dir
from aeexp.runs.folder import RunFolder
from aeexp.runs.run import execute_run
from aeexp.runs.status import Status

CONF = Path(find_conf_dir())


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


def run_in(folder: Path, *overrides: str) -> float:
    """One run in this process; nothing is drawn unless the overrides say so."""
    folder.mkdir(parents=True, exist_ok=True)
    given = [word for word in ("plot=none", "threads=1") if not any(o.startswith(word[:5]) for o in overrides)]
    run = RunFolder(folder)
    return execute_run(composed(*given, *overrides), run, Status(run), {"variant": "undercomplete"}, bar=False)

"""Compose a configuration as the command does, without the command."""

from __future__ import annotations

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from aeexp.reference.options import find_conf_dir
from aeexp.runs.claim import claim, identify
from aeexp.runs.folder import RunFolder
from aeexp.runs.run import execute_run

CONF = Path(find_conf_dir())


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


def run_in(folder: Path, *overrides: str) -> float:
    """One run in this process; nothing is drawn unless the overrides say so."""
    folder.mkdir(parents=True, exist_ok=True)
    given = [word for word in ("plot=none", "threads=1") if not any(o.startswith(word[:5]) for o in overrides)]
    cfg = composed(*given, *overrides)
    with claim(RunFolder(folder), identify(cfg)) as status:
        return execute_run(cfg, status, {"variant": "undercomplete"}, bar=False)

"""What a job of a multirun was asked for."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

from aeexp.reports.grouping import REPEATS


def overrides(folder: Path) -> list[str]:
    """A job's overrides but for those that only repeat it."""
    words = [str(word) for word in OmegaConf.load(folder / ".hydra" / "overrides.yaml")]
    return [word for word in words if word.split("=")[0] not in REPEATS]

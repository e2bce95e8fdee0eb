"""What came of a run, from its folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from aeexp.errors import UsageError
from aeexp.runs.folder import RunFolder
from aeexp.runs.values import suggestion


def read_outcome(folder: RunFolder, run_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Status and metrics; these are empty unless the run finished. What is missing or cut off, or another run's, is a
    run that failed."""
    try:
        status = folder.read_status()
        if status.get("run_id") not in (None, run_id):
            return {"status": "failed"}, {}
        return status, folder.read_metrics() if status["status"] == "finished" else {}
    except (OSError, ValueError, KeyError):
        return {"status": "failed"}, {}


def read_objectives(objectives: Sequence[str], metrics: dict, cfg: DictConfig) -> list[float] | None:
    """One value for each objective; None where one is no number. Raises UsageError for a key that is not there."""
    values = []
    for name in objectives:
        group, _, key = name.partition("/")
        if key:
            node = {key: value for key, value in metrics[group].items() if key != "stages"}
            node |= {f"stages/{key}": value for key, value in metrics[group].get("stages", {}).items()}  # of timing
            if key not in node:
                raise UsageError(f"hydra.sweeper.objectives: {name} was not measured{suggestion(key, node)}")
            value = node[key]
        elif name == "best":
            value = metrics["best"]
        else:
            value = OmegaConf.select(cfg, name)
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise UsageError(f"hydra.sweeper.objectives: {name} is no number of the configuration, but {value!r}")
        values.append(value)
    return values if all(v is not None and math.isfinite(v) for v in values) else None

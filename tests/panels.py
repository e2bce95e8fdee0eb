"""Run folders as the figures of a sweep read them."""

from __future__ import annotations

import json
from pathlib import Path


def describe_run(folder: Path, overrides, plots=("curves",)) -> Path:
    """Give a run's folder the overrides and the plots that it would have been started with."""
    (folder / ".hydra").mkdir(exist_ok=True)
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(overrides))
    (folder / ".hydra" / "config.yaml").write_text(json.dumps({"plot": {name: {} for name in plots}}))
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps({**status, "status": "finished"}))
    return folder

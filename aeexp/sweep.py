"""What a multirun says when it is through: a failed job never hides the others."""

from __future__ import annotations

import json
import logging
import shlex
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

log = logging.getLogger(__name__)


class Summary(Callback):
    """Counts the finished jobs of a sweep, names each other one with its last word, and sets the exit code."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        root = Path(config.hydra.sweep.dir)
        states = {path.parent: json.loads(path.read_text()) for path in sorted(root.rglob("status.json"))}
        others = {folder: state for folder, state in states.items() if state["status"] != "finished"}
        log.info("%d of %d runs finished: %s", len(states) - len(others), len(states), root)
        for folder, state in others.items():
            log.error("%s %s: %s", folder, state["status"], state["message"])
        log.info("tensorboard --logdir %s", shlex.quote(str(root)))
        if others:
            raise SystemExit(max(state["exit_code"] for state in others.values()) or 1)

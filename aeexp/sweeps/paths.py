"""Before anything else: whether the paths that a command line names are there."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, final

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aeexp.files import expand_home
from aeexp.runs.folder import RunFolder

PATHS = ("dataset.path", "dataset.test", "regularizer.perceptual.weights")
PATTERNS = "*?[{"  # several files by one text, which their loader finds


@final
class Paths(Callback):
    """Names a path that is missing while no run folder is made and torch is not loaded. A path that a sweep varies is
    left to its job, and a pattern or an address to the loader."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra. Raises SystemExit for a missing path: of other errors Hydra makes a warning."""
        if message := find_missing(config):
            print(message, file=sys.stderr)
            raise SystemExit(2)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """As for one run, of what all jobs share."""
        self.on_run_start(config)


def find_missing(config: DictConfig) -> str:
    """A message on the first path that is not there, "" of none."""
    for key in (*PATHS, "resume", "init.from"):
        try:
            value = OmegaConf.select(config, key)
        except OmegaConfBaseException:  # an interpolation that leads nowhere: told when the configuration is checked
            continue
        if not isinstance(value, str) or value in ("", "none", "???") or "://" in value or set(PATTERNS) & set(value):
            continue
        place = Path(expand_home(value))
        if key == "resume" and not RunFolder(place).is_begun():
            return f"resume={value} is no folder of a run: there is no {RunFolder(place.absolute()).last}"
        if key == "init.from" and not RunFolder(place).best.is_file():
            return f"init.from={value} is no folder of a trained run: there is no {RunFolder(place.absolute()).best}"
        if not os.path.lexists(place):
            return f"{key}={value}: no such file or folder (looked for {place.absolute()})"
    return ""

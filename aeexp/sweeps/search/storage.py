"""Where a study is kept, for the search and for its jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage


def open_storage(hydra_cfg: Any) -> BaseStorage:
    """The storage that Hydra's node asks for: by default study.db in the sweep's folder."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the search tells in its own words
    url = hydra_cfg.sweeper.storage or f"sqlite:///{find_sweep_folder(hydra_cfg) / 'study.db'}"
    # Jobs of several processes write: they wait for each other instead of failing at once.
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    return RDBStorage(url, engine_kwargs=options)


def find_sweep_folder(hydra_cfg: Any) -> Path:
    """The sweep's folder, absolute, wherever a job runs."""
    return Path(hydra_cfg.runtime.cwd) / hydra_cfg.sweep.dir

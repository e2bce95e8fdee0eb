"""Where a run keeps what baselines give, for other runs of the same rows."""

from __future__ import annotations

import os
from pathlib import Path

from aeexp.evaluation.cache import Cache
from aeexp.files import expand_home
from aeexp.runs.folder import RunFolder

VARIABLE = "AEEXP_CACHE"
FOLDER = "baselines"  # in there


def find_cache(folder: RunFolder | None = None) -> Cache:
    """In the folder that AEEXP_CACHE names, else in that of the sweep that this run of our own is a job of; else none.

    Leave `folder` out of another's run: where its sweep lies is what its files say.
    """
    if named := os.environ.get(VARIABLE):
        return Cache(Path(expand_home(named)).absolute() / FOLDER)
    sweep = None if folder is None else folder.read_sweep()
    return Cache() if sweep is None else Cache(sweep[0] / FOLDER)

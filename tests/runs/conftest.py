"""A run whose checkpoint says what a stranger wants it to say."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from composing import composed, run_in

from aeexp.runs.config import check
from aeexp.runs.folder import RunFolder

WORDS = ("variant=vae", "noise=gaussian", "metric=[probe,robustness]", "trainer.epochs=1", "dataset.limit=200")


@pytest.fixture(scope="session")
def honest_run(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs") / "run"
    run_in(folder, *WORDS)
    return folder


@pytest.fixture(scope="module")
def asked():
    """What aeexp-evaluate is asked for."""
    cfg = composed("metric=[probe]", "plot=none")
    check(cfg)
    return cfg, composed("metric=[probe]", "plot=none")


@pytest.fixture
def hostile(honest_run, tmp_path, monkeypatch) -> Callable[[Callable[[dict], object]], RunFolder]:
    """hostile(change): a copy of the run whose best.pt holds what `change` makes of it. Relative paths are here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "planted_canary.py").write_text("open('imported', 'w').close()\ndef run(*args, **kwargs): pass\n")
    monkeypatch.syspath_prepend(tmp_path)

    def make(change: Callable[[dict], object]) -> RunFolder:
        shutil.copytree(honest_run, tmp_path / "run", ignore=shutil.ignore_patterns("tensorboard", "figures"))
        saved = torch.load(honest_run / "checkpoints/best.pt", weights_only=True)
        change(saved)
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(100_000)
        try:
            torch.save(saved, tmp_path / "run/checkpoints/best.pt")
        finally:
            sys.setrecursionlimit(limit)
        return RunFolder(tmp_path / "run")

    return make

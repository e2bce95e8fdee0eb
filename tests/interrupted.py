"""Runs that are stopped, and what they leave."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from aeexp.runs.folder import RunFolder, find_runs
from aeexp.trainers.checkpoint import load


def same(a, b) -> bool:
    """Equal bit for bit, through dicts and lists."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def files_of(folder) -> dict:
    """Both files without the clock."""
    content = {name: load(folder / f"{name}.pt") for name in ("last", "best")}
    for saved in content.values():
        del saved["progress"]["seconds"]
    return content


def outcome(folder: Path) -> dict[str, Any]:
    """What a run leaves, without the clock."""
    run = RunFolder(folder)
    metrics = run.read_metrics()
    return {
        **without_clock(files_of(run.checkpoints)), "history": run.history.read_text(), **metrics, "timing": None,
    }  # fmt: skip


def without_clock(node: Any) -> Any:
    """The same without what earlier stages of a run took."""
    return {k: without_clock(v) for k, v in node.items() if k != "seconds"} if isinstance(node, dict) else node


def check_whole(where: Path, states: Collection[str] = ("running", "finished")) -> None:
    """A file that is there is whole, and each run in one of these states."""
    for run in find_runs(where):
        if run.status.exists():
            assert run.read_status()["status"] in states
        if run.metrics.exists():
            run.read_metrics()
        for path in (run.last, run.best):
            if path.exists():
                assert load(path)


def stops_after(steps):
    count = itertools.count(1)
    return lambda: next(count) == steps

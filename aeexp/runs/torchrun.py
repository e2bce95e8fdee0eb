"""Which of torchrun's processes this is. Without torch: the command line asks."""

from __future__ import annotations

import os


def read_torchrun() -> tuple[int, int] | None:
    """Rank and number of the processes that torchrun began; None without it."""
    size = int(os.environ.get("WORLD_SIZE") or 1)
    return (int(os.environ["RANK"]), size) if size > 1 and "RANK" in os.environ else None


def count_neighbours(processes: int) -> int:
    """Processes of this machine that train one model: torchrun's, or as many as the run begins."""
    told = read_torchrun()
    return processes if told is None else int(os.environ.get("LOCAL_WORLD_SIZE") or told[1])


def follows_torchrun() -> bool:
    """Whether torchrun began this process beside a first one, which has the run."""
    told = read_torchrun()
    return told is not None and told[0] > 0

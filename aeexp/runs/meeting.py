"""How the processes of a run find each other, and what of the machine each has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from omegaconf import DictConfig
from torch import distributed

from aeexp.errors import UsageError
from aeexp.runs.torchrun import read_torchrun
from aeexp.trainers.ranks.group import Group

LONGEST = timedelta(minutes=30)  # that a process waits for the others


def meet(device: torch.device, place: str = "env://", rank: int = -1, size: int = -1) -> None:
    """All processes find each other; those of torchrun once for all runs of a sweep."""
    if device.type == "cuda":
        choose_gpu(rank)
    if not distributed.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, init_method=place, rank=rank, world_size=size, timeout=LONGEST)


def choose_gpu(rank: int) -> None:
    """Each process of a machine has its own. Raises UsageError where there are fewer."""
    place = int(os.environ.get("LOCAL_RANK") or 0) if read_torchrun() else rank
    if place >= torch.cuda.device_count():
        raise UsageError(
            f"trainer.processes: there are {torch.cuda.device_count()} GPUs here, and each process needs its own: take "
            "as many, or device=cpu"
        )
    torch.cuda.set_device(place)


@contextmanager
def use_share(cfg: DictConfig, group: Group) -> Iterator[None]:
    """Of the machine's threads each process has its share, unless `threads` says otherwise."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE") or group.size) if read_torchrun() else group.size
    before = torch.get_num_threads()
    if group.size > 1 and cfg.get("threads") is None:
        torch.set_num_threads(max(1, before // here))
    try:
        yield
    finally:
        torch.set_num_threads(before)

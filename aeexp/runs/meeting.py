"""How the processes of a run find each other, and what of the machine each has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from omegaconf import DictConfig
from torch import distributed

from aeexp.trainers.ranks.group import Group

LONGEST = timedelta(minutes=30)  # that a process waits for the others


def meet(device: torch.device, place: str = "env://", rank: int = -1, size: int = -1) -> None:
    """All processes find each other; those of torchrun once for all runs of a sweep."""
    if not distributed.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, init_method=place, rank=rank, world_size=size, timeout=LONGEST)


@contextmanager
def use_share(cfg: DictConfig, group: Group) -> Iterator[None]:
    """Of the machine's threads and GPUs each process has its share, unless `threads` says otherwise."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE") or group.size)
    before = torch.get_num_threads()
    if group.size > 1 and cfg.get("threads") is None:
        torch.set_num_threads(max(1, before // here))
    if group.size > 1 and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK") or group.rank) % torch.cuda.device_count())
    try:
        yield
    finally:
        torch.set_num_threads(before)

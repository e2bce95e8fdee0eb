"""Data that several runs of one process train on: loaded once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from omegaconf import DictConfig

from aeexp.datasets.core.data import Data, Residency
from aeexp.runs.config import make, to_dict
from aeexp.runs.torchrun import count_neighbours

_KEPT: ContextVar[dict[str, Data] | None] = ContextVar("_KEPT", default=None)


@contextmanager
def share_data() -> Iterator[None]:
    """Inside, runs whose `dataset` is the same word for word have the same rows in memory."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def load_data(cfg: DictConfig, device: torch.device, residency: Residency | None = None) -> Data:
    """The rows of a run, where they are to lie: where another process of the run has them, if that is said."""
    kept, processes = _KEPT.get(), count_neighbours(cfg.trainer.get("processes", 1))
    if kept is None:
        data: Data = make(cfg, "dataset")
        data.residency = residency or data.residency
        return data.place(device, processes)
    key = json.dumps([to_dict(cfg.dataset), str(device)], sort_keys=True)
    if key not in kept:
        kept[key] = make(cfg, "dataset").place(device, processes)
    return kept[key]

"""A process that trains along: it has the first one's data, model and steps, and leaves nothing."""

from __future__ import annotations

import logging
import math
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import distributed

from aeexp import files
from aeexp.datasets.core.data import Residency
from aeexp.runs.build import choose_device
from aeexp.runs.config import make, to_dict
from aeexp.runs.folder import RunFolder
from aeexp.runs.machine import use_machine
from aeexp.runs.meeting import meet, use_share
from aeexp.runs.origin import find_origin
from aeexp.runs.preparing import load_data_and_learner, make_trainer, open_store
from aeexp.runs.torchrun import read_torchrun
from aeexp.runs.training import fit
from aeexp.runs.warm_start import start_from
from aeexp.signals import ENDING
from aeexp.trainers.contracts import Tracker, Training
from aeexp.trainers.ranks.group import Group
from aeexp.trainers.window import Diverged


def run_rank(given: Mapping[str, Any], group: Group, folder: str, place: Path, residency: Residency) -> None:
    """What `trainer.processes` begins. The first one is told by signals, and all agree on the end; this one says in a
    file why it ended before."""
    for number in ENDING:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    logging.disable(logging.WARNING)

    def join(device: torch.device) -> None:
        (place / f"ready-{group.rank}").touch()
        meet(device, f"file://{place}/meet", group.rank, group.size)

    try:
        train_along(OmegaConf.create(dict(given)), group, RunFolder(folder), join, residency)
    except (KeyboardInterrupt, Diverged):  # which the first one says
        return
    except BaseException as error:
        files.write_text(place / f"said-{group.rank}", f"{type(error).__name__}: {error}")
        sys.exit(1)


def follow_torchrun(cfg: DictConfig) -> float:
    """The job of a process of torchrun that is not the first one, which says where the run lies, or that there is none
    to train."""
    told = read_torchrun()
    assert told is not None
    meet(choose_device(cfg.device))
    said: list[Any] = ["", ""]
    distributed.broadcast_object_list(said, src=0)
    if said[0]:
        try:
            train_along(cfg, Group(*told), RunFolder(said[0]), lambda device: None, said[1])
        except (KeyboardInterrupt, Diverged):  # which the first one says
            return math.nan
    return math.nan


def train_along(
    cfg: DictConfig, group: Group, folder: RunFolder, join: Callable[[torch.device], None], residency: Residency
) -> None:
    """All of a run but what it leaves; `join` is called when everything is ready, and `residency` is where the first
    process has its rows."""
    config = to_dict(cfg)
    with use_share(cfg, group), use_machine(cfg) as device:
        data, learner = load_data_and_learner(cfg, device, residency)
        trainer = make_trainer(cfg)
        start_from(config, learner, data, trainer)
        store = open_store(folder, config, find_origin(config), data, trainer.checkpoint_seconds)
        store.folder = None  # nothing is written
        parts = make(cfg, "optimizer"), make(cfg, "scheduler")
        join(device)
        trainer.group = group
        fit(Training(trainer, learner, data, *parts, store, Tracker(), cfg.seed))

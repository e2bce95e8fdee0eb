"""One run from configuration to run folder: load, build, train, evaluate, draw, tell."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig, OmegaConf

from aeexp.datasets.core.data import Data
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.models.learner import Learner
from aeexp.runs import build
from aeexp.runs.config import check, make
from aeexp.runs.folder import run_id
from aeexp.runs.machine import interruptible, machine
from aeexp.runs.results import evaluate, save_codes, table, write_metrics
from aeexp.runs.status import Status
from aeexp.runs.tracking import Tracker, hyperparameters
from aeexp.trainers.checkpoint import Progress, Store

if TYPE_CHECKING:
    pass
from aeexp.runs.figures import show

log = logging.getLogger(__name__)

LARGE = 100.0  # a value that networks do not start well from


def run(
    cfg: DictConfig, folder: Path, status: Status, choices: Mapping[str, Any], alone: bool,
    follow: Callable[[Progress], None] | None = None,
) -> float:  # fmt: skip
    """Leave a complete run folder and return the lowest monitored value.

    `choices` names the option of each group, for the HParams table; `alone` is false within a multirun. `follow` is
    told at each validation where the run stands, and may raise to end it.
    """
    began = time.perf_counter()
    check(cfg)
    config = OmegaConf.to_container(cfg)
    identity = run_id(config)
    if status.finished:
        return return_finished(status.finished, identity, folder)
    status.update(run_id=identity)
    data, learner = loaded(cfg, machine(cfg))
    untrained = copy.deepcopy(learner.model)
    store = opened(folder, config, identity, data)

    def validated(progress: Progress) -> None:
        status.update(step=progress.step)
        if follow is not None:
            follow(progress)

    track = Tracker(folder, hyperparameters(config, choices), bar=alone, on_step=validated)
    finished = False
    try:
        optimizer, scheduler, measures, plots = (make(cfg, k) for k in ("optimizer", "scheduler", "metric", "plot"))
        with interruptible() as stop:
            progress = make(cfg, "trainer").fit(learner, data, optimizer, scheduler, store, track, cfg.seed, stop)
        track.close_bar()
        result = Run(learner, data, progress.history, untrained)
        metrics = evaluate(cfg, measures, result, track, progress)
        keep(store, result)
        if cfg.save_codes:
            save_codes(folder, result)
        # Numbers first: a figure that fails must not take them along.
        write_metrics(folder, metrics, progress, began)
        show(plots, result, track, folder)
        write_metrics(folder, metrics, progress, began)
        finished = True
    finally:
        track.close(finished)
    status.update(step=progress.step)
    status.end("finished")
    log.info(table(metrics, learner.model.latent.dim, folder))
    return progress.best


def return_finished(finished: Mapping[str, Any], identity: str, folder: Path) -> float:
    """What a finished run returned; raises UsageError where its folder holds another one's."""
    if finished["run_id"] != identity:
        raise UsageError(
            f"hydra.run.dir={folder} holds a finished run of another configuration (id {finished['run_id']}, "
            f"this one {identity}): choose another hydra.run.dir, or leave it out"
        )
    log.info("%s is finished already: nothing to do", folder)
    return finished["best"]


def opened(folder: Path, config: Mapping[str, Any], identity: str, data: Data) -> Store:
    """The run's checkpoints, those of an earlier try or of `resume` loaded."""
    header = {"run_id": identity, "config": config, "facts": data.facts._asdict(), "fingerprint": data.fingerprint,
              "data": data.account}  # fmt: skip
    store = Store(folder / "checkpoints", header)
    if config["resume"] or (folder / "checkpoints" / "last.pt").is_file():
        store.resume(Path(config["resume"] or folder) / "checkpoints")
    return store


def loaded(cfg: DictConfig, device: torch.device) -> tuple[Data, Learner]:
    """Data and the untrained learner on the device, with a word on each thing that a user may not expect."""
    data = make(cfg, "dataset").place(device)
    torch.manual_seed(cfg.seed)
    learner = build.build_learner(cfg, data.facts)
    if not learner.task.masks:  # masks are checked where the model is built
        learner.model.likelihood.check(*data.limits, data.step)
    learner.to(device)
    rows = " + ".join(f"{len(split)} {name}" for name, split in data.splits.items())
    where = f"{data.describe_placement()} ({'chosen by size' if cfg.dataset.residency == 'auto' else 'as asked'})"
    log.info("%s: %s rows of shape %s, %s; device %s", data.name, rows, tuple(data.shape), where, device)
    if max(map(abs, data.limits)) > LARGE:
        words = "values run from %.4g to %.4g: dataset.scale=unit or dataset.standardise=true would bring them near 1"
        log.info(words, *data.limits)
    if not data.is_labelled:
        log.info("%s has splits without labels: probes and colours are left out", data.name)
    return data, learner


def keep(store: Store, result: Run) -> None:
    """best.pt: the best state, with what its latent takes from the training codes."""
    result.model.fit_codes(torch.from_numpy(result.codes("train")).to(result.device))
    store.best["learner"] = result.learner.state_dict()
    store.save_best()

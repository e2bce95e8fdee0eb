"""One run from configuration to run folder: load, build, train, evaluate, draw, tell."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from aeexp import build, files
from aeexp.config import check, make
from aeexp.data.data import Data
from aeexp.errors import require
from aeexp.evaluate import Run
from aeexp.identity import hyperparameters, run_id
from aeexp.machine import interruptible, machine
from aeexp.measures import Metric, baselines, measure
from aeexp.objectives import Learner
from aeexp.projector import projection
from aeexp.status import Status
from aeexp.summary import table
from aeexp.tracking import Tracker
from aeexp.training.checkpoint import Progress, Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aeexp.types import Animation

log = logging.getLogger(__name__)

Plot = Callable[[Run], dict[str, "Figure | Animation"]]

LARGE = 100.0  # a value that networks do not start well from


class Undrawn(RuntimeError):
    """The run is trained and measured, but a figure of it could not be drawn."""


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
        require(
            status.finished["run_id"] == identity,
            f"hydra.run.dir={folder} holds a finished run of another configuration (id {status.finished['run_id']}, "
            f"this one {identity}): choose another hydra.run.dir, or leave it out",
        )
        log.info("%s is finished already: nothing to do", folder)
        return status.finished["best"]
    status.update(run_id=identity)
    device = machine(cfg)
    data, learner = loaded(cfg, device)
    untrained = copy.deepcopy(learner.model)
    facts = data.facts._asdict()
    header = {"run_id": identity, "config": config, "facts": facts, "fingerprint": data.fingerprint,
              "data": data.account}  # fmt: skip
    store = Store(folder / "checkpoints", header)
    if cfg.resume or (folder / "checkpoints" / "last.pt").is_file():
        store.resume(Path(cfg.resume or folder) / "checkpoints")

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
        learner.model.fit_codes(torch.from_numpy(result.codes("train")).to(device))
        store.best["learner"] = learner.state_dict()
        store.save_best()
        if cfg.save_codes:
            save_codes(folder, result)
        # Numbers first: a figure that fails must not take them along.
        write_metrics(folder, metrics, progress, began)
        failed = draw(plots, result, lambda name, figure: track.figure(name, figure, progress.best_step))
        if plots:
            track.projector(*projection(result), progress.best_step)
        way = f"metrics.json is written; the same command with hydra.run.dir={folder} draws again"
        if failed:
            raise Undrawn(f"{'; '.join(failed)}\n{way}")
        write_metrics(folder, metrics, progress, began)
        finished = True
    finally:
        track.close(finished)
    status.update(step=progress.step)
    status.end("finished")
    log.info(table(metrics, learner.model.latent.dim, folder))
    return progress.best


def loaded(cfg: DictConfig, device: torch.device) -> tuple[Data, Learner]:
    """Data and the untrained learner on the device, with a word on each thing that a user may not expect."""
    data = make(cfg, "dataset").place(device)
    torch.manual_seed(cfg.seed)
    learner = build.learner(cfg, data.facts)
    if not hasattr(learner.task, "predicted"):  # masks are checked where the model is built
        learner.model.likelihood.check(*data.limits, data.step)
    learner.to(device)
    rows = " + ".join(f"{len(split)} {name}" for name, split in data.splits.items())
    where = f"{data.placement()} ({'chosen by size' if cfg.dataset.residency == 'auto' else 'as asked'})"
    log.info("%s: %s rows of shape %s, %s; device %s", data.name, rows, tuple(data.shape), where, device)
    if max(map(abs, data.limits)) > LARGE:
        words = "values run from %.4g to %.4g: dataset.scale=unit or dataset.standardise=true would bring them near 1"
        log.info(words, *data.limits)
    if not data.labelled:
        log.info("%s has splits without labels: probes and colours are left out", data.name)
    return data, learner


def evaluate(
    cfg: DictConfig, metrics: Mapping[str, Metric], result: Run, track: Tracker, progress: Progress
) -> dict[str, Any]:
    """The content of metrics.json but for the timing; the numbers go to the tracker as well."""
    values: dict[str, Any] = {
        "monitor": f"val/{(cfg.trainer.get('finetune') or cfg.trainer).get('monitor', 'loss')}",
        "best": progress.best,
        "best_step": progress.best_step,
        "best_epoch": progress.best_epoch,
    }
    rows = list(progress.history)
    for split in ("val", "test"):
        values[split] = finite(measure(result, metrics, split))
        # in the history and in TensorBoard a term has the name that it had in training
        named = {k.removeprefix("loss/"): v for k, v in values[split].items() if v is not None}
        track.final(split, named, progress.best_step)
        row = {"step": progress.best_step, "epoch": float(progress.best_epoch), "split": split}
        rows.append({**row, **named})
    track.write_history(rows)
    # no row of the history: there `train` means the steps of training, with their noise
    values["train"] = result.trained = finite(measure(result, metrics, "train"))
    result.best_step = progress.best_step
    values["baseline"] = {name: finite(row) for name, row in baselines(result, metrics).items()}
    values["data"] = described(result)
    return values


def draw(plots: Mapping[str, Plot], result: Run, show: Callable[[str, Figure], None]) -> list[str]:
    """Every figure that can be drawn goes to `show` by its name; what was told of each that cannot."""
    failed = []
    left = [name for name, plot in plots.items() if result.segments and getattr(plot, "of_pictures", False)]
    if left:
        log.info("plot=[%s] left out: the target is a mask, and what a code decodes to is no picture", ",".join(left))
        plots = {name: plot for name, plot in plots.items() if name not in left}
    for option, plot in plots.items():
        try:
            for name, figure in plot(result).items():
                show(name, figure)
        except Exception as error:  # told here with its traceback, and again at the end
            log.exception("plot=%s failed", option)
            failed.append(f"plot={option} failed: {type(error).__name__}: {error}")
    return failed


def described(result: Run) -> dict[str, Any]:
    """What the numbers were measured on; `sample` where codes and probes saw a part of a split only."""
    data, node = result.data, {}
    rows = {name: len(split) for name, split in data.splits.items()}
    sampled = {name: len(result.rows(name)) for name in rows if len(result.rows(name)) < rows[name]}
    if sampled:
        node["sample"] = sampled
    if data["train"].y is not None:
        node["labelled"] = {name: int((split.y >= 0).sum()) for name, split in data.splits.items()}
    node |= {"shape": list(data.shape), "limits": list(data.limits), "residency": data.residency}
    return {"name": data.name, "fingerprint": data.fingerprint, "rows": rows, **node}


def save_codes(folder: Path, result: Run) -> None:
    """codes.npz: mean test codes (N, D), labels where there are any, row numbers in the source."""
    arrays = {"codes": result.codes("test"), "ids": result.rows("test").ids}
    if (labels := result.labels("test")) is not None:
        arrays["labels"] = labels
    files.write(folder / "codes.npz", lambda file: np.savez_compressed(file, **arrays))


def write_metrics(folder: Path, metrics: dict[str, Any], progress: Progress, began: float) -> None:
    """metrics.json, with the seconds since `began`."""
    rate, total = progress.samples / max(progress.seconds, 1e-9), time.perf_counter() - began
    metrics["timing"] = {"fit_seconds": progress.seconds, "samples_per_second": rate, "total_seconds": total}
    files.write_json(folder / "metrics.json", metrics)


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {key: value if math.isfinite(value) else None for key, value in values.items()}

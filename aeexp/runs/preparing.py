"""What a run is made of before it is trained: data, the untrained learner, trainer, and checkpoints to go on from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import DictConfig

from aeexp.datasets.core.data import Data, Residency
from aeexp.models.learner import Learner
from aeexp.runs.build import build_seeded
from aeexp.runs.config import make, to_dict
from aeexp.runs.folder import RunFolder
from aeexp.runs.foreign import list_foreign
from aeexp.runs.header import read_header
from aeexp.runs.loading import warn_changed
from aeexp.runs.origin import Origin
from aeexp.runs.probing import probe_parts
from aeexp.runs.provenance import describe_provenance
from aeexp.runs.shared import load_data
from aeexp.timing import stage
from aeexp.trainers.checkpoint import Store, Unreadable
from aeexp.trainers.contracts import Trainer

log = logging.getLogger(__name__)

LARGE = 100.0  # a value that networks do not start well from


def load_data_and_learner(
    cfg: DictConfig, device: torch.device, residency: Residency | None = None
) -> tuple[Data, Learner]:
    """Data and the untrained learner on the device, with a word on each thing that a user may not expect. `residency`
    is where the first process of a run has the rows: others have them in the same order."""
    with stage("data"):
        data = load_data(cfg, device, residency)
    with stage("build"):
        learner = build_seeded(cfg, data)
    if own := dict(list_foreign(to_dict(cfg))):
        probe_parts(learner, data, own)
    rows = " + ".join(f"{len(split)} {name}" for name, split in data.splits.items())
    where = f"{data.describe_placement()} ({'chosen by size' if cfg.dataset.residency == 'auto' else 'as asked'})"
    log.info("%s: %s rows of shape %s, %s; device %s", data.name, rows, tuple(data.shape), where, device)
    if max(map(abs, data.limits)) > LARGE:
        message = "values run from %.4g to %.4g: dataset.scale=unit or dataset.standardise=true would bring them near 1"
        log.info(message, *data.limits)
    if data.response:
        log.info("labels of %s are numbers to predict: %s", data.name, data.response)
    elif not data.is_labelled:
        log.info("%s has splits without labels: probes and colours are left out", data.name)
    return data, learner


@stage("build")
def make_trainer(cfg: DictConfig) -> Trainer:
    """What brings the learner to its best state."""
    return make(cfg, "trainer")


@stage("build")
def open_store(folder: RunFolder, config: Mapping[str, Any], origin: Origin, data: Data, every_seconds: float) -> Store:
    """The run's checkpoints: those of an earlier try in its own folder loaded, else those of `resume`."""
    own = {"init": origin.init, "extends": origin.extends, "foreign": describe_provenance(config)}
    header = {"run_id": origin.identity, "config": config, "facts": data.facts._asdict(), "data": data.account,
              "fingerprint": data.fingerprint, **{key: value for key, value in own.items() if value}}  # fmt: skip
    store = Store(folder.checkpoints, header, every_seconds)
    if folder.is_begun():
        try:
            store.resume(folder.checkpoints)
        except Unreadable as error:
            log.warning("%s: the run %s", error, "goes on from resume" if config["resume"] else "begins anew")
    if config["resume"] and store.resumed is None:
        store.resume(RunFolder(config["resume"]).checkpoints, origin.extending)
    if store.resumed is not None:
        warn_changed(folder, read_header(store.resumed))
    return store

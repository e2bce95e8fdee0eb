"""From a run folder back to its model and its data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch
from omegaconf import DictConfig, OmegaConf

from aeexp.datasets.core.data import Data
from aeexp.errors import UsageError
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.runs.build import MODEL, build_autoencoder, build_learner, build_task, choose_device
from aeexp.runs.config import check_node, make
from aeexp.runs.folder import RunFolder
from aeexp.trainers.checkpoint import Saved
from aeexp.trainers.checkpoint import load as load_checkpoint
from aeexp.types import Facts


def load(folder: str | Path) -> Autoencoder:
    """The trained model of a run folder, in evaluation mode, on the CPU, in its best state.

    Nothing is unpickled, and only `aeexp.*` and `torch.*` classes are built. Raises UsageError where the folder
    holds no finished training.
    """
    saved = load_checkpoint(RunFolder(folder).best)
    # Only what the model needs: a plot that has changed since must not keep it from loading.
    cfg, facts = _check_stored(saved, MODEL), Facts(**saved["facts"])
    model = build_autoencoder(cfg, facts, build_task(cfg, facts))
    weights = {key: value for key, value in saved["learner"].items() if key.startswith("model.")}
    model.load_state_dict({key.removeprefix("model."): value for key, value in weights.items()})
    return model.eval().requires_grad_(False)


@final
class LoadedRun:
    """A trained run: what its best checkpoint says (`saved`), its learner and model on the device, and its own data.

    Raises UsageError where the folder holds no finished training.
    """

    def __init__(self, folder: str | Path, device: str = "auto"):
        self.folder = RunFolder(folder)
        if not self.folder.best.is_file():
            raise UsageError(
                f"{folder} is no run folder (it has no checkpoints/best.pt): give the folder that aeexp wrote"
            )
        self.saved = load_checkpoint(self.folder.best)
        self.device = choose_device(device)
        self.learner = _build(self.saved)
        self.learner.load_state_dict(self.saved["learner"])
        self.learner.to(self.device).eval().requires_grad_(False)

    @property
    def model(self) -> Autoencoder:
        """The learner's."""
        return self.learner.model

    @property
    def config(self) -> dict[str, Any]:
        """As it was trained with, interpolations resolved."""
        return self.saved["config"]

    def load_data(self, otherwise: str = "name the rows to encode, as in aeexp-encode RUN data.npz") -> Data:
        """The run's own data, with the preprocessing and the splits that it was trained with.

        Raises UsageError, with `otherwise` as a way out, where it has changed since.
        """
        node = self.config["dataset"]
        check_node("dataset", node)
        try:
            data = make(OmegaConf.create({"dataset": node}), "dataset")
        except UsageError as error:  # most often a file that is gone, or a path that began elsewhere
            raise UsageError(f"{error}\n{otherwise}{self._explain_paths()}") from error
        if data.fingerprint != self.saved.get("fingerprint"):
            raise UsageError(
                f"{self.folder}: the data has changed since the run (fingerprint {self.saved.get('fingerprint')}, now "
                f"{data.fingerprint}): {otherwise}"
            )
        return data.place(self.device)

    def _explain_paths(self) -> str:
        """Where the run was started, if elsewhere: relative paths begin there."""
        cwd = self.folder.read_cwd()
        return "" if cwd in (None, Path.cwd()) else f" (the run was started in {cwd}, where its paths begin)"


def build_untrained(saved: Saved) -> Autoencoder:
    """The model of a checkpoint as it was before training, by the run's seed, on the CPU."""
    with torch.random.fork_rng():
        torch.manual_seed(saved["config"]["seed"])
        return _build(saved).model


def _build(saved: Saved) -> Learner:
    """The learner of a checkpoint without its weights."""
    cfg = _check_stored(saved, (*MODEL, "objective"), ("noise", "regularizer"))
    return build_learner(cfg, Facts(**saved["facts"]))


def _check_stored(saved: Saved, parts: Sequence[str], several: Sequence[str] = ()) -> DictConfig:
    """The nodes of a stored configuration that are about to be built."""
    for key in parts:
        check_node(key, saved["config"][key])
    for group in several:
        for option, node in saved["config"][group].items():
            check_node(f"{group}.{option}", node)
    return OmegaConf.create({key: saved["config"][key] for key in (*parts, *several)})

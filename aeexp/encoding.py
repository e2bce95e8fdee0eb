"""A finished run at work: its model, its data again, and codes of whole splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from aeexp import files
from aeexp.build import device, load_learner
from aeexp.config import check_node, make
from aeexp.data.data import Data
from aeexp.data.split import Split
from aeexp.data.stream import Stream
from aeexp.errors import UsageError, require
from aeexp.model import Autoencoder
from aeexp.objectives import Learner, at_once
from aeexp.training.checkpoint import load as load_checkpoint


class Finished:
    """The run in a folder: what its best checkpoint says, and its model on the device."""

    def __init__(self, folder: str | Path, on: str = "auto"):
        self.folder = Path(folder)
        words = f"{folder} is no run folder (it has no checkpoints/best.pt): give the folder that aeexp wrote"
        require((self.folder / "checkpoints" / "best.pt").is_file(), words)
        self.saved = load_checkpoint(self.folder / "checkpoints" / "best.pt")
        self.device = device(on)
        self.learner: Learner = load_learner(self.folder).to(self.device)
        self.model: Autoencoder = self.learner.model

    @property
    def config(self) -> dict[str, Any]:
        return self.saved["config"]

    def data(self, otherwise: str = "name the rows to encode, as in aeexp-encode RUN data.npz") -> Data:
        """The run's own data, with the preprocessing and the splits that it was trained with.

        Raises UsageError, with `otherwise` as a way out, where it has changed since.
        """
        node = self.config["dataset"]
        check_node("dataset", node)
        try:
            data = make(OmegaConf.create({"dataset": node}), "dataset")
        except UsageError as error:  # most often a file that is gone, or a path that began elsewhere
            raise UsageError(f"{error}\n{otherwise}{self._began()}") from error
        words = f"{self.folder}: the data has changed since the run (fingerprint {self.saved.get('fingerprint')}, now "
        way = f"{data.fingerprint}): {otherwise}"
        require(data.fingerprint == self.saved.get("fingerprint"), words + way)
        return data.place(self.device)

    def _began(self) -> str:
        """Where the run was started, if elsewhere: relative paths begin there."""
        try:
            cwd = OmegaConf.load(self.folder / ".hydra" / "hydra.yaml").hydra.runtime.cwd
        except (OSError, YAMLError, OmegaConfBaseException):
            return ""
        return "" if Path(cwd) == Path.cwd() else f" (the run was started in {cwd}, where its paths begin)"


@torch.no_grad()
def encoded(learner: Learner, split: Split | Stream) -> dict[str, np.ndarray]:
    """Mean codes x (N, D) float32 of a split, row numbers ids, and y and s where there are any; row by row alike.

    The rows are as the encoder was trained on, before a task takes anything away.
    """
    found: dict[str, list[np.ndarray]] = {"x": [], "y": [], "s": [], "ids": []}
    for batch in split.batches(at_once(split.shape)):
        code = learner.model.encode(batch.x, learner.context(batch), batch.mask)
        for name, field in (("x", code.mean.float()), ("y", batch.y), ("s", batch.s), ("ids", batch.ids)):
            if field is not None:
                found[name].append(field.cpu().numpy())
    return {name: np.concatenate(parts) for name, parts in found.items() if parts}


def by_split(
    learner: Learner, splits: Mapping[str, Split | Stream], classes: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Codes of splits under the keys of official splits in an .npz: x_train, y_train, s_train, ids_train, ...

    A single split named "" has plain keys. Labels that `dataset.labelled` hides stay -1: who trains on these codes has
    no more of them than the run had. A split without labels beside one that has them is all -1. `classes` are the
    names of the numbers in y.
    """
    arrays: dict[str, np.ndarray] = {}
    labelled = any(split.y is not None for split in splits.values())
    for name, split in splits.items():
        found = encoded(learner, split)
        if labelled:
            found.setdefault("y", np.full(len(found["x"]), -1, np.int64))
        arrays |= {f"{key}_{name}" if name else key: value for key, value in found.items()}
    if labelled and len(classes):
        arrays["classes"] = np.array(classes)
    return arrays


def save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """An .npz of plain arrays, whole or not there."""
    files.write(path, lambda file: np.savez_compressed(file, **arrays))

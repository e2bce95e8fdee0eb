"""A finished run at work: its model, and its data again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from aeexp.datasets.core.data import Data
from aeexp.errors import UsageError
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.runs.build import device, load_learner
from aeexp.runs.config import check_node, make
from aeexp.trainers.checkpoint import load as load_checkpoint


class Finished:
    """The run in a folder: what its best checkpoint says, and its model on the device."""

    def __init__(self, folder: str | Path, on: str = "auto"):
        self.folder = Path(folder)
        if not (self.folder / "checkpoints" / "best.pt").is_file():
            raise UsageError(
                f"{folder} is no run folder (it has no checkpoints/best.pt): give the folder that aeexp wrote"
            )
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
        if data.fingerprint != self.saved.get("fingerprint"):
            raise UsageError(words + way)
        return data.place(self.device)

    def _began(self) -> str:
        """Where the run was started, if elsewhere: relative paths begin there."""
        try:
            cwd = OmegaConf.load(self.folder / ".hydra" / "hydra.yaml").hydra.runtime.cwd
        except (OSError, YAMLError, OmegaConfBaseException):
            return ""
        return "" if Path(cwd) == Path.cwd() else f" (the run was started in {cwd}, where its paths begin)"

"""From a run folder back to its model and its data: the one place where what a folder says is built."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar, final

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from aeexp.datasets.core.data import Data
from aeexp.errors import UsageError, quote_override
from aeexp.evaluation.contracts import Metric
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.runs.build import MODEL, build_autoencoder, build_learner, build_task, choose_device
from aeexp.runs.config import check_node, make
from aeexp.runs.folder import RunFolder
from aeexp.runs.foreign import MissingPackage
from aeexp.runs.header import Header, read_header
from aeexp.runs.provenance import Provenance, list_changes
from aeexp.runs.trust import NOBODY, Trust, check_parts, check_plain, list_options, name_source, read_trust
from aeexp.trainers.checkpoint import Saved, check_weights, try_load
from aeexp.trainers.checkpoint import load as load_checkpoint

M = TypeVar("M", bound=nn.Module)

log = logging.getLogger(__name__)


def load(
    folder: str | Path, checkpoint: Literal["best", "last"] = "best", *, trust: Iterable[str] = ()
) -> Autoencoder:  # fmt: skip
    """The trained model of a run folder, in evaluation mode, on the CPU, in its best state.

    Nothing is unpickled, and only what this installation's conf/ names is built, and parts of the packages in `trust`,
    in AEEXP_TRUST and of installed extensions (`trust.read_trust`). `checkpoint="last"` takes the state of the last
    step, where best.pt is damaged; of a model without a prior its samples know nothing of the codes then.
    Raises UsageError where the folder holds no whole state of a training, or needs a package that is not trusted.
    """
    saved, trusted = read_checkpoint(RunFolder(folder), checkpoint), read_trust(trust)
    with name_source(folder):
        # Only what the model needs: a plot that has changed since must not keep it from loading.
        header = read_header(saved)
        cfg, facts = check_stored(header.config, MODEL, trust=trusted, then=header.foreign), header.facts
        weights = {key.removeprefix("model."): value for key, value in saved["learner"].items()
                   if key.startswith("model.")}  # fmt: skip
        model = _build(lambda: build_autoencoder(cfg, facts, build_task(cfg, facts)), weights)
        model.load_state_dict(weights)
    warn_changed(folder, header)
    return model.eval().requires_grad_(False)


def warn_changed(folder: object, header: Header) -> None:
    """A word on each part of another package that is not what the run was trained with."""
    for line in list_changes(header.foreign, header.config):
        log.warning("%s: %s", folder, line)


def read_checkpoint(folder: RunFolder, checkpoint: Literal["best", "last"] = "best") -> Saved:
    """What the file holds. Raises UsageError, with the other one as a way out, where it is damaged or gone."""
    try:
        return load_checkpoint(folder.checkpoints / f"{checkpoint}.pt")
    except UsageError as error:
        if checkpoint == "last" or try_load(folder.last)[0] is None:
            raise
        way = f"aeexp.load({str(folder)!r}, checkpoint='last') takes the state of the last step"
        again = f"the run's command with {quote_override('resume', folder)} finds the best one again"
        raise UsageError(f"{error}\n{way}; {again}") from error


@final
class LoadedRun:
    """A trained run: what its best checkpoint says (`saved`), its learner and model on the device, and its own data.

    `fetch` lets its data set download files or ask a database, as its configuration may say. `trust` names packages
    whose parts may be built, beside those that `trust.read_trust` finds. Raises UsageError where the folder holds no
    finished training.
    """

    def __init__(self, folder: str | Path, device: str = "auto", fetch: bool = False, trust: Iterable[str] = ()):
        self.folder = RunFolder(folder)
        if not self.folder.checkpoints.is_dir():
            raise UsageError(f"{folder} is no run folder (it has no checkpoints): give the folder that aeexp wrote")
        self.saved = read_checkpoint(self.folder)
        self.fetch = fetch
        self.trust = read_trust(trust)
        self.device = choose_device(device)
        with name_source(folder):
            self.header: Header = read_header(self.saved)
            check_plain("config", self.config)
            nodes = _list_nodes(self.config, ("dataset", *LEARNER), SEVERAL)
            with _tell_version(self.header.foreign):
                check_parts(nodes, self.trust, self.header.foreign)
            self.learner = build_stored(self.saved, self.trust)
            self.learner.load_state_dict(self.saved["learner"])
        warn_changed(folder, self.header)
        self.learner.to(self.device).eval().requires_grad_(False)

    @property
    def model(self) -> Autoencoder:
        """The learner's."""
        return self.learner.model

    @property
    def config(self) -> dict[str, Any]:
        """As it was trained with, interpolations resolved."""
        return self.saved["config"]

    def make_metrics(self) -> dict[str, Metric]:
        """Those that the run was measured with."""
        with name_source(self.folder):
            return make(self._check((), ("metric",)), "metric")

    def load_data(self, otherwise: str = "name the rows to encode, as in aeexp-encode RUN data.npz") -> Data:
        """The run's own data, with the preprocessing and the splits that it was trained with.

        Raises UsageError, with `otherwise` as a way out, where it has changed since.
        """
        with name_source(self.folder):
            node = self._check(("dataset",))
            if not self.fetch:
                _keep_to_files(node.dataset)
        try:
            data = make(node, "dataset")
        except UsageError as error:  # most often a file that is gone, or a path that began elsewhere
            first, *rest = str(error).replace("dataset.download=true", "--fetch (fetch=True)").splitlines()
            way = "; ".join([*(line.rstrip(".") for line in rest), f"{otherwise}{self._explain_paths()}"])
            raise UsageError(f"{first}\n{way}") from error
        if data.fingerprint != self.saved.get("fingerprint"):
            raise UsageError(
                f"{self.folder}: the data has changed since the run (fingerprint {self.saved.get('fingerprint')}, now "
                f"{data.fingerprint}): {otherwise}"
            )
        return data.place(self.device)

    def _check(self, parts: Sequence[str], several: Sequence[str] = ()) -> DictConfig:
        return check_stored(self.config, parts, several, trust=self.trust, then=self.header.foreign)

    def _explain_paths(self) -> str:
        """Where the run was started, if elsewhere: relative paths begin there."""
        cwd = self.folder.read_cwd()
        return "" if cwd in (None, Path.cwd()) else f" (the run was started in {cwd}, where its paths begin)"


LEARNER, SEVERAL = (*MODEL, "objective"), ("noise", "regularizer")  # the nodes that a learner is built from


def build_untrained(saved: Saved, trust: Trust = NOBODY) -> Autoencoder:
    """The model of a checkpoint as it was before training, by the run's seed, on the CPU."""
    with torch.random.fork_rng():
        torch.manual_seed(read_header(saved).config["seed"])
        return build_stored(saved, trust).model


def build_stored(saved: Saved, trust: Trust = NOBODY) -> Learner:
    """The learner of a checkpoint without its weights, which fit it. Raises UsageError."""
    header = read_header(saved)
    cfg = check_stored(header.config, LEARNER, SEVERAL, trust=trust, then=header.foreign)
    return _build(lambda: build_learner(cfg, header.facts), saved["learner"])


def _build(build: Callable[[], M], weights: Mapping[str, Tensor]) -> M:
    """What `build` gives, without the weights, which fit it. Raises UsageError.

    It is built without memory first: a width of 10^9 in a configuration costs nothing where the weights have none.
    """
    try:
        with torch.random.fork_rng(), torch.device("meta"):
            sketch = build()
    except UsageError:
        raise
    except Exception as error:  # sizes that are none raise anything: RuntimeError, OverflowError, TypeError ...
        reason = next(iter(str(error).splitlines()), "")
        raise UsageError(f"its configuration describes no model: {type(error).__name__}: {reason}") from error
    check_weights(sketch, weights)
    with torch.random.fork_rng():  # what it draws is written over, and nobody's draws change
        return build()


def check_stored(
    config: Any, parts: Sequence[str], several: Sequence[str] = (), *, trust: Trust, then: Mapping[str, Provenance]
) -> DictConfig:  # fmt: skip
    """These nodes of a stored configuration, to be built: nothing is imported before all are known to be of conf/, or
    of a package that is trusted. `then` is what the checkpoint's header says of those.

    Raises UsageError.
    """
    check_plain("config", config)
    nodes = _list_nodes(config, parts, several)
    with _tell_version(then):
        check_parts(nodes, trust, then)
    for path, node, _ in nodes:
        check_node(path, node)
    return OmegaConf.create({key: config[key] for key in (*parts, *several)})


def _list_nodes(config: Any, parts: Sequence[str], several: Sequence[str]) -> list[tuple[str, Any, str]]:
    """Path, node and group of each. Raises UsageError where one is not there."""
    if not isinstance(config, dict):
        raise UsageError("config: no table of keys and values")
    for key in (*parts, *several):
        if key not in config:
            raise UsageError(f"config.{key}: it is not there: no checkpoint of a run lacks it")
    nodes = [(key, config[key], key) for key in parts]
    for group in several:
        nodes += [(f"{group}.{option}", node, group) for option, node in list_options(group, config[group])]
    return nodes


@contextmanager
def _tell_version(then: Mapping[str, Provenance]) -> Iterator[None]:
    """Where a package is not there: which one the run was trained with."""
    try:
        yield
    except MissingPackage as error:
        origin = next((origin for origin in then.values() if origin.package == error.package), None)
        trained = f"the run was trained with {origin or error.package}: install it, or set PYTHONPATH to where it lies"
        raise UsageError(f"{error}\n{trained}") from error


def _keep_to_files(dataset: DictConfig) -> None:
    """Refuse what would do more than read files of this machine, and leave nothing to be downloaded."""
    if dataset.get("sql") is not None or dataset.get("test_sql") is not None:
        raise UsageError("dataset.sql: its rows come from a query to a database: --fetch (fetch=True) asks it")
    for key, value in dataset.items():
        if isinstance(value, str) and value.startswith(("//", "\\\\")):
            raise UsageError(f"dataset.{key}={value}: a path on another machine: --fetch (fetch=True) goes there")
    if "download" in dataset:
        dataset.download = False

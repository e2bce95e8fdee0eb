"""Folders of numbers alone: a run on data that are not its own, and codes of any origin. Reports read them as runs.

They are run folders without checkpoints. metrics.json has `data` and, under `evaluations`, what aeexp-evaluate added;
.hydra/config.yaml says what was measured, and for a run on other data what it is: its own configuration with the other
data set, and the name of its own under `trained_on`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.runs.asked import OF_DATA
from aeexp.runs.folder import MEASURED, RunFolder, run_id
from aeexp.runs.loading import LoadedRun
from aeexp.runs.measuring import describe_data
from aeexp.runs.status import Status
from aeexp.runs.titles import clean

log = logging.getLogger(__name__)

Asked = dict[str, str]  # texts of the files of .hydra, by name


def open_on_other_data(loaded: LoadedRun, cfg: DictConfig, words: Sequence[str], run: Run) -> RunFolder:
    """RUN/evaluations/NAME for the data set of `cfg`, which `words` asked for; of several by one name the next free."""
    own = str(loaded.config["dataset"]["name"])
    tree, typed, choices = _describe_run(loaded)
    tree |= {"dataset": OmegaConf.to_container(cfg.dataset), "metric": {}, "plot": {}, "trained_on": own}
    typed = [word for word in typed if not _is_of_data(word)] + [word for word in words if _is_of_data(word)]
    choices = {**choices, "dataset": next(word.partition("=")[2] for word in words if word.startswith("dataset="))}
    identity = run_id({"run": loaded.saved["run_id"], "dataset": OmegaConf.to_container(cfg.dataset, resolve=True)})
    name, place = clean(run.data.name), loaded.folder.path / MEASURED
    folders = (RunFolder(place / (name if number == 1 else f"{name}-{number}")) for number in count(1))
    folder = next(folder for folder in folders if _read_id(folder) in (None, identity))
    begin(folder, identity, write_asked(tree, typed, choices), describe_data(run))
    return folder


def begin(folder: RunFolder, identity: str, asked: Asked, data: Mapping[str, Any]) -> None:
    """The folder's files but for its numbers, which stay where they are of the same rows."""
    known = _read_data(folder)
    if known is not None and all(known.get(key) == data.get(key) for key in ("fingerprint", "codes")):
        return
    if known is not None:
        log.warning("%s: the data has changed since: its earlier numbers are dropped", folder)
    folder.hydra.mkdir(parents=True, exist_ok=True)
    status = Status(folder, identity, asked)
    status.finished = None  # of the rows that were there before
    status.begin()
    folder.write_metrics({"test": {}, "val": {}, "baseline": {}, "data": dict(data), "evaluations": []})
    status.end("finished")


def require_free(folder: RunFolder, identity: str) -> None:
    """Raises UsageError where something else lies in a folder that a user named."""
    known = _read_id(folder)
    other = folder.path.exists() and known is None and any(folder.path.iterdir())
    if other or known not in (None, identity):
        raise UsageError(f"--output {folder}: something else lies there: take another folder, or another --name")


def _describe_run(loaded: LoadedRun) -> tuple[dict[str, Any], list[str], dict[str, str]]:
    """What the run was asked for, as composed where its folder says, its overrides and the options of its groups."""
    try:
        return loaded.folder.read_asked()
    except (OSError, ValueError):  # hydra.output_subdir=null
        return dict(loaded.config), [], {}


def _is_of_data(word: str) -> bool:
    return OF_DATA.match(word) is not None


def write_asked(tree: Mapping[str, Any], typed: Sequence[str], choices: Mapping[str, str]) -> Asked:
    """The texts of .hydra, as Hydra writes them."""
    runtime = {"cwd": os.getcwd(), "choices": dict(choices)}
    nodes = {"config.yaml": dict(tree), "hydra.yaml": {"hydra": {"runtime": runtime}}, "overrides.yaml": list(typed)}
    return {name: yaml.safe_dump(node, sort_keys=False, allow_unicode=True) for name, node in nodes.items()}


def _read_id(folder: RunFolder) -> str | None:
    """Whose numbers lie there; None where none do."""
    try:
        return str(folder.read_status().get("run_id"))
    except (OSError, ValueError):
        return None


def _read_data(folder: RunFolder) -> dict[str, Any] | None:
    """What the numbers that lie there are of; None where none do."""
    try:
        data = folder.read_metrics().get("data")
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None

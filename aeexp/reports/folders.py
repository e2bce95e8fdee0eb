"""Run folders as they lie on disk: where they are, and their files read as tables. Without torch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import yaml

try:
    from yaml import CSafeLoader as Loader  # ten times as fast; not everywhere built
except ImportError:
    from yaml import SafeLoader as Loader

INSIDE = {"checkpoints", "tensorboard", "figures", ".hydra"}  # of a run folder; no other run lies there


@final
class RunFolder:
    """One run's files. Reading raises OSError for a file that is missing, and ValueError, with the file's name in
    front, for one that is cut off or holds something else."""

    def __init__(self, path: Path):
        self.path = path
        self.log = path / "train.log"
        self.hydra = path / ".hydra"

    def read_status(self) -> dict[str, Any]:
        """What became of the run."""
        return _read_table(self.path / "status.json")

    def read_metrics(self) -> dict[str, Any]:
        """What was measured."""
        return _read_table(self.path / "metrics.json")

    def read_config(self) -> dict[str, Any]:
        """As it was composed: what interpolates is the text `${...}`."""
        return _read_table(self.hydra / "config.yaml")

    def read_overrides(self) -> list[str]:
        """What the user typed, as in ["latent.dim=3", "seed=1"]."""
        return [str(override) for override in _read_yaml(self.hydra / "overrides.yaml") or []]

    def read_choices(self) -> dict[str, str]:
        """The option of each group, but for Hydra's own."""
        node = _read_yaml(self.hydra / "hydra.yaml")
        for name in ("hydra", "runtime", "choices"):
            node = node.get(name) if isinstance(node, dict) else None
        choices = node.items() if isinstance(node, dict) else ()
        return {str(group): str(option) for group, option in choices if not str(group).startswith("hydra/")}


def find_runs(root: Path) -> list[RunFolder]:
    """Run folders at and below `root`, in the order of the jobs: 2 before 10. One that was cut off before its first
    file has Hydra's files alone."""
    return [RunFolder(path) for path in sorted(_walk(root), key=_order)]


def _walk(root: Path) -> Iterator[Path]:
    for name, folders, names in os.walk(root):
        if "status.json" in names or (".hydra" in folders and "multirun.yaml" not in names):
            yield Path(name)
        folders[:] = [folder for folder in folders if folder not in INSIDE]


def _order(path: Path) -> list[tuple[int, int, str]]:
    """Numbers before words, on each level."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in path.parts]


def _read_table(path: Path) -> dict[str, Any]:
    node = _read_json(path) if path.suffix == ".json" else _read_yaml(path)
    if not isinstance(node, dict):
        raise ValueError(f"{path.name} holds no table of keys and values")
    return node


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # cut off, or no text at all
        raise ValueError(f"{path.name}: {str(error).splitlines()[0]}") from error


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.load(path.read_bytes(), Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name}: {str(error).splitlines()[0]}") from error

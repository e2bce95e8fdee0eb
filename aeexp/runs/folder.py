"""The files of a run folder, in one place: who finds, reads or writes them asks here. Without torch."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, final

import numpy as np

from aeexp import files
from aeexp.errors import FULL
from aeexp.runs.runtime import list_choices, list_overrides, parse_runtime, read_runtime

MEASURED = "evaluations"  # below it a folder for each other data set that the run was measured on
PLACES = ".places"  # in a sweep's folder: which run lies where (`places.py`)
INSIDE = {"checkpoints", "tensorboard", "figures", ".hydra", MEASURED, PLACES}  # no other run lies there
ASKED = ("config.yaml", "hydra.yaml", "overrides.yaml")  # in .hydra: what the run was asked for
UNREADABLE = "unreadable"
MOST_CODES = 1 << 30  # bytes of codes.npz, unpacked
COLUMNS = {"split": str, "step": int}  # of history.csv, in every row; all others are float


@final
class RunFolder:
    """One run's files. Reading raises OSError for a file that is missing, and ValueError, with the file's name in
    front, for one that is cut off or holds something else."""

    def __init__(self, path: str | Path):
        self.path = Path(files.expand_home(str(path)))
        self.status = self.path / "status.json"
        self.metrics = self.path / "metrics.json"
        self.history = self.path / "history.csv"
        self.codes = self.path / "codes.npz"
        self.log = self.path / "train.log"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.checkpoints / "best.pt"
        self.last = self.checkpoints / "last.pt"
        self.figures = self.path / "figures"
        self.tensorboard = self.path / "tensorboard"
        self.hydra = self.path / ".hydra"

    def __str__(self) -> str:
        return str(self.path)

    def read_status(self) -> dict[str, Any]:
        """What became of the run."""
        return _read_table(self.status)

    def read_metrics(self) -> dict[str, Any]:
        """What was measured."""
        return _read_table(self.metrics)

    def read_config(self) -> dict[str, Any]:
        """As it was composed: what interpolates is the text `${...}`. ValueError where it is another run's."""
        self._check_asked()
        return _read_table(self.hydra / "config.yaml")

    def read_asked(self, status: dict[str, Any] | None = None) -> tuple[dict[str, Any], list[str], dict[str, str]]:
        """What `read_config` and `read_overrides` give, and the option of each group; each file read once."""
        contents = self._read_contents()
        self._check_asked(contents, status)
        config, typed = (files.parse_yaml(contents[name], name) for name in ("config.yaml", "overrides.yaml"))
        choices = list_choices(parse_runtime(contents["hydra.yaml"]))
        return _require_table(config, "config.yaml"), list_overrides(typed), choices

    def _read_contents(self) -> dict[str, bytes]:
        return {name: files.read_bytes(self.hydra / name, files.MOST_YAML) for name in ASKED}

    def read_overrides(self) -> list[str]:
        """What the user typed, job by job of a sweep, as in ["latent.dim=3", "seed=1"]; as `read_config`."""
        self._check_asked()
        return list_overrides(files.read_yaml(self.hydra / "overrides.yaml"))

    def read_cwd(self) -> Path | None:
        """Where the run was started: relative paths begin there. None where that is not known."""
        try:
            return Path(read_runtime(self.hydra)["cwd"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _check_asked(self, contents: dict[str, bytes] | None = None, status: dict[str, Any] | None = None) -> None:
        """Numbers stand under the labels of the run that gave them: another one's in `.hydra` are told."""
        wanted = (status or (self.read_status() if self.status.is_file() else {})).get("hydra_digest")
        if wanted and wanted != digest((contents or self._read_contents()).values()):
            raise ValueError(".hydra is not what this run wrote (status.json: hydra_digest): its labels are another's")

    def find_events(self, title: str) -> Path:
        """The folder of TensorBoard's event files, whose name is what it calls the run: an earlier try's, else `title`
        below tensorboard/."""
        files = sorted(self.tensorboard.glob("events*")) or sorted(self.tensorboard.glob("*/events*"))
        return files[0].parent if files else self.tensorboard / title

    def read_sweep(self) -> tuple[Path, list[str]] | None:
        """The folder of the sweep that the run is a job of, and what the user typed for all jobs; None of a run by
        itself."""
        try:
            node = files.read_yaml(self.hydra / "hydra.yaml")["hydra"]
            if node["mode"] != "MULTIRUN":
                return None
            root = Path(node["runtime"]["cwd"], node["sweep"]["dir"])
            typed = files.read_yaml(root / "multirun.yaml")["hydra"]["overrides"]["task"]
            return root, [str(override) for override in typed]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def read_codes(self) -> dict[str, np.ndarray] | None:
        """Arrays of codes.npz; None where none were saved."""
        if not self.codes.is_file():
            return None
        try:
            with np.load(self.codes, allow_pickle=False) as saved:
                if sum(member.file_size for member in saved.zip.infolist()) > MOST_CODES:
                    raise ValueError("it is too large")
                return {key: saved[key] for key in saved}
        except (ValueError, KeyError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{self.codes.name} cannot be read: {error}") from error

    def read_log_end(self) -> str:
        """The last lines of train.log."""
        return files.read_end(self.log, 4096)

    def read_history(self) -> list[dict[str, Any]]:
        """Rows of history.csv: a split, a step, and numbers; those that a row does not have are left out."""
        lines = csv.DictReader(io.StringIO(files.read_text(self.history, files.MOST_TABLE)))
        try:
            rows = [{key: COLUMNS.get(key, float)(value) for key, value in row.items() if value != ""} for row in lines]
        except (ValueError, TypeError, csv.Error) as error:  # TypeError: more or fewer cells than names
            raise ValueError(f"{self.history.name}, line {lines.line_num}: {error}") from error
        if any(not row.keys() >= COLUMNS.keys() for row in rows):
            raise ValueError(f"{self.history.name}: rows without {' and '.join(COLUMNS)}")
        return rows

    def list_figures(self) -> list[str]:
        """Names of the figures that are pictures, without their ending."""
        return sorted(path.stem for path in self.figures.glob("*.png") if path.is_file())

    def read_state(self) -> str:
        """running, finished, pruned, failed or interrupted; `unreadable` where status.json does not say."""
        try:
            return str(self.read_status().get("status", UNREADABLE))
        except (OSError, ValueError):
            return UNREADABLE

    def is_finished(self) -> bool:
        """Whether the run got to its end."""
        return self.read_state() == "finished"

    def is_begun(self) -> bool:
        """Whether there is a state to go on from."""
        return self.last.is_file() or self.best.is_file()

    def is_measured(self) -> bool:
        """Whether the run is trained and measured; a figure may have failed."""
        try:
            self.read_metrics()
        except (FileNotFoundError, ValueError):
            return False
        return self.read_state() not in ("running", UNREADABLE)

    def write_status(self, values: Mapping[str, Any]) -> None:
        """Whole, at once. On a full disk into the place that the file has already, so that its last word is told."""
        try:
            files.write_json(self.status, dict(values))
        except OSError as error:
            if error.errno not in FULL or not self.status.is_file():
                raise
            with open(self.status, "r+", encoding="utf-8") as file:
                file.write(files.json_text(dict(values)))
                file.truncate()

    def write_asked(self, name: str, text: str) -> None:
        """One of the files of `.hydra`."""
        files.write_text(self.hydra / name, text)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Whole, at once."""
        files.write_json(self.metrics, dict(metrics))

    def write_history(self, rows: list[dict[str, Any]]) -> None:
        """One row an evaluation; a value that a row does not have stays empty."""
        columns = list(dict.fromkeys(key for row in rows for key in row))
        text = files.csv_text(columns, ([row.get(key) for key in columns] for row in rows))
        files.write_text(self.history, text)

    def write_codes(self, arrays: Mapping[str, np.ndarray]) -> None:
        """A compressed .npz."""
        content: dict[str, Any] = dict(arrays)
        files.write(self.codes, lambda file: np.savez_compressed(file, **content))

    def write_figure(self, name: str, content: bytes) -> None:
        """`name` with its ending, as scatter.png."""
        files.write(self.figures / name, lambda file: file.write(content))

    def remove_temporaries(self) -> None:
        """What a killed write left; for who holds the folder alone."""
        for path in (p for f in (self.path, self.checkpoints, self.figures, self.hydra) for p in f.glob(".*.tmp")):
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all that a run writes but its checkpoints; what else lies there stays."""
        for path in (self.status, self.metrics, self.history, self.codes, self.log):
            path.unlink(missing_ok=True)
        for name in ASKED:
            (self.hydra / name).unlink(missing_ok=True)
        for folder in (self.figures, self.tensorboard, self.path / MEASURED):
            shutil.rmtree(folder, ignore_errors=True)


def find_runs(root: Path) -> list[RunFolder]:
    """Run folders at and below `root`, 2 before 10. One that was cut off early has Hydra's files alone."""
    return [RunFolder(path) for path in sorted(_walk(root), key=order)]


def _walk(root: Path) -> Iterator[Path]:
    for name, folders, names in os.walk(root):
        if "status.json" in names or (".hydra" in folders and "multirun.yaml" not in names):
            yield Path(name)
        folders[:] = [folder for folder in folders if folder not in INSIDE]


def order(path: Path) -> list[tuple[int, int, str]]:
    """Numbers before words, on each level."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in path.parts]


def run_id(config: Mapping[str, Any], init: str | None = None, extends: str | None = None) -> str:
    """A hash of the whole configuration; what it starts and goes on from counts by digests (`runs/origin.py`)."""
    began = {"resume": None, "init": init and {**config["init"], "from": init}, "extends": extends}
    values = {key: value for key, value in {**config, **began}.items() if value or key not in began}
    for group, counts in (("trainer", "processes"), ("dataset", "workers")):  # how many did the work is no matter
        if isinstance(node := config.get(group), dict):
            values[group] = {key: value for key, value in node.items() if key != counts}
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=8).hexdigest()


def digest(parts: Iterable[bytes]) -> str:
    """Of the contents of files, in order."""
    return hashlib.blake2b(b"\0".join(parts), digest_size=8).hexdigest()


def _read_table(path: Path) -> dict[str, Any]:
    return _require_table(files.read_json(path) if path.suffix == ".json" else files.read_yaml(path), path.name)


def _require_table(node: Any, name: str) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise ValueError(f"{name} holds no table of keys and values")
    return node

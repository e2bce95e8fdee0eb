"""One finished run measured and drawn anew: its own model and data, other metrics and plots."""

from __future__ import annotations

import csv
import io
import json
import logging
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from aeexp.drawing.animation import Animation
from aeexp.errors import UsageError
from aeexp.evaluation.baselines import named as baseline
from aeexp.evaluation.contracts import Metric
from aeexp.evaluation.protocol import baselines, describe_numbers, describe_options, measured
from aeexp.evaluation.run import Run
from aeexp.runs import build, evaluations
from aeexp.runs.config import make
from aeexp.runs.figures import draw
from aeexp.runs.finished import Finished
from aeexp.runs.folder import jobs
from aeexp.runs.results import described, finite
from aeexp.runs.status import commit, now, versions
from aeexp.runs.tracking import album

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

COLUMNS = {"split": str, "step": int}  # of history.csv; all others are float


def runs(paths: Sequence[Path]) -> list[Path]:
    """Run folders: those named, each of which must be finished, and the finished ones below any other folder."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            raise UsageError(f"{path}: there is no such folder: name a finished run, or a folder above some")
        if (path / "status.json").is_file():
            standing = _standing(path)
            broken = "unreadable" in standing
            way = "bring the file back, or train anew" if broken else f"the same command with resume={path} ends it"
            if not _measured(path):
                raise UsageError(f"{path} is not finished ({standing}): {way}")
            found.append(path)
            continue
        below = jobs(path)
        ready = [folder for folder in below if _measured(folder)]
        if not ready:
            raise UsageError(f"{path} is no run folder, and there is no finished run below it ({len(below)} others)")
        for folder in below:
            if folder not in ready:
                log.warning("%s is left out: not finished (%s)", folder, _standing(folder))
        found += ready
    return list(dict.fromkeys(found))


def _table(path: Path) -> dict[str, Any] | None:
    """None where the file is missing or cut off."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _standing(folder: Path) -> str:
    status = (_table(folder / "status.json") or {}).get("status", "unreadable")
    name = folder / "metrics.json"
    there = "" if _table(name) else ", metrics.json unreadable" if name.is_file() else ", no metrics.json"
    return f"status {status}{there}"


def _measured(folder: Path) -> bool:
    """Trained and measured; a figure may have failed."""
    status = (_table(folder / "status.json") or {}).get("status", "running")
    return status != "running" and _table(folder / "metrics.json") is not None


def evaluate(folder: Path, asked: DictConfig, default: DictConfig, device: torch.device) -> tuple[str, list[str]]:
    """Add the numbers of `asked.metric` to metrics.json and draw `asked.plot`.

    `default` is the same choice with the values of the YAML. Returns what there is to show, and a line for each metric
    and figure that failed, which keeps no other from being written.
    """
    finished, result = restored(folder, device)
    config = OmegaConf.create({**finished.config, "metric": asked.metric, "plot": asked.plot})
    entries, failed, drawn = [], [], []
    own = make(OmegaConf.create(finished.config), "metric")
    for name, metric in make(config, "metric").items():
        try:
            entry = numbers(result, name, metric, own)
        except Exception as error:  # told here with its traceback, and again at the end
            log.error("%s: metric=%s failed", folder, name, exc_info=not isinstance(error, UsageError))
            failed.append(f"metric={name} failed: {type(error).__name__}: {error}")
            continue
        if not (entry["val"] or entry["test"] or any(entry["baseline"].values())):
            log.info("metric=%s: there is nothing of it to measure on %s", name, result.data.name)
            continue
        entries.append({**named(name, asked, default, finished), **entry, "protocol": protocol(finished, result)})
        evaluations.put(folder / "metrics.json", entries[-1])
    with album(folder, finished.saved["progress"]["best_step"]) as add:

        def show(name: str, figure: Figure) -> None:
            add(name, figure)
            drawn.append(folder / "figures" / f"{name}.{'gif' if isinstance(figure, Animation) else 'png'}")

        failed += draw(make(config, "plot"), result, show)
    text = table(entries, f"{result.data.name}, {folder}", result.model.latent.dim)
    return "\n".join([text, *map(str, drawn)]), failed


def named(name: str, asked: DictConfig, default: DictConfig, finished: Finished) -> dict[str, Any]:
    """Which evaluation it is: the metric with its options, and how these differ from what goes without saying."""
    options, usual = (_options(cfg.metric[name]) for cfg in (asked, default))
    own = finished.config["metric"].get(name)
    differs = evaluations.differs(name, options, usual, None if own is None else _options(own))
    return {"metric": name, "options": options, "differs": differs}


def restored(folder: Path, device: torch.device) -> tuple[Finished, Run]:
    """The run as it was when it was measured: best state, its own data, learning curves, and the untrained model."""
    finished = Finished(folder, device.type)
    data = finished.data("bring the data back as it was, or train anew")
    untrained = build.untrained(finished.saved).to(device)
    result = Run(finished.learner, data, history(folder / "history.csv"), untrained)
    result.trained = json.loads((folder / "metrics.json").read_text()).get("train", {})
    result.best_step = finished.saved["progress"]["best_step"]
    return finished, result


def history(path: Path) -> list[dict[str, Any]]:
    """Rows of history.csv as training wrote them; the last two, which the final evaluation added, are left out."""
    lines = csv.DictReader(io.StringIO(path.read_text()))
    rows = [{key: COLUMNS.get(key, float)(value) for key, value in row.items() if value != ""} for row in lines]
    return rows[:-2] if rows and rows[-1]["split"] == "test" else rows


def numbers(result: Run, name: str, metric: Metric, own: Mapping[str, Metric]) -> dict[str, Any]:
    """Of one metric: val, test and the baselines of the test split, and how long that took.

    Another model that it brings, such as kernel PCA, is read by the run's `own` probes.
    """
    began = time.perf_counter()
    values: dict[str, Any] = {split: finite(measured(result, {name: metric}, split)) for split in ("val", "test")}
    rows = baselines(result, {name: metric}, measured, own)
    values["baseline"] = {baseline: finite(row) for baseline, row in rows.items() if row}
    keys = chain(values["val"], values["test"], *values["baseline"].values())
    told = {"numbers": describe_numbers({**own, name: metric}, keys), "metrics": describe_options({name: metric})}
    return {"when": now(), "seconds": time.perf_counter() - began, **values, **told}


def protocol(finished: Finished, result: Run) -> dict[str, Any]:
    """What the numbers were measured on and with."""
    progress = finished.saved["progress"]
    return {
        "checkpoint": {"name": "best", "step": progress["best_step"], "epoch": progress["best_epoch"]},
        "run_id": finished.saved["run_id"],
        "seed": finished.config["seed"],
        "data": described(result),
        "device": result.device.type,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "git_commit": commit(),
    }


def _options(node: Mapping[str, Any]) -> dict[str, Any]:
    plain = OmegaConf.to_container(node) if isinstance(node, DictConfig) else dict(node)
    return {key: value for key, value in plain.items() if key != "_target_"}


def table(entries: Sequence[Mapping[str, Any]], title: str, width: int) -> str:
    """Every number with validation, PCA, raw input and what else it is held against; a dash: not measured."""
    if not entries:
        return title
    others = list(dict.fromkeys(name for entry in entries for name in entry["baseline"]))
    grid = Table("", "val", "test", *(f"PCA, width {width}" if name == "pca" else baseline(name) for name in others))
    for entry in entries:
        own = {key: None for row in (entry["val"], entry["test"], *entry["baseline"].values()) for key in row}
        grid.add_section()
        if entry["differs"]:
            grid.add_row(f"{entry['metric']}: {entry['differs']}")
        for key in own:
            cells = [row.get(key) for row in (entry["val"], entry["test"])]
            cells += [entry["baseline"].get(name, {}).get(key) for name in others]
            grid.add_row(key, *("-" if value is None else f"{value:.4g}" for value in cells))
    text = io.StringIO()
    Console(file=text, width=1000, highlight=False, markup=False).print(grid)
    return f"{title}\n{text.getvalue().rstrip()}"

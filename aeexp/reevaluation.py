"""One finished run measured and drawn anew: its own model and data, other metrics and plots."""

from __future__ import annotations

import csv
import io
import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from aeexp import build, evaluations
from aeexp.config import make
from aeexp.encoding import Finished
from aeexp.errors import UsageError, require
from aeexp.evaluate import Metric, Run, baselines, measured
from aeexp.run import described, draw, finite
from aeexp.status import commit, now, versions
from aeexp.sweep import jobs
from aeexp.tracking import album

log = logging.getLogger(__name__)

NUMBERS = ("step",)  # columns of history.csv that are whole; `split` is text, all others are numbers


class Incomplete(RuntimeError):
    """Some metric or figure failed; what did not is written."""


def finished(paths: Sequence[Path]) -> list[Path]:
    """Run folders: those named, each of which must be finished, and the finished ones below any other folder."""
    found: list[Path] = []
    for path in paths:
        require(path.is_dir(), f"{path}: there is no such folder: name a finished run, or a folder above some")
        if (path / "status.json").is_file():
            way = f"the same command with resume={path} ends it"
            require(_measured(path), f"{path} is not finished (status {_status(path)}): {way}")
            found.append(path)
            continue
        below = jobs(path)
        ready = [folder for folder in below if _measured(folder)]
        require(bool(ready), f"{path} is no run folder, and there is no finished run below it ({len(below)} others)")
        for folder in below:
            if folder not in ready:
                log.warning("%s is left out: not finished (status %s)", folder, _status(folder))
        found += ready
    return list(dict.fromkeys(found))


def _status(folder: Path) -> str:
    return json.loads((folder / "status.json").read_text())["status"]


def _measured(folder: Path) -> bool:
    """Trained and measured; a figure may have failed."""
    return _status(folder) != "running" and (folder / "metrics.json").is_file()


def evaluate(folder: Path, asked: DictConfig, default: DictConfig, device: torch.device) -> str:
    """Add the numbers of `asked.metric` to metrics.json and draw `asked.plot`; returns a table of the numbers.

    `default` is the same choice with the values of the YAML. Raises `Incomplete` at the end where something failed.
    """
    finished, result = restored(folder, device)
    config = OmegaConf.create({**finished.config, "metric": asked.metric, "plot": asked.plot})
    step = finished.saved["progress"]["best_step"]
    entries, failed = [], []
    for name, metric in make(config, "metric").items():
        options = _options(asked.metric[name])
        own = finished.config["metric"].get(name)
        other = evaluations.differs(options, _options(default.metric[name]), own and _options(own))
        entry = {"metric": name, "options": options, "differs": other}
        try:
            entry |= numbers(result, name, metric) | {"protocol": protocol(finished, result)}
        except Exception as error:
            log.error("%s: metric=%s failed", folder, name, exc_info=not isinstance(error, UsageError))
            failed.append(f"metric={name} failed: {type(error).__name__}: {error}")
            continue
        if entry["val"] or entry["test"]:
            evaluations.put(folder / "metrics.json", entry)
            entries.append(entry)
        else:
            log.info("metric=%s: there is nothing of it to measure on %s", name, result.data.name)
    with album(folder, step) as show:
        drawn: list[str] = []
        failed += draw(make(config, "plot"), result, lambda name, figure: (show(name, figure), drawn.append(name)))
    text = table(entries, f"{result.data.name}, {folder}", result.model.latent.dim)
    text += "".join(f"\n{folder / 'figures' / name}.png" for name in drawn)
    if failed:
        print(text)
        raise Incomplete("; ".join(failed))
    return text


def restored(folder: Path, device: torch.device) -> tuple[Finished, Run]:
    """The run as it was when it was measured: best state, its own data, learning curves, and the untrained model."""
    finished = Finished(folder, device.type)
    data = finished.data("bring the data back as it was, or train anew")
    untrained = build.untrained(finished.saved).to(device)
    return finished, Run(finished.learner, data, history(folder / "history.csv"), untrained)


def history(path: Path) -> list[dict[str, Any]]:
    """Rows of history.csv as training wrote them; the last two, which the final evaluation added, are left out."""
    rows = []
    for row in csv.DictReader(io.StringIO(path.read_text())):
        given = {key: value for key, value in row.items() if value != ""}
        rows.append({key: value if key == "split" else int(value) if key in NUMBERS else float(value)
                     for key, value in given.items()})  # fmt: skip
    return rows[:-2] if rows and rows[-1]["split"] == "test" else rows


def numbers(result: Run, name: str, metric: Metric) -> dict[str, Any]:
    """Of one metric: val, test and the baselines of the test split, and how long that took."""
    began = time.perf_counter()
    values: dict[str, Any] = {split: finite(measured(result, {name: metric}, split)) for split in ("val", "test")}
    rows = baselines(result, {name: metric}, measured)
    values["baseline"] = {baseline: finite(row) for baseline, row in rows.items() if row}
    return {"when": now(), "seconds": time.perf_counter() - began, **values}


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
    heads = {"pca": f"PCA, width {width}", "raw": "raw input"}
    grid = Table("", "val", "test", *(heads.get(name, name.replace("_", " ")) for name in others))
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

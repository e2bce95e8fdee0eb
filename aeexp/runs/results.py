"""What a run leaves in numbers: metrics.json, codes.npz, and its last words."""

from __future__ import annotations

import io
import json
import math
import os
import re
import shlex
import time
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from aeexp import files
from aeexp.evaluation.baselines import named
from aeexp.evaluation.contracts import Metric
from aeexp.evaluation.protocol import baselines, describe_numbers, describe_options, measure
from aeexp.evaluation.run import Run
from aeexp.runs.tracking import Tracker
from aeexp.trainers.checkpoint import Progress


def evaluate(
    metrics: Mapping[str, Metric], result: Run, track: Tracker, progress: Progress, monitor: str
) -> dict[str, Any]:
    """The content of metrics.json but for the timing; the numbers go to the tracker as well.

    `monitor` names the value of the validation split by which the best state was picked.
    """
    values: dict[str, Any] = {
        "monitor": f"val/{monitor}",
        "best": progress.best,
        "best_step": progress.best_step,
        "best_epoch": progress.best_epoch,
    }
    rows = list(progress.history)
    for split in ("val", "test"):
        values[split] = finite(measure(result, metrics, split))
        # in the history and in TensorBoard a term has the name that it had in training
        named = {k.removeprefix("loss/"): v for k, v in values[split].items() if v is not None}
        track.final(split, named, progress.best_step)
        row = {"step": progress.best_step, "epoch": float(progress.best_epoch), "split": split}
        rows.append({**row, **named})
    track.write_history(rows)
    # no row of the history: there `train` means the steps of training, with their noise
    values["train"] = result.trained = finite(measure(result, metrics, "train"))
    result.best_step = progress.best_step
    values["baseline"] = {name: finite(row) for name, row in baselines(result, metrics).items()}
    rows = (*(values[split] for split in ("val", "test", "train")), *values["baseline"].values())
    values["data"] = described(result)
    values |= {"numbers": describe_numbers(metrics, chain(*rows)), "metrics": describe_options(metrics)}
    return values


def described(result: Run) -> dict[str, Any]:
    """What the numbers were measured on; `sample` where codes and probes saw a part of a split only."""
    data, node = result.data, {}
    rows = {name: len(split) for name, split in data.splits.items()}
    sampled = {name: len(result.rows(name)) for name in rows if len(result.rows(name)) < rows[name]}
    if sampled:
        node["sample"] = sampled
    if data["train"].y is not None:
        node["labelled"] = {name: int((split.y >= 0).sum()) for name, split in data.splits.items()}
    node |= {"shape": list(data.shape), "limits": list(data.limits), "residency": data.residency}
    return {"name": data.name, "fingerprint": data.fingerprint, "rows": rows, **node}


def save_codes(folder: Path, result: Run) -> None:
    """codes.npz: mean test codes (N, D), labels where there are any, row numbers in the source."""
    arrays = {"codes": result.codes("test"), "ids": result.rows("test").ids}
    if (labels := result.labels("test")) is not None:
        arrays["labels"] = labels
    files.write(folder / "codes.npz", lambda file: np.savez_compressed(file, **arrays))


def write_metrics(folder: Path, metrics: dict[str, Any], progress: Progress, began: float) -> None:
    """metrics.json, with the seconds since `began`; what aeexp-evaluate added before stays, for it is the same run."""
    rate, total = progress.samples / max(progress.seconds, 1e-9), time.perf_counter() - began
    metrics["timing"] = {"fit_seconds": progress.seconds, "samples_per_second": rate, "total_seconds": total}
    path = folder / "metrics.json"
    with files.lock_folder(folder):
        added = json.loads(path.read_text(encoding="utf-8")).get("evaluations") if path.is_file() else None
        files.write_json(path, metrics | ({"evaluations": added} if added else {}))


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {key: value if math.isfinite(value) else None for key, value in values.items()}


_ROWS = {
    "reconstruction/mse": "test error (squared, per example)",
    "probe/linear": "linear probe accuracy",
    "probe/knn": "kNN probe accuracy",
    "clustering/nmi": "k-means clusters and classes: NMI",
    "classification/accuracy": "accuracy of the model's own labels",
    "fairness/accuracy_forest": "accuracy of the label, by a forest",
    "fairness/leakage_balanced_forest": "balanced accuracy of the attribute, by a forest",
    "retrieval/map": "mean average precision",
    "retrieval/precision_radius_2": "precision within radius 2",
    "inpainting/mse": "squared error in the hole",
    "anomaly/auroc": "AUROC of anomalies",
    "anomaly/average_precision": "average precision of anomalies",
    "segmentation/mean_iou": "mean IoU over classes",
    "segmentation/pixel_accuracy": "pixel accuracy",
    "latent/kl": "KL from the prior, nats per example",
}


def table(metrics: Mapping[str, Any], width: int, folder: Path) -> str:
    """What the console shows at the end; a number that was not measured is a dash."""
    columns = {"this run": metrics["test"], f"PCA, width {width}": metrics["baseline"].get("pca", {})}
    columns[named("raw")] = metrics["baseline"].get("raw", {})
    for name, row in metrics["baseline"].items():
        if name not in ("pca", "raw") and not _ROWS.keys().isdisjoint(row):
            columns[named(name)] = row
    columns = {name: row for name, row in columns.items() if not _ROWS.keys().isdisjoint(row) or name == "this run"}
    grid = Table("", *columns, title=f"{metrics['data']['name']}, test split")
    for key, words in _ROWS.items():
        if key in metrics["test"]:
            grid.add_row(words, *(f"{v[key]:.4g}" if v.get(key) is not None else "-" for v in columns.values()))
    for key in (key.removesuffix("_k") for key in metrics["test"] if re.fullmatch(r"generation/\w+_k", key)):
        name, count = key.split("/")[1], f"{metrics['test'][f'{key}_k']:.0f} codes"
        words = f"-log p: {name}" if name.startswith("nll") else f"no -log p: {name}"
        row = (f"{v[key]:.4g}" if v.get(key) is not None else "-" for v in columns.values())
        grid.add_row(f"{words} ({count}), nats", *row)
    timing = metrics["timing"]
    text = io.StringIO()
    console = Console(file=text, width=100, highlight=False)
    if grid.row_count:
        console.print(grid)
    near = os.path.relpath(folder)
    place = str(folder) if near.startswith("..") else near
    lines = [
        f"best {metrics['monitor']} {metrics['best']:.4f} at step {metrics['best_step']} "
        f"(epoch {metrics['best_epoch']}); trained {timing['fit_seconds']:.1f} s at "
        f"{timing['samples_per_second']:,.0f} samples/s, {timing['total_seconds']:.1f} s in all",
        f"run folder: {place}",
        f"tensorboard --logdir {shlex.quote(place)}",
    ]
    return "\n" + text.getvalue() + "\n".join(lines)

"""The last words of a run: a short table with its baselines, and where to look."""

from __future__ import annotations

import io
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from aeexp.baselines import named

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

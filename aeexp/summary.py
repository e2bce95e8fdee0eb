"""The last words of a run: a short table with its baselines, and where to look."""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_ROWS = {
    "reconstruction/mse": "test error (squared, per example)",
    "probe/linear": "linear probe accuracy",
    "probe/knn": "kNN probe accuracy",
}
_LIKELIHOODS = {
    "generation/nll": "-log p, nats per example",
    "generation/nll_fixed": "-log p, binarised once, nats per example",
    "generation/nll_per_epoch": "-log p, binarised each epoch, nats per example",
    "generation/cross_entropy_bound": "cross-entropy bound (no -log p), nats",
}


def table(metrics: Mapping[str, Any], width: int, folder: Path) -> str:
    """What the console shows at the end; a number that was not measured is a dash."""
    columns = {"this run": metrics["test"], f"PCA, width {width}": metrics["baseline"].get("pca", {})}
    columns["raw input"] = metrics["baseline"].get("raw", {})
    grid = Table("", *columns, title=f"{metrics['data']['name']}, test split")
    for key, words in _ROWS.items():
        if key in metrics["test"]:
            grid.add_row(words, *(f"{v[key]:.4g}" if v.get(key) is not None else "-" for v in columns.values()))
    for key, words in _LIKELIHOODS.items():
        if key in metrics["test"]:
            count = f"{metrics['test'][f'{key}_k']:.0f} codes"
            row = (f"{v[key]:.4g}" if v.get(key) is not None else "-" for v in columns.values())
            grid.add_row(f"{words} ({count})", *row)
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

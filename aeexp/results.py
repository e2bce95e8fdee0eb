"""What a run leaves in numbers: the content of metrics.json, and codes.npz."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from aeexp import files
from aeexp.evaluate import Run
from aeexp.measures import Metric, baselines, measure
from aeexp.tracking import Tracker
from aeexp.training.checkpoint import Progress


def evaluate(
    cfg: DictConfig, metrics: Mapping[str, Metric], result: Run, track: Tracker, progress: Progress
) -> dict[str, Any]:
    """The content of metrics.json but for the timing; the numbers go to the tracker as well."""
    values: dict[str, Any] = {
        "monitor": f"val/{(cfg.trainer.get('finetune') or cfg.trainer).get('monitor', 'loss')}",
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
    values["data"] = described(result)
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
    with files.alone(folder):
        added = json.loads(path.read_text()).get("evaluations") if path.is_file() else None
        files.write_json(path, metrics | ({"evaluations": added} if added else {}))


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {key: value if math.isfinite(value) else None for key, value in values.items()}

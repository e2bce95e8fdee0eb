"""What a multirun says when it is through: a failed job never hides the others, and repeated runs have a mean."""

from __future__ import annotations

import io
import json
import logging
import math
import re
import shlex
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

log = logging.getLogger(__name__)

REPEATS = ("seed", "dataset.split.fold", "dataset.split.seed")  # these repeat a run and do not change it
HEADLINES = (  # columns of the table, in the order in which they were measured
    r"loss|reconstruction/mse|probe/(linear|knn)"
    r"|generation/(nll|cross_entropy_bound)(_given_(label|attribute))?(_density)?(_fixed|_per_epoch)?(_per_step)?"
    r"|disentanglement/(mig|dci_disentanglement|sap|factor_vae)|classification/accuracy"
    r"|fairness/(accuracy|leakage_balanced|parity_gap)_forest|retrieval/(map|precision_radius_2)"
    r"|inpainting/mse|anomaly/(auroc|average_precision)|segmentation/(mean_iou|pixel_accuracy)"
)


class Summary(Callback):
    """Counts the finished jobs of a sweep, names each other one with its last word, and sets the exit code.

    A table compares the runs; those that differ in seed or fold alone are one row of it.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        root = Path(config.hydra.sweep.dir)
        states = {folder: json.loads((folder / "status.json").read_text()) for folder in jobs(root)}
        others = {folder: state for folder, state in states.items() if state["status"] != "finished"}
        if text := table([folder for folder in states if folder not in others]):
            log.info("\n%s", text)
        log.info("%d of %d runs finished: %s", len(states) - len(others), len(states), root)
        for folder, state in others.items():
            log.error("%s %s: %s", folder, state["status"], state["message"])
        log.info("tensorboard --logdir %s", shlex.quote(str(root)))
        if others:
            raise SystemExit(max(state["exit_code"] for state in others.values()) or 1)


class Gallery(Callback):
    """samples.png in the sweep's folder: what the runs' models draw, side by side. `plot=none` leaves a run out.

    A callback of its own: should it ever fail, Hydra says so and the summary and its exit code stay.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from aeexp.gallery import gallery

        gallery(Path(config.hydra.sweep.dir))


class Curves(Callback):
    """sweep.png, numbers over the swept value, and tradeoff.png, one number over another, in the sweep's folder.

    Drawn from metrics.json alone, and so for runs with `plot=none` as well.
    """

    def __init__(self, metrics: Sequence[str] = (), tradeoff: Sequence[str] = ()):
        self.metrics = list(metrics)
        self.tradeoff = list(tradeoff)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from aeexp.sweep_figures import sweep_figures

        sweep_figures(Path(config.hydra.sweep.dir), self.metrics, self.tradeoff)


def table(folders: Sequence[Path]) -> str:
    """One row for each group of runs whose overrides differ in seed or fold alone: means on the test split.

    Of several runs with Student's 95 % interval; a number that one of them lacks is a dash.
    """
    groups = defaultdict(list)
    for folder in folders:
        groups[tuple(overrides(folder))].append(json.loads((folder / "metrics.json").read_text())["test"])
    if not groups:
        return ""
    shared = set.intersection(*map(set, groups))
    keys = [key for key in dict.fromkeys(key for rows in groups.values() for row in rows for key in row)
            if re.fullmatch(HEADLINES, key)]  # fmt: skip
    words = "test split, mean over runs and its 95 % interval" if max(map(len, groups.values())) > 1 else "test split"
    common = " ".join(word for word in next(iter(groups)) if word in shared)
    grid = Table("", "runs", *(key.replace("/", "/\n") for key in keys))
    for name, rows in groups.items():
        values = ([row.get(key) for row in rows] for key in keys)
        cells = ("-" if any(v is None for v in column) else interval(column) for column in values)
        own = " ".join(word for word in name if word not in shared)
        grid.add_row(own or "all", str(len(rows)), *cells)
    text = io.StringIO()
    Console(file=text, width=1000, highlight=False).print(grid)  # as wide as its words need, and no wider
    return f"{words}{': ' if common else ''}{common}\n{text.getvalue()}"


def jobs(root: Path) -> list[Path]:
    """Run folders below `root`, in the order of the jobs."""
    folders = (path.parent for path in root.rglob("status.json"))
    return sorted(folders, key=lambda folder: (int(folder.name) if folder.name.isdigit() else 0, str(folder)))


def overrides(folder: Path) -> list[str]:
    """A job's overrides but for those that only repeat it."""
    words = [str(word) for word in OmegaConf.load(folder / ".hydra" / "overrides.yaml")]
    return [word for word in words if word.split("=")[0] not in REPEATS]


def interval(values: Sequence[float]) -> str:
    """Mean and half the width of Student's interval for it, over independent runs; of one run the value."""
    from scipy.stats import t

    if len(values) == 1:
        return f"{values[0]:.4g}"
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return f"{np.mean(values):.4g} ± {half:.2g}"

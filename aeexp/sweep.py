"""What a multirun says when it is through: a failed job never hides the others, and repeated runs have a mean."""

from __future__ import annotations

import json
import logging
import math
import shlex
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

log = logging.getLogger(__name__)

REPEATS = ("seed", "dataset.split.fold", "dataset.split.seed")  # these repeat a run and do not change it
HEADLINES = ("loss", "reconstruction/mse", "probe/linear", "probe/knn")


class Summary(Callback):
    """Counts the finished jobs of a sweep, names each other one with its last word, and sets the exit code.

    Runs that differ in seed or fold alone are summed up in one line: mean over runs and its 95 % interval.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        root = Path(config.hydra.sweep.dir)
        states = {path.parent: json.loads(path.read_text()) for path in sorted(root.rglob("status.json"))}
        others = {folder: state for folder, state in states.items() if state["status"] != "finished"}
        for line in repeated([folder for folder in states if folder not in others]):
            log.info(line)
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


def repeated(folders: Sequence[Path]) -> list[str]:
    """One line for each group of at least two runs whose overrides differ in seed or fold alone."""
    groups = defaultdict(list)
    for folder in folders:
        groups[" ".join(overrides(folder))].append(json.loads((folder / "metrics.json").read_text())["test"])
    lines = []
    for name, rows in groups.items():
        if len(rows) < 2:
            continue
        keys = [key for key in HEADLINES if all(row.get(key) is not None for row in rows)]
        parts = (f"{key} {interval([row[key] for row in rows])}" for key in keys)
        lines.append(f"{name or 'defaults'}: {len(rows)} runs, test mean ± 95 % interval: {', '.join(parts)}")
    return lines


def overrides(folder: Path) -> list[str]:
    """A job's overrides but for those that only repeat it."""
    words = [str(word) for word in OmegaConf.load(folder / ".hydra" / "overrides.yaml")]
    return [word for word in words if word.split("=")[0] not in REPEATS]


def interval(values: Sequence[float]) -> str:
    """Mean and half the width of Student's interval for it, over independent runs."""
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return f"{np.mean(values):.4g} ± {half:.2g}"

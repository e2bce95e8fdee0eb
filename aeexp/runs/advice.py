"""What a finished run says of itself at its end, with a way out: it still improved, or it learned next to nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from aeexp.trainers.checkpoint import Progress
from aeexp.trainers.contracts import Trainer

log = logging.getLogger(__name__)

ERROR = "reconstruction/mse"
HARDLY = 0.9  # of the mean's error, above which the code tells next to nothing
FEW = 1000  # steps that most networks take to leave the mean behind
NOTHING = 0.1  # nats that a code may tell and still say nothing


def log_advice(metrics: Mapping[str, Any], trainer: Trainer, progress: Progress) -> None:
    """The last words of a run."""
    for line in advise(metrics, trainer, progress):
        log.warning("%s", line)


def advise(metrics: Mapping[str, Any], trainer: Trainer, progress: Progress) -> list[str]:
    """A line for each; none of a run that did well."""
    steps, key = progress.step - count_earlier_steps(progress), trainer.steps_key
    improving = bool(key) and trainer.is_improving(progress)
    lines = (
        [f"still improving: the best step was the last one, {progress.step}: {key}={2 * steps}"] if improving else []
    )
    line = compare_with_mean(metrics, steps, key, improving)
    return lines if line is None else [*lines, line]


def count_earlier_steps(progress: Progress) -> int:
    """Of the stages before the last one, such as layers that were pre-trained."""
    return max((row["step"] for row in progress.history if "/" in row["split"]), default=0)  # layer_1/val


def compare_with_mean(metrics: Mapping[str, Any], steps: int, key: str, improving: bool) -> str | None:
    """Why the test error is hardly below that of the mean of the training rows; None where it is, or none was measured.

    `key` is the path of the number of steps, "" where there is none.
    """
    errors = [row.get(ERROR) for row in (metrics["test"], *(metrics["baseline"].get(n, {}) for n in ("mean", "pca")))]
    own, mean, pca = errors
    if own is None or mean is None or own <= HARDLY * mean:
        return None
    head = f"next to nothing was learned: test error {own:.4g}, the mean of the training rows {mean:.4g}"
    beside = "" if pca is None else f", {metrics['baseline_names']['pca']} {pca:.4g}"
    trained, told = metrics.get("train", {}).get(ERROR), metrics["test"].get("latent/kl")
    if trained is not None and trained < HARDLY * HARDLY * own:
        cause = f"the training rows are learned by heart ({trained:.4g}): more rows, a penalty, or a smaller network"
    elif told is not None and told < NOTHING:
        cause = f"the code tells {told:.2g} nats: lower the weight of its penalty, or let it warm up"
    elif key and (steps < FEW or improving):
        cause = f"trained {steps} steps: {key}={max(FEW, 4 * steps)}"
    elif pca is not None and pca > HARDLY * mean:
        cause = "PCA does no better: a wider code (latent.dim), or rows that have little in common"
    else:
        cause = "another learning rate (optimizer.lr), or penalties of less weight"
    return f"{head}{beside}: {cause}"

"""Whether an objective means the same in every trial: a loss that the search itself reweighs has no best value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from aeexp.errors import UsageError
from aeexp.evaluation.protocol import LOSS
from aeexp.reports.declarations import SIZES
from aeexp.reports.grouping import ASIDE, REPEATS
from aeexp.reports.protocol import OF_TRAINING
from aeexp.reports.records import flatten

PURE = ("", "share", "accuracy", "dB")  # units that no preprocessing changes
PARTS = LOSS[0].alike  # what makes a loss another one
UNITS = "dataset."


def check_comparable(objectives: Sequence[str], trials: Iterable[DictConfig], searched: Iterable[str]) -> None:
    """Raises UsageError on an objective that means something else from trial to trial.

    `trials` are configurations between whose values all others lie, and `searched` the keys of intervals. As in a
    report a loss compares under one objective, likelihood, task and condition and under equal penalties alone, and a
    metric's number under what it declares (`Number.alike`).
    """
    configs = [_flatten(config) for config in trials]
    moved = {path for path in searched if path in configs[0]}
    for path in dict.fromkeys(path for config in configs for path in config):
        if len({repr(config.get(path)) for config in configs}) > 1:
            moved.add(path)
    moved -= {path for path in moved if path in SIZES or path in REPEATS or path in OF_TRAINING}
    moved -= {path for path in moved for aside in ASIDE if path == aside or path.startswith(f"{aside}.")}
    for name in objectives:
        if name != "best" and not name.startswith("val/"):
            continue
        key, what = _describe_objective(name, configs[0])
        parts = _list_parts(key, configs)
        if own := sorted(path for path in moved if path.startswith(tuple(parts))):
            raise UsageError(
                f"objectives={list(objectives)}: {what} is another thing at each {' and '.join(own[:2])}, and the "
                "search would only find where it counts least: take hydra.sweeper.objectives=[val/probe/linear] "
                "hydra.sweeper.directions=[maximize], or another number of val/... that means the same in every trial"
            )


def _flatten(config: DictConfig) -> dict[str, Any]:
    node = OmegaConf.to_container(config, resolve=False)
    assert isinstance(node, dict)
    return dict(flatten({str(key): value for key, value in node.items() if key != "hydra"}))


def _describe_objective(name: str, config: Mapping[str, Any]) -> tuple[str, str]:
    """The key of metrics.json, and words for it."""
    if name != "best":
        return name.removeprefix("val/"), name
    monitor = config.get("trainer.monitor", config.get("trainer.finetune.monitor", "loss")) or "loss"
    return ("loss" if monitor == "loss" else f"loss/{monitor}"), f"best, the validation {monitor},"


def _list_parts(key: str, configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Heads of paths that must not move for a number to stay the same."""
    if key == "loss/reconstruction":  # no penalty is in it
        return [UNITS, *(part for part in PARTS if part != "regularizer.")]
    if key == "loss" or key.startswith("loss/"):
        return [UNITS, *PARTS, *(["latent."] if key != "loss" or any(map(_has_terms, configs)) else [])]
    for target in dict.fromkeys(v for c in configs for k, v in c.items() if re.fullmatch(r"metric\.\w+\._target_", k)):
        for number in get_class(target).numbers:
            if re.fullmatch(number.pattern, key, re.DOTALL):
                return [*number.alike, *([] if number.unit in PURE else [UNITS])]
    return []


def _has_terms(config: Mapping[str, Any]) -> bool:
    """Whether the loss has terms of the code beside the reconstruction."""
    latent = config.get("latent._target_")
    return any(path.startswith("regularizer.") for path in config) or bool(latent and get_class(latent).terms)

"""What `aeexp-evaluate` and `run.evaluate` are asked: metrics and figures of a finished run, as overrides."""

from __future__ import annotations

import re
from collections.abc import Sequence

from omegaconf import DictConfig

from aeexp.errors import UsageError
from aeexp.runs.composing import compose_run
from aeexp.runs.config import check, make
from aeexp.runs.hydra_loader import compose_once

NAMES_DATA, OF_DATA = re.compile(r"\+?dataset="), re.compile(r"[+~]*dataset[=./]")  # words of another data set
# Keys; all else is as it was in training.
CHANGEABLE = re.compile(r"(metric|plot)(\.[\w.]+)?|\w+@(metric|plot)\.[\w.]+|device|threads")


def split_data_words(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Words of metrics and figures, and those of another data set, where one is named."""
    other = [word for word in overrides if OF_DATA.match(word)] if any(map(NAMES_DATA.match, overrides)) else []
    return [word for word in overrides if word not in other], other


def compose_evaluation(overrides: Sequence[str], beside: Sequence[str] = ()) -> tuple[DictConfig, DictConfig]:
    """aeexp's configuration with the asked metrics and plots, checked, and the same with their YAML's values; `beside`
    are words of other data and a seed."""
    for override in overrides:
        _check_changeable(override)
    keys = [override.partition("=")[0] for override in overrides]
    if not ({"metric", "plot"} & {key.split(".")[0] for key in keys}):
        raise UsageError(
            "nothing is asked for: name metrics or figures, as in metric=[probe] plot=[scatter]; aeexp-explain metric "
            "lists them"
        )
    groups = [f"{group}=none" for group in ("metric", "plot") if group not in keys]
    groups += [override for override in overrides if override.startswith(("metric=", "plot="))]
    words = [*groups, *(override for override in overrides if override not in groups), *beside]
    with compose_once():
        default, cfg = compose_run(groups).cfg, compose_run(words).cfg
    check(cfg)
    for group in ("metric", "plot"):
        make(cfg, group)  # what a constructor refuses is said before any run is loaded
    return cfg, default


def _check_changeable(override: str) -> None:
    """Refuse what cannot be changed of a finished run."""
    key = override.partition("=")[0]
    if key == "plot.every":
        raise UsageError(f"{override}: a film is of training, which is over: train with it, in another folder")
    if CHANGEABLE.fullmatch(key):
        return
    group = key.lstrip("+~").replace("/", ".").split(".")[0]
    if group in ("metric", "plot"):
        raise UsageError(f"{override}: give {group}=[...] and values below it, as in {group}.x.y=..., without + or ~")
    if group == "seed":
        raise UsageError(f"{override}: the run keeps its seed; metrics draw by their own, as in metric.probe.seed=1")
    raise UsageError(
        f"{override}: a finished run's model and data are as they were: aeexp-evaluate takes metric, plot, device and "
        "threads, and with dataset=... another data set; what else is to change is trained, by aeexp"
    )

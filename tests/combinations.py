"""Command lines drawn at random from conf/: options of each group, and values of their keys within their ranges."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from aeexp.reference.options import list_groups
from aeexp.runs.config import MULTIPLE, find_keys

DATASETS = {  # how often each is drawn: the last are made anew by each run, which takes seconds
    "digits": 6, "iris": 6, "wine": 6, "sine_waves": 3, "swiss_roll": 6, "colored_digits": 1, "textured_digits": 1,
    "sprites": 1,
}  # fmt: skip
SMALL = ("dataset.limit=90", "threads=1", "device=cpu")  # what a run of a moment needs
BUDGET = ("trainer.steps=2", "trainer.validate_every_steps=1", "trainer.batch_size=16")
# of these nothing is drawn
KEPT = {
    "steps",
    "epochs",
    "batch_size",
    "validate_every_steps",
    "limit",
    "finetune",
    "compile",  # a minute each
    "root",
    "path",
}
MOST = 24  # of a whole number: widths, rows and trees stay small


def draw_line(rng: random.Random) -> list[str]:
    """Overrides of one run: a variant, other options of up to four groups, a metric and sometimes a figure."""
    groups = list_groups()
    words = {"variant": rng.choice(groups["variant"]), "metric": f"[{rng.choice(groups['metric'])}]"}
    words["plot"] = f"[{rng.choice(groups['plot'])}]" if rng.random() < 0.3 else "none"
    open_groups = ["noise", "condition", "model", "latent", "likelihood", "regularizer", "objective", "optimizer",
                   "scheduler", "task", "dataset/split"]  # fmt: skip
    for group in rng.sample(open_groups, rng.randint(0, 4)):
        names = groups[group]
        several = group in MULTIPLE and rng.random() < 0.3
        words[group] = (
            f"[{','.join(sorted(set(rng.choices(names, k=2)) - {'none'}))}]" if several else rng.choice(names)
        )
    if rng.random() < 0.5:
        words["dataset"] = rng.choices(list(DATASETS), DATASETS.values())[0]
    return [f"{group}={option}" for group, option in words.items()]


def list_budget(cfg: DictConfig) -> list[str]:
    """What makes a composed run one of a moment."""
    if "steps" in cfg.trainer:
        return [*SMALL, *BUDGET]
    if "pretrain_epochs" in cfg.trainer:
        return [*SMALL, "trainer.pretrain_epochs=1", "trainer.finetune=null"]
    return list(SMALL)


def draw_values(rng: random.Random, cfg: DictConfig) -> list[str]:
    """Other values of up to four keys of what was chosen."""
    keys = [key for group in ("latent", "model", "likelihood", "objective", "optimizer", "scheduler", "trainer", "task",
                              "dataset", *MULTIPLE) for key in _list_keys(cfg, group)]  # fmt: skip
    drawn = []
    for path, hint in rng.sample(keys, min(len(keys), rng.randint(0, 4))):
        value = draw_value(rng, hint)
        if value is not None:
            drawn.append(f"{path}={value}")
    return drawn


def draw_value(rng: random.Random, hint: Any) -> str | None:
    """As it is typed; None where the type has no value to draw, as text has none."""
    if get_origin(hint) is Annotated:
        number, interval = get_args(hint)
        return str(_draw_number(rng, number, interval))
    if hint is bool:
        return rng.choice(["true", "false"])
    if hint is type(None):
        return "null"
    if get_origin(hint) is Literal:
        return str(rng.choice(get_args(hint)))
    if get_origin(hint) in (list, tuple, Sequence):
        items = [draw_value(rng, get_args(hint)[0]) for _ in range(rng.randint(0, 3))]
        return None if None in items else f"[{','.join(map(str, items))}]"
    if get_args(hint) and get_origin(hint) is not Mapping:
        return draw_value(rng, rng.choice(get_args(hint)))
    return None


def _draw_number(rng: random.Random, number: type, interval: Any) -> float | int:
    low = float(interval.ge if interval.ge is not None else interval.gt)
    high = interval.le if interval.le is not None else interval.lt
    if number is int:
        return rng.randint(int(low), int(min(high if high is not None else MOST, max(low, MOST))))
    ends = [end for end in (interval.ge, interval.le) if end is not None]
    if ends and rng.random() < 0.2:
        return rng.choice(ends)
    top = high if high is not None else 10.0 ** rng.randint(-3, 3)
    return round(low + (top - low) * (0.001 + 0.998 * rng.random()), 6)


def _list_keys(cfg: DictConfig, path: str) -> Iterator[tuple[str, Any]]:
    node = OmegaConf.select(cfg, path)
    if not isinstance(node, DictConfig):
        return
    if "_target_" in node:
        names, hints = find_keys(get_object(node._target_), bool(node.get("_partial_")))
        yield from ((f"{path}.{name}", hints[name]) for name in names
                    if name in hints and name in node and name not in KEPT)  # fmt: skip
    for name in node:
        if name != "_target_" and name not in KEPT:
            yield from _list_keys(cfg, f"{path}.{name}")

"""Which jobs may be alike, read off their configurations: what is built in the end decides (`trainers.stacking`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

# Numbers below these keys may become numbers of tensors, of the optimizer or of its schedule.
MAY_DIFFER = {
    "noise", "regularizer", "objective", "latent", "likelihood", "condition", "task", "optimizer", "scheduler", "seed",
}  # fmt: skip
NO_MATTER = {"hydra", "metric", "plot", "save_codes"}  # to training


def group_jobs(configs: Sequence[DictConfig]) -> list[list[int]]:
    """The places of those that may be alike, in the order of the first of each."""
    groups: dict[str, list[int]] = {}
    for place, config in enumerate(configs):
        groups.setdefault(describe(config), []).append(place)
    return list(groups.values())


def describe(config: DictConfig) -> str:
    """All that must be the same."""
    tree = OmegaConf.to_container(config, resolve=False)
    assert isinstance(tree, dict)
    split = tree.get("dataset", {}).get("split")
    if isinstance(split, dict) and "fold" in split:  # as many rows in each, or nearly
        split["fold"] = 0
    kept = {key: _blank(value) if key in MAY_DIFFER else value for key, value in tree.items() if key not in NO_MATTER}
    return json.dumps(kept, sort_keys=True, default=str)


def _blank(value: Any) -> Any:
    """The same without its numbers."""
    if isinstance(value, dict):
        return {key: _blank(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_blank(each) for each in value]
    return 0 if isinstance(value, int | float) and not isinstance(value, bool) else value


def cut(groups: Sequence[Sequence[int]], processes: int) -> list[list[int]]:
    """The groups in parts for so many processes, the largest first: none has more than its share of all jobs."""
    share = -(-sum(map(len, groups)) // processes)
    parts = []
    for group in groups:
        count = -(-len(group) // share)
        parts += [list(group[i::count]) for i in range(count)]
    return sorted(parts, key=len, reverse=True)

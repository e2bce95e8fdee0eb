"""Which run it is: its id, and its row in the table of hyperparameters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# The columns of the HParams table; where a run computes, what it measures and draws are none.
HYPERPARAMETERS = ("variant", "experiment", "dataset", "task", "noise", "condition", "model", "latent", "likelihood",
                   "regularizer", "objective", "optimizer", "scheduler", "trainer", "seed")  # fmt: skip


def hyperparameters(config: Mapping[str, Any], choices: Mapping[str, Any]) -> dict[str, Any]:
    """Chosen options and every value below them, flat, for one row of the HParams table."""
    flat: dict[str, Any] = {group: choices[group] for group in HYPERPARAMETERS if group in choices}
    for group in ("noise", "regularizer"):  # of several options, which Hydra's choices do not name
        flat[group] = ", ".join(config.get(group, {})) or "none"

    def walk(tree: Mapping[str, Any], prefix: str) -> None:
        for key, value in tree.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{key}.")
            elif not key.startswith("_"):
                flat[prefix + key] = value

    walk({key: value for key, value in config.items() if key in HYPERPARAMETERS}, "")
    return flat


def run_id(config: Mapping[str, Any]) -> str:
    """A hash of the whole configuration but for where it goes on from."""
    named = {key: value for key, value in config.items() if key != "resume"}
    return hashlib.blake2b(json.dumps(named, sort_keys=True).encode(), digest_size=8).hexdigest()

"""Run folders as the command leaves them, with the numbers that a test gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from declared import METRICS, declare

CONFIG = {
    "seed": 0,
    "threads": 1,
    "device": "auto",
    "noise": {},
    "regularizer": {},
    "metric": {"probe": {"_target_": "aeexp.metrics.Probe", "rows": 5000, "budgets": None}},
    "plot": {},
    "dataset": {
        "_target_": "aeexp.datasets.digits",
        "name": "digits",
        "limit": None,
        "labelled": None,
        "standardise": False,
        "binarise": "none",
        "split": {"_target_": "aeexp.datasets.Fractions", "fractions": [8, 1, 1], "seed": 0},
    },
    "task": {"_target_": "aeexp.tasks.Reconstruct"},
    "condition": {"_target_": "aeexp.conditions.Unconditional"},
    "latent": {"_target_": "aeexp.latents.Deterministic", "dim": 16},
    "likelihood": {"_target_": "aeexp.likelihoods.Gaussian"},
    "objective": {"_target_": "aeexp.objectives.Additive"},
    "trainer": {"epochs": 5},
}
CHOICES = {"variant": "undercomplete", "dataset": "digits", "hydra/job_logging": "default"}


def job(
    folder: Path,
    *overrides: str,
    status: str = "finished",
    message: str | None = None,
    data: Mapping[str, Any] | None = None,
    baseline: Mapping[str, Mapping[str, float]] | None = None,
    config: Mapping[str, Any] | None = None,
    ended: str = "2026-01-01",
    **test: float | None,
) -> Path:
    """`a__b` in `test` is the key a/b; `config` are dotted paths beside those that the overrides set."""
    (folder / ".hydra").mkdir(parents=True)
    tree = json.loads(json.dumps(CONFIG))
    given = {key: json_or_text(value) for key, _, value in (word.partition("=") for word in overrides)}
    for path, value in {**given, **(config or {})}.items():
        place(tree, path, value)
    (folder / ".hydra" / "config.yaml").write_text(json.dumps(tree))
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(list(overrides)))
    (folder / ".hydra" / "hydra.yaml").write_text(json.dumps({"hydra": {"runtime": {"choices": CHOICES}}}))
    (folder / "status.json").write_text(json.dumps({"status": status, "message": message, "ended": ended}))
    if status == "finished":
        rows = {"train": 80, "val": 10, "test": 10}
        node = {"name": "digits", "fingerprint": "f", "rows": rows, **(data or {})}
        named = {key.replace("__", "/"): value for key, value in test.items()}
        metrics = {"test": named, "val": {}, "baseline": baseline or {}, "data": node}
        metrics |= {"numbers": declare(named), "metrics": METRICS}
        (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def place(tree: dict, path: str, value: Any) -> None:
    """Options of a group (`variant`, `latent/prior`) are no paths of the tree."""
    *parents, last = path.split(".")
    if path in ("variant", "dataset", "experiment") or "/" in path:
        return
    for name in parents:
        tree = tree.setdefault(name, {})
    tree[last] = value

"""Run folders as the command leaves them, with the numbers that a test gives them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
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
    intervals: Mapping[str, Any] | None = None,
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
        metrics |= {} if intervals is None else {"intervals": intervals}
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


def write_two(root: Path, seeds: Iterable[int] = range(4)) -> Path:
    """a has the lower error and b the better probe, by far more than seeds spread."""
    rng = np.random.default_rng(0)
    for i, (variant, mse, accuracy) in enumerate((("a", 1.0, 0.5), ("b", 2.0, 0.9))):
        for seed in seeds:
            more = 0.1 * rng.random(2)
            values = {"reconstruction__mse": mse + more[0], "probe__linear": accuracy + 0.1 * more[1]}
            settings = (f"variant={variant}", f"seed={seed}")
            job(root / str(10 * i + seed), *settings, config={"latent.dim": i + 2}, **values)
    return root


def write_sweep(root: Path) -> dict[str, dict[tuple[str, str], list[float]]]:
    """2 variants x 2 widths x 3 seeds, whose means differ by more and by less than seeds spread; the numbers of the
    seeds by key, variant and width."""
    rng = np.random.default_rng(1)
    numbers: dict[str, dict[tuple[str, str], list[float]]] = {"reconstruction/mse": {}, "probe/linear": {}}
    levels = itertools.product(("undercomplete", "sparse_l1"), ("2", "8"))
    for i, ((variant, width), mse, accuracy) in enumerate(
        zip(levels, (9, 5, 9.2, 5.5), (0.6, 0.8, 0.7, 0.81), strict=True)
    ):
        common = rng.normal(size=(3, 1))  # of a seed in all groups, which pairs take away
        values = [mse, accuracy] + 0.05 * common * [1, 0.1] + rng.normal(size=(3, 2)) * [0.05, 0.01]
        numbers["reconstruction/mse"][variant, width], numbers["probe/linear"][variant, width] = values.T.tolist()
        for seed, (error, share) in enumerate(values.tolist()):
            settings = (f"variant={variant}", f"latent.dim={width}", f"seed={seed}")
            sparse = {"regularizer.l1.weight": 0.1} if variant == "sparse_l1" else {}
            job(root / str(3 * i + seed), *settings, config=sparse, reconstruction__mse=error, probe__linear=share)
    return numbers


def adjust(ps: Sequence[float]) -> list[float]:
    """Holm's, from its definition: the i-th smallest of n counts n - i + 1 times, and never less than one before."""
    order = np.argsort(ps)
    steps = np.maximum.accumulate([min(1.0, (len(ps) - rank) * ps[i]) for rank, i in enumerate(order)])
    return [float(steps[list(order).index(i)]) for i in range(len(ps))]

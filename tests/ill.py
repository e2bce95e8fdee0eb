"""Numbers and configurations by hand: for each rule a run that has the illness by a hair, and one that has not."""

from __future__ import annotations

import copy
import functools
from typing import Any, NamedTuple

from composing import composed

from aeexp.diagnoses import Facts
from aeexp.runs.config import to_dict
from aeexp.runs.flat import flatten

ERROR, GAP, DEAD, USED = "reconstruction/mse", "generalisation/ratio_mse", "latent/dead_units", "latent/codes_used"
HEALTHY: dict[str, Any] = {
    "monitor": "val/loss", "best": 0.7, "best_step": 540,
    "curve": {"steps": 600, "earlier_steps": 0, "validations": 50, "last_quarter": 0.004, "swing": 0.05},
    "train": {ERROR: 0.6},
    "val": {ERROR: 0.72, "latent/dead_units": 0.0},
    "test": {ERROR: 0.7, GAP: 1.17, "loss/reconstruction": 0.7, "probe/linear": 0.95, "probe/knn": 0.97,
             "latent/dead_units": 0.0, "latent/sparsity": 0.26, "latent/mean_activation": 0.1, "latent/l0": 16.0},
    "baseline": {"pca": {ERROR: 0.74}, "mean": {ERROR: 4.7}, "raw": {"probe/linear": 0.96, "probe/knn": 0.99}},
    "intervals": {
        "test": {ERROR: [0.66, 0.74], GAP: [1.1, 1.24], "probe/linear": [0.92, 0.98], "probe/knn": [0.95, 0.99]},
        "baseline": {"pca": {ERROR: [0.70, 0.78]}, "raw": {"probe/linear": [0.93, 0.98], "probe/knn": [0.97, 1.0]}},
    },
    "baseline_names": {"pca": "PCA, width 16", "mean": "the mean", "raw": "raw input"},
    "data": {"name": "digits", "shape": [1, 8, 8]},
    "warnings": [],
}  # fmt: skip
VAE = {"latent/kl": 6.0, "latent/collapsed_units": 2.0, "latent/active_units": 14.0, "loss/kl": 6.0}
DRAWN = {"test": VAE, "val": VAE}
FAR = {
    f"generation/frechet_{who}_n180_v1-00": value
    for who, value in (("gaussian", 8.1), ("reconstruction", 1.0), ("floor", 1.0))
}


class Case(NamedTuple):
    """Words of the run, what differs from HEALTHY in the ill run, and beside that in the one that just is not."""

    name: str
    words: tuple[str, ...]
    ill: dict[str, Any]
    well: dict[str, Any]


CASES = (
    Case("rate too high", (), {"curve": {"swing": 1.01}}, {"curve": {"swing": 0.99}}),
    Case("posterior collapse", ("variant=vae",), {"test": {"latent/kl": 0.6931}, "val": {"latent/kl": 0.69}},
         {"val": {"latent/kl": 0.6932}}),
    Case("next to nothing was learned", (), {"test": {ERROR: 4.24}, "val": {ERROR: 4.24}}, {"val": {ERROR: 4.22}}),
    Case("memorised", (), {"test": {GAP: 2.2}, "intervals": {"test": {GAP: [2.01, 2.4]}}},
         {"intervals": {"test": {GAP: [1.99, 2.4]}}}),
    Case("attribute leaks", ("variant=fair_vae",),
         {"test": {"fairness/leakage_over_raw_linear": 0.2, "fairness/leakage_over_raw_least_linear": 0.01}},
         {"test": {"fairness/leakage_over_raw_least_linear": -0.01}}),
    # intervals of ± 0.04 each: 0.0566 together
    Case("worse than PCA", (), {"test": {ERROR: 0.798}, "intervals": {"test": {ERROR: [0.758, 0.838]}}},
         {"test": {ERROR: 0.796}}),
    Case("stopped before it converged", (), {"best_step": 600, "curve": {"last_quarter": 0.031}},
         {"curve": {"last_quarter": 0.029}}),
    Case("dead units", ("variant=k_sparse", "latent.dim=64"), {"test": {DEAD: 17.0}, "val": {DEAD: 17.0}},
         {"val": {DEAD: 16.0}}),
    Case("unused codebook", ("variant=vq_vae",), {"test": {USED: 15.0}}, {"val": {USED: 16.0}}),
    Case("not sparse", ("variant=sparse_kl",), {"test": {"latent/mean_activation": 0.21}},
         {"val": {"latent/mean_activation": 0.19}}),
    Case("no sampler reaches the codes", (), {"test": FAR}, {"test": {"generation/frechet_gaussian_n180_v1-00": 7.9}}),
    # of knn: ± 0.02 and ± 0.015, 0.025 together; of linear ± 0.03 and ± 0.025, 0.039
    Case("probes read less than of raw input", (), {"test": {"probe/linear": 0.92, "probe/knn": 0.96}},
         {"test": {"probe/knn": 0.966}}),
    Case("empty baseline", ("latent.dim=64",), {"baseline": {"pca": None}}, {"data": {"shape": [1, 8, 9]}}),
)  # fmt: skip


def merge(tree: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A copy with the change in it; None takes a key away."""
    merged = copy.deepcopy(tree)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key, {}), value) if isinstance(value, dict) else value
    return merged


@functools.cache
def configure(*words: str) -> dict[str, Any]:
    return dict(flatten(to_dict(composed(*words))))


def facts(case: Case, *changes: dict[str, Any]) -> Facts:
    tree = merge(HEALTHY, DRAWN) if "vae" in " ".join(case.words) and "vq" not in case.words[0] else HEALTHY
    for change in changes:
        tree = merge(tree, change)
    return Facts(tree, configure(*case.words))

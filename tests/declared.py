"""What metrics.json declares of numbers and options, for run folders that no run has written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

HEADLINES = (
    r"loss|reconstruction/mse|probe/(linear|knn)"
    r"|generation/(nll|cross_entropy_bound)(_given_(label|attribute))?(_density)?(_fixed|_per_epoch)?(_per_step)?"
    r"|disentanglement/(mig|dci_disentanglement|sap|factor_vae)|classification/accuracy"
    r"|fairness/(accuracy|leakage_balanced|parity_gap)_forest|retrieval/(map|precision_radius_2)"
    r"|inpainting/mse|anomaly/(auroc|average_precision)|segmentation/(mean_iou|pixel_accuracy)|clustering/nmi"
)
DIRECTIONS = (  # the first that a key fits
    (r".*_(se|k)", None), (r"loss", "lower"), (r"(loss|latent|generalisation)/.*", None),
    (r"reconstruction/(psnr|ssim)", "higher"), (r"reconstruction/.*", "lower"),
    (r"generation/(elbo|cross_entropy_elbo).*", "higher"), (r"generation/(nll|cross_entropy_bound).*", "lower"),
    (r"probe/.*", "higher"), (r"classification/accuracy", "higher"), (r"disentanglement/.*", "higher"),
    (r"fairness/accuracy_.*", "higher"), (r"fairness/(leakage|parity_gap|odds_gap)_.*", "lower"),
    (r"retrieval/(map|precision_.*)", "higher"), (r"inpainting/psnr", "higher"), (r"inpainting/mse.*", "lower"),
    (r"segmentation/.*", "higher"), (r"anomaly/(auroc|average_precision)", "higher"), (r"clustering/.*", "higher"),
)  # fmt: skip
UNITS = (
    (r".*_k", "count"), (r".*(nats|/kl|nll|cross_entropy).*", "nats per example"), (r".*psnr", "dB"),
    (r".*/mse", "squared error per example"), (r"probe/.*|.*accuracy.*", "accuracy"), (r"loss(/.*)?", "per example"),
    (r"latent/.*_units", "units"),
)  # fmt: skip
ALIKE = (
    (r"loss", ["objective.", "likelihood.", "regularizer.", "task.", "condition."]),
    (
        r"(reconstruction|generation)/(nats|nll|elbo|cross_entropy)(?!.*bits_per_dim).*",
        ["likelihood._target_", "task."],
    ),
    (r"(reconstruction|inpainting|segmentation|generalisation)/.*", ["task."]),
)
METRICS = {
    "probe": {"in_keys": ["budgets", "classifiers"], "harmless": []},
    "generation": {"in_keys": [], "harmless": ["chunk", "samples"]},
}


def declare(keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The table `numbers`; a key of no metric, such as mine/score, is left out."""
    return {key: _declare(key) for key in keys if any(re.fullmatch(pattern, key) for pattern, _ in DIRECTIONS)}


def _declare(key: str) -> dict[str, Any]:
    return {
        "better": next(better for pattern, better in DIRECTIONS if re.fullmatch(pattern, key)),
        "unit": next((unit for pattern, unit in UNITS if re.fullmatch(pattern, key)), ""),
        "headline": bool(re.fullmatch(HEADLINES, key)),
        "alike": next((parts for pattern, parts in ALIKE if re.fullmatch(pattern, key)), []),
        "of_labels": key.split("/")[0] in ("probe", "retrieval", "clustering", "robustness"),
        "counts": bool(re.fullmatch(r"generation/\w+_k", key)),
    }

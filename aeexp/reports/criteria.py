"""Which number is better, and of which runs it may be compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from aeexp.reports.records import Record

Better = Literal["lower", "higher"]

HEADLINES = (  # columns of a table, in the order in which they were measured
    r"loss|reconstruction/mse|probe/(linear|knn)"
    r"|generation/(nll|cross_entropy_bound)(_given_(label|attribute))?(_density)?(_fixed|_per_epoch)?(_per_step)?"
    r"|disentanglement/(mig|dci_disentanglement|sap|factor_vae)|classification/accuracy"
    r"|fairness/(accuracy|leakage_balanced|parity_gap)_forest|retrieval/(map|precision_radius_2)"
    r"|inpainting/mse|anomaly/(auroc|average_precision)|segmentation/(mean_iou|pixel_accuracy)|clustering/nmi"
)

# The first pattern that a whole key fits decides; None: more is neither better nor worse.
DIRECTIONS: tuple[tuple[str, Better | None], ...] = (
    (r".*_(se|k)", None),  # standard errors and counts
    (r"loss", "lower"),
    (r"loss/.*", None),  # a term alone can be had at the cost of the others
    (r"latent/.*", None),
    (r"generalisation/.*", None),  # a constant generalises without a gap
    (r"reconstruction/(psnr|ssim)", "higher"),
    (r"reconstruction/.*", "lower"),
    (r"generation/(elbo|cross_entropy_elbo).*", "higher"),
    (r"generation/(nll|cross_entropy_bound).*", "lower"),
    (r"generation/frechet_floor_.*", None),  # of the data against itself
    (r"generation/frechet_.*", "lower"),
    (r"probe/.*", "higher"),
    (r"classification/accuracy.*", "higher"),
    (r"classification/nats", "lower"),
    (r"disentanglement/.*", "higher"),
    (r"fairness/(.*_majority|parity_gap_labels)", None),  # of the data, whatever the codes
    (r"fairness/accuracy_.*", "higher"),
    (r"fairness/(leakage|parity_gap|odds_gap)_.*", "lower"),
    (r"retrieval/(map|precision_.*)", "higher"),
    (r"retrieval/(empty_.*|duplicates)", None),  # an empty answer counts as precision 0 already
    (r"inpainting/psnr", "higher"),
    (r"inpainting/mse.*", "lower"),
    (r"segmentation/.*", "higher"),
    (r"anomaly/(auroc|average_precision).*", "higher"),
    (r"anomaly/share", None),
    (r"clustering/.*(nmi|ari|accuracy|purity|homogeneity|completeness|silhouette).*", "higher"),
    (r"\w+/(\w+_)?(trustworthiness|continuity)(_\w+)?", "higher"),
    (r"robustness/.*(mse|error).*", "lower"),
    (r"robustness/.*(accuracy|probe|linear|knn|svm|psnr|ssim).*", "higher"),
)

# A key of these compares only where all runs agree in the parts of the configuration; `.` ends a whole part.
ALIKE: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"loss", ("objective.", "likelihood.", "regularizer.", "task.", "condition.")),
    (r"reconstruction/(nats|cross_entropy)(?!.*bits_per_dim).*", ("likelihood._target_", "task.")),
    (r"generation/(nll|elbo|cross_entropy)(?!.*bits_per_dim).*", ("likelihood._target_", "task.")),
    (r"(reconstruction|inpainting|segmentation|generalisation|robustness)/.*", ("task.",)),
)
OF_LABELS = r"(probe|retrieval|clustering|robustness)/.*"  # what a code scores in that was told the label
TOLD = "condition=label tells the encoder the label, and others not"
SIZES = ("latent.dim",)  # a loss of other width is the same loss


def better(key: str) -> Better | None:
    return next((way for pattern, way in DIRECTIONS if re.fullmatch(pattern, plain(key))), None)


def known(key: str) -> bool:
    """Whether the table says something of a key, be it that there is no better."""
    return any(re.fullmatch(pattern, plain(key)) for pattern, _ in DIRECTIONS)


def plain(key: str) -> str:
    """Without the options that aeexp-evaluate names: probe/linear_n10 [draws=9]."""
    return key.partition(" [")[0]


def headlines(keys: Sequence[str]) -> list[str]:
    return [key for key in keys if re.fullmatch(HEADLINES, key)]


def incomparable(key: str, records: Sequence[Record]) -> str | None:
    """Why a key's numbers are not of one thing in these runs, as words; None where they are."""
    parts = dict.fromkeys(part for pattern, parts in ALIKE if re.fullmatch(pattern, key) for part in parts)
    if key == "loss" and any(k.startswith("loss/") and k != "loss/reconstruction"
                             for record in records for k in record.metrics["test"]):  # fmt: skip
        parts["latent."] = None  # the code has a term of its own
    unlike = [part.split(".")[0] for part in parts if len({_settings(record, part) for record in records}) > 1]
    if unlike:
        names = list(dict.fromkeys(unlike))
        return f"{', '.join(names)} differ{'s' if len(names) == 1 else ''} between runs"
    if re.fullmatch(OF_LABELS, key) and len({told(record) for record in records}) > 1:
        return TOLD
    return None


def _settings(record: Record, part: str) -> tuple:
    return tuple((key, repr(value)) for key, value in record.config.items()
                 if key.startswith(part) and key not in SIZES)  # fmt: skip


def told(record: Record) -> bool:
    """Whether the encoder was given the label, and did not have to infer it."""
    condition, objective = (str(record.config.get(f"{part}._target_")) for part in ("condition", "objective"))
    return condition.endswith(".Label") and not objective.endswith(".SemiSupervised")

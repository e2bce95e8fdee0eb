"""Whether what was not trained on is reconstructed worse."""

from __future__ import annotations

import logging
from typing import ClassVar, final

import numpy as np

from aeexp.evaluation import outliers
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.run import Run, Values
from aeexp.ranges import Seed, Several

log = logging.getLogger(__name__)


@final
class Anomaly(Metric):
    """AUROC and average precision of a row's score for "it is of a class that training did not see".

    The score is the squared error of the reconstruction, and (`auroc_elbo`) -ELBO where the code is stochastic. 0.5 is
    the AUROC of chance, below it anomalies look more normal than normal rows; `share`, that of anomalies, is the
    average precision of chance. Baselines are an isolation forest and the distance to the nearest row, learned from
    `rows` training rows, and PCA's own error. Of the test split under dataset.normal_classes alone, and left out where
    the model is told the label.

    Formula: AUROC = P(score of an abnormal row > score of a normal one), equal scores counting half

    Look at: which rows stand out and which are missed (plot=anomaly), beside PCA's AUROC.
    """

    figures = ("anomaly",)
    numbers: ClassVar = (
        Number("anomaly/auroc", "higher", "", headline=True, label="AUROC of anomalies"),
        Number("anomaly/average_precision", "higher", "", headline=True, label="average precision of anomalies"),
        Number("anomaly/(auroc|average_precision)_elbo", "higher", ""),
        Number("anomaly/share", None, "share"),
    )

    def __init__(self, rows: Several = 5000, seed: Seed = 0):
        self.rows = rows
        self.seed = seed

    def __call__(self, run: Run, split: str) -> Values:
        truth = outliers.find_abnormal(run) if split == "test" else None
        if truth is None:
            return {}
        if outliers.knows_label(run):
            log.info("anomaly: left out, since condition=label tells the model which rows are abnormal")
            return {}
        ranks = [rank_scores(truth, score, suffix) for suffix, score in outliers.score_by_model(run).items()]
        return {key: value for values in ranks for key, value in values.items()} | {
            "anomaly/share": float(truth.mean())
        }

    def baselines(self, run: Run, split: str) -> dict[str, Values]:
        """An isolation forest and the distance to the nearest training row."""
        truth = outliers.find_abnormal(run) if split == "test" else None
        if truth is None:
            return {}
        return {
            name: rank_scores(truth, s) for name, s in outliers.score_without_model(run, self.rows, self.seed).items()
        }


def rank_scores(truth: np.ndarray, score: np.ndarray, suffix: str = "") -> Values:
    """AUROC and average precision of scores (N,) for a bool (N,); no number where a score is none."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if not np.isfinite(score).all():
        return {f"anomaly/auroc{suffix}": float("nan"), f"anomaly/average_precision{suffix}": float("nan")}
    return {
        f"anomaly/auroc{suffix}": float(roc_auc_score(truth, score)),
        f"anomaly/average_precision{suffix}": float(average_precision_score(truth, score)),
    }

"""Whether what was not trained on is reconstructed worse."""

from __future__ import annotations

import logging
import math
from typing import ClassVar, final

import numpy as np

from aeexp.evaluation import outliers
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import DRAWS, Measured, measure_share, percentiles
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
    keeps: ClassVar = True
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
            "anomaly/share": measure_share(truth)
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
        nothing = Measured(math.nan, -math.inf, math.inf)
        return {f"anomaly/auroc{suffix}": nothing, f"anomaly/average_precision{suffix}": nothing}
    drawn = draw_ranks(truth, score)
    return {
        f"anomaly/auroc{suffix}": percentiles(float(roc_auc_score(truth, score)), drawn[0]),
        f"anomaly/average_precision{suffix}": percentiles(float(average_precision_score(truth, score)), drawn[1]),
    }


def draw_ranks(truth: np.ndarray, score: np.ndarray) -> np.ndarray:
    """(2, DRAWS) AUROC and average precision of draws of the rows with replacement; the scores are sorted once."""
    draw, rows = np.random.default_rng(0), len(truth)
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # of the rows that score alike
    values = []
    for _ in range(DRAWS):
        weights = np.bincount(draw.integers(rows, size=rows), minlength=rows)[order]
        hits, misses = (np.cumsum(weights * part[order])[last] for part in (truth, ~truth))
        if not hits[-1] or not misses[-1]:
            continue
        gained = np.diff(hits, prepend=0) / hits[-1]
        missed = (misses - np.diff(misses, prepend=0) / 2) / misses[-1]  # ties count half
        values.append((1 - (gained * missed).sum(), (gained * hits / np.maximum(hits + misses, 1)).sum()))
    return np.array(values).T if values else np.full((2, 1), np.nan)

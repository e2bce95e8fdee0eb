"""What a simple classifier reads from the codes."""

from __future__ import annotations

import logging
import warnings

import numpy as np

from aeexp.evaluate import Run, Values

log = logging.getLogger(__name__)


class Probe:
    """Accuracy of a linear probe and of k nearest neighbours, fitted on `rows` labelled training codes.

    The linear probe is logistic regression (L2, C = 1) on codes standardised by the fitted rows; neighbours are
    those of the codes as they are, which on pixels is the stronger baseline. Rows are the same for every model
    of the same data, so that codes, PCA codes and raw input are compared fairly.
    """

    of_codes = True

    def __init__(self, rows: int = 5000, neighbours: int = 5, seed: int = 0):
        self.rows = rows
        self.neighbours = neighbours
        self.seed = seed

    def __call__(self, run: Run, split: str) -> Values:
        if not run.data.labelled:
            return {}
        probes = run.once(("probe", self.rows, self.neighbours, self.seed), lambda: self.fit(run))
        codes, labels = labelled(run, split)
        return {f"probe/{name}": float(probe.score(codes, labels)) for name, probe in probes.items()}

    def fit(self, run: Run) -> dict:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        codes, labels = labelled(run, "train")
        chosen = np.random.default_rng(self.seed).permutation(len(codes))[: self.rows]
        codes, labels = codes[chosen], labels[chosen]
        if len(np.unique(labels)) < 2:
            log.info("probe: left out, since the training rows of %s have one class only", run.data.name)
            return {}
        probes = {
            "linear": make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)),
            "knn": KNeighborsClassifier(min(self.neighbours, len(codes))),
        }
        with warnings.catch_warnings():
            # 200 iterations of L-BFGS are the protocol; a probe that is still improving is a probe all the same.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return {name: probe.fit(codes, labels) for name, probe in probes.items()}


def labelled(run: Run, split: str) -> tuple[np.ndarray, np.ndarray]:
    labels = run.labels(split)
    return run.codes(split)[labels >= 0], labels[labels >= 0]

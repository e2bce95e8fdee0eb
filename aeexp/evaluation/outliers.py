"""How unlike the training rows each test row is: scores that are higher the stranger a row, by a model and without."""

from __future__ import annotations

import logging

import numpy as np
import torch

from aeexp.datasets.core.split import Split
from aeexp.evaluation.run import Run
from aeexp.models.learner import choose_batch_size
from aeexp.objectives.bounds import log_weights

log = logging.getLogger(__name__)

SAMPLES = 8  # codes behind an estimate of the ELBO


def find_abnormal(run: Run) -> np.ndarray | None:
    """(N,) bool of the labelled test rows: is it of a class that training did not see?

    None where the data names no normal classes, or the test rows are all of one kind.
    """
    labels = run.labels("test")
    if run.data.normal is None or labels is None:
        return None
    strange = ~np.isin(labels[labels >= 0], run.data.normal)
    if 0 < strange.sum() < len(strange):
        return strange
    log.info("anomalies are left out: the test rows of %s are all of one kind", run.data.name)
    return None


def knows_label(run: Run) -> bool:
    """Whether the model is told the label, which gives an anomaly away."""
    return run.model.condition.reads_label


def find_labelled(run: Run) -> np.ndarray:
    """(N,) places of the labelled test rows, of data with labels."""
    labels = run.labels("test")
    return np.arange(0) if labels is None else np.flatnonzero(labels >= 0)


def score_by_model(run: Run) -> dict[str, np.ndarray]:
    """(N,) scores of the labelled test rows: the squared error, and -ELBO in nats where the code is stochastic.

    The suffix of a metric's key by score; the error has none.
    """
    scores = {"": run.errors("test")}
    if run.model.latent.prior is not None:
        scores["_elbo"] = run.compute_once("negative_elbo", lambda: _negative_elbo(run))
    return {name: score[find_labelled(run)] for name, score in scores.items()}


@torch.no_grad()
def _negative_elbo(run: Run) -> np.ndarray:
    """Mean over drawn codes of -log p(x|z) p(z) / q(z|x): -ELBO but for the likelihood's constant."""
    model, parts = run.model, []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for batch in run.rows("test").batches(max(1, choose_batch_size(run.data.shape) // SAMPLES)):
            batch = run.learner.task(batch)
            weights, _, _ = log_weights(model, batch, batch.x, SAMPLES)
            parts.append(-weights.mean(0).cpu().numpy())
    return np.concatenate(parts)


def score_without_model(run: Run, rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """(N,) scores of the labelled test rows, learned from at most `rows` training rows; padding counts as 0.

    An isolation forest of 100 trees (Liu et al. 2008), and the distance to the nearest row.
    """
    return run.compute_once(("outliers", rows, seed), lambda: _without_model(run, rows, seed))


def _without_model(run: Run, rows: int, seed: int) -> dict[str, np.ndarray]:
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import NearestNeighbors

    train, test = _flat(run, run.rows("train").sample(rows, seed)), _flat(run, run.rows("test"))[find_labelled(run)]
    forest = IsolationForest(n_estimators=100, random_state=seed).fit(train)
    neighbours = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(train)
    return {"isolation_forest": -forest.score_samples(test), "nearest_neighbour": neighbours.kneighbors(test)[0][:, 0]}


def _flat(run: Run, split: Split) -> np.ndarray:
    """(N, F) rows as the model sees them, with the holes of task=inpaint."""
    batches = (run.learner.task(batch) for batch in split.batches(choose_batch_size(split.shape)))
    return np.concatenate([batch.x.flatten(1).cpu().numpy() for batch in batches])

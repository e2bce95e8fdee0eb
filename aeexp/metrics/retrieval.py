"""How well the nearest codes are of the same class: codes of bits as a search index."""

from __future__ import annotations

from typing import final

import numpy as np

from aeexp.errors import UsageError
from aeexp.evaluation import hashing, itq
from aeexp.evaluation.contracts import Metric
from aeexp.evaluation.run import Run, Values

CELLS = 1 << 22  # distances that are worked on at a time


@final
class Retrieval(Metric):
    """Training rows ranked by the Hamming distance of their bits from those of a query, as in semantic hashing.

    Queries are at most `queries` labelled rows of the split, drawn; relevant are training rows of the same class. A
    latent without bits gets them by the sign of its codes about the mean training code: for PCA that is PCA-sign.

    - `map`: mean average precision over the full ranking. Rows of one distance count as in random order (McSherry and
      Najork 2008), on average: constant codes score a class's share, not whatever the order of rows happens to give.
    - `precision_radius_2`: share of relevant rows among those within distance 2; a query that finds none counts 0.
    - `empty_radius_2`: share of queries that find none.
    - `duplicates`: share of training rows whose bits another row has too.

    Baselines beside PCA: `itq` with as many bits, fitted on the training input, and `raw`, the ranking by Euclidean
    distance of the input itself, which has a `map` alone.

    Formula: average precision of a query: mean of the precision at each relevant row; map: its mean over queries

    Look at: itq with as many bits; plot=neighbours.
    """

    def __init__(self, *, queries: int = 1000, iterations: int = 50, seed: int = 0):
        if queries < 1:
            raise UsageError(f"queries={queries} must be at least 1")
        if iterations < 1:
            raise UsageError(f"iterations={iterations} must be at least 1")
        self.queries = queries
        self.iterations = iterations
        self.seed = seed

    def __call__(self, run: Run, split: str) -> Values:
        train, codes = run.codes("train"), run.codes(split)
        if hashing.are_bits(train):
            return self.values(run, split, codes > 0.5, train > 0.5)
        mean = train.mean(0, dtype=np.float64)
        return self.values(run, split, codes > mean, train > mean)

    def baselines(self, run: Run, split: str) -> dict[str, Values]:
        if not run.data.is_labelled:
            return {}
        train, codes = run.raw().codes("train"), run.raw().codes(split)
        bits = itq.itq(train, run.model.latent.dim, self.iterations, self.seed)
        rows = {"itq": self.values(run, split, bits(codes), bits(train))}
        wanted, y = self.chosen(run, split)
        database, labels = run.labels("train") >= 0, run.labels("train")
        found = euclidean_precision(codes[wanted], y, train[database], labels[database])
        return rows | {"raw": {"retrieval/map": found}}

    def chosen(self, run: Run, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers of the queries and their labels."""
        labels = run.labels(split)
        known = np.flatnonzero(labels >= 0)
        rows = np.sort(np.random.default_rng(self.seed).permutation(known)[: self.queries])
        return rows, labels[rows]

    def values(self, run: Run, split: str, bits: np.ndarray, train: np.ndarray) -> Values:
        """For bits (N, D) of the split and (M, D) of the training rows."""
        packed = hashing.pack(train)
        groups = hashing.Index(packed, train.shape[1]).duplicates()
        values = {"retrieval/duplicates": sum(map(len, groups)) / len(train)}
        if not run.data.is_labelled:
            return values
        rows, y = self.chosen(run, split)
        labels = run.labels("train")
        counts = by_distance(hashing.pack(bits[rows]), y, packed[labels >= 0], labels[labels >= 0], train.shape[1])
        near = counts[:, :, :3].sum(2)  # within radius 2
        return {
            "retrieval/map": mean_average_precision(counts),
            "retrieval/precision_radius_2": float((near[1] / near[0].clip(min=1)).mean()),
            "retrieval/empty_radius_2": float((near[0] == 0).mean()),
            **values,
        }


def by_distance(query: np.ndarray, y: np.ndarray, database: np.ndarray, labels: np.ndarray, dim: int) -> np.ndarray:
    """(2, Q, dim + 1) how many rows lie at each Hamming distance from each query, and how many of its class.

    Packed bits (Q, W) with labels (Q,) against (N, W) with (N,): the ranking, up to the order within a distance.
    """
    counts = np.zeros((2, len(query), dim + 1), np.int64)
    step = max(1, CELLS // max(1, len(database)))
    for start in range(0, len(query), step):
        part = slice(start, start + step)
        far = hashing.distances(query[part], database)
        place = far + (dim + 1) * np.arange(len(far))[:, None]
        for kind, kept in ((0, place), (1, place[labels == y[part, None]])):
            found = np.bincount(kept.ravel(), minlength=len(far) * (dim + 1))
            counts[kind, part] = found.reshape(len(far), dim + 1)
    return counts


def mean_average_precision(counts: np.ndarray) -> float:
    """Of `by_distance`: what random order within a distance gives on average (McSherry and Najork 2008, section 3).

    After N rows of which R are relevant, n more with r relevant ones at one distance: place j of them is relevant
    with probability r / n, and then the precision there is (R + 1 + (j - 1) (r - 1) / (n - 1)) / (N + j) on average,
    whose sum over j has a closed form by harmonic numbers. A query without a relevant row is left out.
    """
    n, r = counts.astype(np.float64)
    before, hits = n.cumsum(1) - n, r.cumsum(1) - r
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, counts[0].sum(1).max(initial=0) + 1))])
    slope = (r - 1) / np.maximum(n - 1, 1) * (n > 1)
    over = harmonic[(before + n).astype(int)] - harmonic[before.astype(int)]
    inside = (hits + 1 - slope * (before + 1)) * over + slope * n
    relevant = r.sum(1)
    each = (r / np.maximum(n, 1) * inside).sum(1)[relevant > 0] / relevant[relevant > 0]
    return float(each.mean()) if len(each) else 0.0


def euclidean_precision(query: np.ndarray, y: np.ndarray, database: np.ndarray, labels: np.ndarray) -> float:
    """Mean average precision of rows (N, F) ranked by distance from queries (Q, F)."""
    squares, found = np.square(database).sum(1), []
    step = max(1, CELLS // max(1, len(database)))
    for start in range(0, len(query), step):
        far = squares - 2 * query[start : start + step] @ database.T
        for row, label in zip(far.argsort(1), y[start : start + step], strict=True):
            ranks = np.flatnonzero(labels[row] == label) + 1
            if len(ranks):
                found.append((np.arange(1, len(ranks) + 1) / ranks).mean())
    return float(np.mean(found)) if found else 0.0

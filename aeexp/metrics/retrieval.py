"""How well the nearest codes are of the same class: codes of bits as a search index."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from aeexp.evaluation import hashing
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import Measured, measure_mean, measure_share
from aeexp.ranges import Count, Seed

CELLS = 1 << 22  # distances that are worked on at a time


@final
class Retrieval(Metric):
    """Training rows ranked by the Hamming distance of their bits from those of a query, as in semantic hashing.

    Queries are at most `queries` labelled rows of the split, drawn; relevant are training rows of the same class. A
    latent without bits gets them by the sign of its codes about the mean training code.

    - `map`: mean average precision over the full ranking. Rows of one distance count as in random order (McSherry and
      Najork 2008), on average: constant codes score a class's share, not whatever the order of rows happens to give.
    - `precision_radius_2`: share of relevant rows among those within distance 2; a query that finds none counts 0.
    - `empty_radius_2`: share of queries that find none.
    - `duplicates`: share of training rows whose bits another row has too.

    Baselines: `pca_sign`, signs of as many components, and `itq` with as many bits, both of the training input; `raw`,
    the ranking by Euclidean distance of the input itself, which has a `map` alone.

    Formula: average precision of a query: mean of the precision at each relevant row; map: its mean over queries

    Look at: itq with as many bits; plot=neighbours.
    """

    keeps: ClassVar = True
    figures = ("neighbours",)
    needs_classes: ClassVar = True
    reads: ClassVar = ("codes", "labels")
    numbers: ClassVar = (
        Number("retrieval/map", "higher", "", headline=True, of_labels=True, label="mean average precision"),
        Number(
            "retrieval/precision_radius_2",
            "higher",
            "share",
            headline=True,
            of_labels=True,
            label="precision within radius 2",
        ),
        # an empty answer counts as precision 0 already
        Number("retrieval/empty_radius_2", None, "share", of_labels=True),
        Number("retrieval/duplicates", None, "share", of_labels=True, no_interval="it is of the training rows"),
    )

    def __init__(self, *, queries: Count = 1000, iterations: Count = 50, seed: Seed = 0):
        self.queries = queries
        self.iterations = iterations
        self.seed = seed

    def __call__(self, run: Run, split: str) -> Values:
        train, codes = run.codes("train"), run.codes(split)
        if hashing.are_bits(train):
            return self.measure(run, split, codes > 0.5, train > 0.5)
        mean = train.mean(0, dtype=np.float64)
        return self.measure(run, split, codes > mean, train > mean)

    def baselines(self, run: Run, split: str) -> dict[str, Values]:
        """PCA's signs and ITQ on the input, with as many bits, and the input's own ranking."""
        if not run.data.is_labelled or "inputs" in run.lacks:
            return {}
        train, codes = run.raw().codes("train"), run.raw().codes(split)
        width = run.model.latent.dim
        ways = {
            "pca_sign": hashing.pca_sign(train, width),
            "itq": hashing.itq(train, width, self.iterations, self.seed),
        }
        rows = {name: self.measure(run, split, bits(codes), bits(train)) for name, bits in ways.items()}
        wanted, y = self.choose_queries(run, split)
        database, labels = find_labelled(run, "train")
        return {**rows, "raw": {"retrieval/map": euclidean_precision(codes[wanted], y, train[database], labels)}}

    def choose_queries(self, run: Run, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers of the queries and their labels."""
        places, labels = find_labelled(run, split)
        chosen = np.sort(np.random.default_rng(self.seed).permutation(len(places))[: self.queries])
        return places[chosen], labels[chosen]

    def measure(self, run: Run, split: str, bits: np.ndarray, train: np.ndarray) -> Values:
        """For bits (N, D) of the split and (M, D) of the training rows."""
        packed = hashing.pack(train)
        groups = hashing.Index(packed, train.shape[1]).find_duplicates()
        values = {"retrieval/duplicates": sum(map(len, groups)) / len(train)}
        if not run.data.is_labelled:
            return values
        rows, y = self.choose_queries(run, split)
        database, labels = find_labelled(run, "train")
        counts = by_distance(hashing.pack(bits[rows]), y, packed[database], labels, train.shape[1])
        near = counts[:, :, :3].sum(2)  # within radius 2
        return {
            "retrieval/map": mean_average_precision(counts),
            "retrieval/precision_radius_2": measure_mean(near[1] / near[0].clip(min=1)),
            "retrieval/empty_radius_2": measure_share(near[0] == 0),
            **values,
        }


def find_labelled(run: Run, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Places (N,) and labels (N,) of the rows that have one, of every class."""
    labels = run.labels(split)
    assert labels is not None, "queries and database are those of labelled data"
    places = np.flatnonzero(labels >= 0)
    return places, labels[places]


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
            cells = np.bincount(kept.ravel(), minlength=len(far) * (dim + 1))
            counts[kind, part] = cells.reshape(len(far), dim + 1)
    return counts


def mean_average_precision(counts: np.ndarray) -> Measured:
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
    return measure_mean(each) if len(each) else Measured(0.0, 0.0, 0.0)


def euclidean_precision(query: np.ndarray, y: np.ndarray, database: np.ndarray, labels: np.ndarray) -> Measured:
    """Mean average precision of rows (N, F) ranked by distance from queries (Q, F)."""
    squares, precisions = np.square(database).sum(1), []
    step = max(1, CELLS // max(1, len(database)))
    for start in range(0, len(query), step):
        far = squares - 2 * query[start : start + step] @ database.T
        for row, label in zip(far.argsort(1), y[start : start + step], strict=True):
            ranks = np.flatnonzero(labels[row] == label) + 1
            if len(ranks):
                precisions.append((np.arange(1, len(ranks) + 1) / ranks).mean())
    return measure_mean(np.array(precisions)) if precisions else Measured(0.0, 0.0, 0.0)

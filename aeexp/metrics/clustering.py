"""Whether groups that k-means finds among the codes are the classes."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Literal, final

import numpy as np

from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.probes import select_labelled_codes
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import DRAWS, percentiles
from aeexp.ranges import Count, Seed, Several


@final
class Clustering(Metric):
    """Normalised mutual information, adjusted Rand index and accuracy of k-means clusters against the labels.

    Labels are read in scoring alone. Centres are those of at most `rows` training codes as they are, and rows of the
    split belong to the nearest one (`fitted` train), so that a cluster is held against new rows as a probe is; `fitted`
    split clusters the very rows that are scored, as studies of deep clustering do (Xie et al. 2016). There are as many
    clusters as classes unless `clusters` says otherwise. NMI is over the arithmetic mean of the entropies; the adjusted
    Rand index is 0 by chance (Hubert and Arabie 1985); `accuracy` is that of the best one-to-one naming of clusters.

    Formula: NMI = 2 I(cluster; label) / (H(cluster) + H(label))

    Look at: PCA and raw input beside it; a map of the codes (plot=scatter).
    """

    of_codes: ClassVar = True
    reads: ClassVar = ("codes", "labels")
    figures = ("scatter",)
    needs_classes: ClassVar = True
    numbers: ClassVar = (
        Number(
            "clustering/nmi",
            "higher",
            "",
            headline=True,
            of_labels=True,
            label="k-means clusters and classes: NMI",
        ),
        Number("clustering/ari", "higher", "", of_labels=True),
        Number("clustering/accuracy", "higher", "share", of_labels=True),
    )

    def __init__(
        self,
        rows: Count = 5000,
        clusters: Several | None = None,
        starts: Count = 10,
        fitted: Literal["train", "split"] = "train",
        seed: Seed = 0,
    ):
        self.rows = rows
        self.clusters = clusters
        self.starts = starts
        self.fitted = fitted
        self.seed = seed

    def __call__(self, run: Run, split: str) -> Values:
        if not run.data.is_labelled:
            return {}
        codes, labels = select_labelled_codes(run, split)
        where = split if self.fitted == "split" else "train"
        groups = run.compute_once(
            ("k-means", where, *map(str, vars(self).values())), lambda: self.fit_centres(run, where, labels)
        )
        found = groups.predict(codes)
        values = scores(labels, found)
        draw = np.random.default_rng(0)
        places = (draw.integers(len(labels), size=len(labels)) for _ in range(DRAWS))
        drawn = [scores(labels[at], found[at]) for at in places]
        return {
            f"clustering/{name}": percentiles(value, np.array([one[name] for one in drawn]))
            for name, value in values.items()
        }

    def fit_centres(self, run: Run, split: str, labels: np.ndarray) -> Any:
        """k-means of codes, labelled or not."""
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        codes = run.codes(split)
        codes = codes[np.random.default_rng(self.seed).permutation(len(codes))[: self.rows]]
        wanted = self.clusters or len(run.data.normal or run.data.classes) or len(np.unique(labels))
        # scikit-learn has no types: the checker takes n_init's default, a string, for all that there can be
        groups = KMeans(min(wanted, len(codes)), n_init=self.starts, random_state=self.seed)  # type: ignore
        with warnings.catch_warnings(), threadpool_limits(1):
            # Equal codes leave clusters empty: their scores say so.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return groups.fit(codes)

    def baselines(self, run: Run, split: str) -> dict[str, Values]:
        """The same on the codes of the network before training, where the encoder gets no side information."""
        untrained = run.random()
        return {} if untrained is None else {"random": self(untrained, split)}


def scores(labels: np.ndarray, groups: np.ndarray) -> Values:
    """`nmi`, `ari` and `accuracy` of clusters (N,) against labels (N,); names of neither matter."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    counts = contingency_matrix(labels, groups)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return {
        "nmi": float(normalized_mutual_info_score(labels, groups)),
        "ari": float(adjusted_rand_score(labels, groups)),
        "accuracy": float(counts[rows, columns].sum() / len(labels)),
    }

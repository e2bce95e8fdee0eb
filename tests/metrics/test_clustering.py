"""k-means on codes: 1 on one-hot labels, 0 on constants, and nobody's names matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.evaluation.protocol import baselines
from aeexp.evaluation.run import Run
from aeexp.metrics.clustering import Clustering, scores
from aeexp.models.learner import Learner
from aeexp.models.pca import identity
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.tasks.reconstruct import Reconstruct

LABELS = np.random.default_rng(0).integers(0, 4, 300)
GROUPS = (np.eye(4)[LABELS] * 3 + np.random.default_rng(1).normal(size=(300, 4))).astype(np.float32)


def coded(codes, labels=LABELS, classes="abcd") -> Run:
    """A run whose codes are these: 200 training and 100 test rows."""
    parts = {"train": slice(0, 200), "val": slice(200, 300), "test": slice(200, 300)}
    splits = {name: Split(Rows(codes[part].astype(np.float32), labels[part])) for name, part in parts.items()}
    data = Data("coded", splits, tuple(classes))
    return Run(Learner(Reconstruct(), identity(data.shape), Additive(Chain({}), {})), data)


def values(run: Run, **keys) -> dict[str, float]:
    return {key.split("/")[1]: value for key, value in Clustering(**keys)(run, "test").items()}


@pytest.mark.parametrize("fitted", ["train", "split"])
def test_one_hot_labels_are_found_and_a_constant_tells_nothing(fitted):
    assert values(coded(np.eye(4)[LABELS]), fitted=fitted) == pytest.approx({"nmi": 1, "ari": 1, "accuracy": 1})
    largest = np.bincount(LABELS[200:]).max() / 100  # one cluster, named after the largest class
    found = values(coded(np.full((300, 3), 0.7)), fitted=fitted)
    assert found == pytest.approx({"nmi": 0, "ari": 0, "accuracy": largest})


@given(names=st.permutations(range(4)), groups=st.permutations(range(5)), seed=st.integers(0, 99))
def test_the_names_of_classes_and_of_clusters_do_not_matter(names, groups, seed):
    drawn = np.random.default_rng(seed).integers(0, 5, 300)
    assert scores(np.array(names)[LABELS], np.array(groups)[drawn]) == pytest.approx(scores(LABELS, drawn))


def test_clusters_of_noise_are_those_of_chance():
    found = scores(LABELS, np.random.default_rng(5).integers(0, 4, 300))
    # N NMI 2 H / 2 of independent labellings is chi-squared with (4 - 1)^2 degrees: mean 9, sd 4.2; H = ln 4
    assert 0 <= found["nmi"] < (9 + 5 * 4.2) / (2 * 300 * np.log(4))
    # the sd of the Rand index over pairs is at most some 1 / 300
    assert abs(found["ari"]) < 5 / 300
    assert scores(np.array([0, 0, 1, 1]), np.array([2, 2, 2, 0]))["accuracy"] == 0.75


def test_labels_are_read_in_scoring_alone():
    hidden = LABELS.copy()
    hidden[:150] = -1  # of the training rows most
    assert values(coded(GROUPS, hidden)) == values(coded(GROUPS)) == values(coded(GROUPS))
    assert 0.3 < values(coded(GROUPS))["nmi"] < 1


def test_there_are_as_many_clusters_as_classes_unless_told():
    run = coded(GROUPS)
    assert len(Clustering().fit_centres(run, "train", LABELS).cluster_centers_) == 4
    assert len(Clustering(clusters=7).fit_centres(run, "train", LABELS).cluster_centers_) == 7
    assert len(Clustering(rows=3).fit_centres(run, "train", LABELS).cluster_centers_) == 3


def test_raw_input_is_a_baseline_and_without_labels_there_is_nothing():
    run = coded(GROUPS)
    assert baselines(run, {"clustering": Clustering()})["raw"] == Clustering()(run, "test")
    assert Clustering()(coded(GROUPS, np.full(300, -1)), "test") == {}

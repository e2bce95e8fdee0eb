"""Retrieval by bits: the ranking's average precision under ties, its baselines, and the figure of neighbours."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeexp.evaluation import hashing
from aeexp.evaluation.run import Run
from aeexp.latents.binary import Binary
from aeexp.latents.deterministic import Deterministic
from aeexp.metrics.retrieval import Retrieval, by_distance, euclidean_precision, mean_average_precision
from aeexp.plots.neighbours import Neighbours, find_nearest


def average_precision(relevant) -> float:
    """By its definition: the mean of the precision at each relevant place."""
    places = np.flatnonzero(relevant) + 1
    return float((np.arange(1, len(places) + 1) / places).mean())


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6).filter(lambda c: any(h for _, h in c))
)
def test_rows_of_one_distance_count_as_in_random_order_on_average(case):
    """Against every order of the rows that ascends in distance."""
    orders = [order for order in itertools.permutations(case) if [d for d, _ in order] == sorted(d for d, _ in case)]
    expected = np.mean([average_precision([hit for _, hit in order]) for order in orders])
    counts = np.zeros((2, 1, 4), np.int64)
    for distance, hit in case:
        counts[0, 0, distance] += 1
        counts[1, 0, distance] += hit
    assert mean_average_precision(counts) == pytest.approx(expected, rel=1e-12)


@given(st.integers(0, 2**32), st.sampled_from([3, 8, 70]))
def test_the_counts_are_those_of_each_distance(seed, dim):
    generator = np.random.default_rng(seed)
    query, database = generator.integers(0, 2, (5, dim)), generator.integers(0, 2, (40, dim))
    y, labels = generator.integers(0, 3, 5), generator.integers(0, 3, 40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aeexp.metrics.retrieval.CELLS", 100)  # several parts
        counts = by_distance(hashing.pack(query), y, hashing.pack(database), labels, dim)
    far = (query[:, None] != database).sum(2)
    for i, j in itertools.product(range(5), range(dim + 1)):
        assert counts[0, i, j] == (far[i] == j).sum()
        assert counts[1, i, j] == ((far[i] == j) & (labels == y[i])).sum()


def bits_run(build_learner, as_data, x, y, test=None, latent=None) -> Run:
    """The code is the sign of x itself."""
    learner = build_learner(x.shape[1:], latent=latent or Binary(dim=x.shape[1]))
    linear = learner.model.encoder.layers[0]
    linear.weight.data.copy_(linear.weight.data.new_tensor(np.eye(x.shape[1])))
    linear.bias.data.zero_()
    return Run(learner, as_data(x, y=y, classes=[str(i) for i in range(int(y.max()) + 1)]))


def test_the_class_itself_as_code_scores_1_and_a_constant_code_the_share_of_a_class(build_learner, as_data):
    y = np.arange(400) % 4
    perfect = (np.eye(4)[y] - 0.5).astype(np.float32)
    values = Retrieval()(bits_run(build_learner, as_data, perfect, y), "test")
    # Two classes differ in 2 bits: all rows lie within radius 2, a quarter of them relevant.
    expected = {"map": 1.0, "precision_radius_2": 0.25, "empty_radius_2": 0.0, "duplicates": 1.0}
    assert values == pytest.approx({f"retrieval/{name}": value for name, value in expected.items()})
    doubled = np.tile(perfect, 2)  # classes differ in 4 bits
    assert Retrieval()(bits_run(build_learner, as_data, doubled, y), "test")["retrieval/precision_radius_2"] == 1.0

    values = Retrieval()(bits_run(build_learner, as_data, np.ones_like(perfect), y), "test")
    # (1 - c) H_n / n + c, where c = 99 / 399 and n = 400: a relevant row that comes first by luck counts a little more
    c, n = 99 / 399, 400
    assert values["retrieval/map"] == pytest.approx((1 - c) * sum(1 / i for i in range(1, n + 1)) / n + c, rel=1e-9)
    assert values["retrieval/map"] == pytest.approx(0.25, abs=0.02)
    assert values["retrieval/precision_radius_2"] == 0.25


def test_codes_without_bits_are_their_signs_about_the_training_mean_and_pca_is_pca_sign(build_learner, digit_data):
    run = Run(build_learner(digit_data.shape, latent=Deterministic(8)), digit_data)
    measured = Retrieval(queries=50).baselines(run, "test")["pca_sign"]
    x, y = (run.raw().codes("train"), run.labels("train")), run.labels("test")
    bits = hashing.pca_sign(x[0], 8)
    rows, _ = Retrieval(queries=50).choose_queries(run, "test")
    queries = hashing.pack(bits(run.raw().codes("test")[rows]))
    counts = by_distance(queries, y[rows], hashing.pack(bits(x[0])), x[1], 8)
    assert measured["retrieval/map"] == mean_average_precision(counts)
    # float32 codes of aeexp.models.pca against float64: a code within 1e-6 of its mean may fall on the other side
    own = Retrieval(queries=50)(run.pca(), "test")
    assert measured["retrieval/map"] == pytest.approx(own["retrieval/map"], abs=1e-3)
    assert len(rows) == 50 == len(np.unique(rows))


def test_the_baselines_are_itq_and_the_input_by_distance(build_learner, digit_data):
    run = Run(build_learner(digit_data.shape, latent=Binary(dim=16)), digit_data)
    found = Retrieval(iterations=10).baselines(run, "test")
    assert set(found) == {"pca_sign", "itq", "raw"} and set(found["raw"]) == {"retrieval/map"}
    assert set(found["itq"]) == set(Retrieval()(run, "test"))
    pca = found["pca_sign"]["retrieval/map"]
    assert (
        0.1 < pca < found["itq"]["retrieval/map"] < 1
    )  # the rotation is what ITQ is for (Gong and Lazebnik, figure 2)


def test_the_precision_of_a_ranking_by_distance_is_that_of_sklearn():
    from sklearn.metrics import average_precision_score

    generator = np.random.default_rng(0)
    query, database = generator.normal(size=(6, 3)), generator.normal(size=(50, 3))
    y, labels = np.arange(6) % 3, generator.integers(0, 2, 50)  # no row is of class 2: those queries are left out
    far = np.linalg.norm(query[:, None] - database, axis=2)
    each = [average_precision_score(labels == label, -row) for row, label in zip(far, y, strict=True) if label < 2]
    assert euclidean_precision(query, y, database, labels) == pytest.approx(np.mean(each))


def test_without_labels_duplicates_are_all_that_can_be_said(build_learner, as_data):
    x = np.array([[1, 1], [1, 1], [-1, 1]], np.float32)
    run = bits_run(build_learner, as_data, x, np.full(3, -1))
    assert Retrieval()(run, "test") == {"retrieval/duplicates": pytest.approx(2 / 3)}
    assert Retrieval().baselines(run, "test") == {}
    assert set(Neighbours()(run)) == {"neighbours"}


def test_the_nearest_codes_come_first_and_of_equally_near_ones_the_first_row():
    database = np.array([[0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 0, 0]], np.float32)
    rows, far, name = find_nearest(np.zeros((1, 3), np.float32), database, 9)
    assert (rows.tolist(), far.tolist(), name) == ([[1, 3, 0, 2]], [[0, 0, 1, 3]], "Hamming")
    rows, far, name = find_nearest(np.full((1, 3), 0.5), database * 2, 2)
    assert (rows.tolist(), name) == ([[1, 3]], "Euclidean") and far[0, 0] == pytest.approx(math.sqrt(0.75))


def test_the_figure_names_distances_and_marks_other_classes_not_by_colour_alone(build_learner, as_data):
    x = np.array([[1, 1, 1, 1], [-1, -1, -1, -1], [1, 1, 1, -1]], np.float32)
    run = bits_run(build_learner, as_data, x, np.array([0, 1, 1]))
    figure = Neighbours(queries=2, neighbours=3)(run)["neighbours"]
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == ["0", "0: 0", "1: 1 ×", "4: 1 ×", "1", "0: 1", "3: 1", "4: 0 ×"]
    assert len(figure.axes[0].lines) == 3 and "Hamming" in figure.get_suptitle()

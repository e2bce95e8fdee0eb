"""A linear probe of fewer rows than features is fitted in their span: a rotation, by which nothing changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from aeexp.evaluation.classifiers import Held, fit_probe, fit_scaler, read_choice
from aeexp.evaluation.span import find_span


def draw(rows: int, features: int, rank: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, rank)) @ rng.normal(size=(rank, features))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 20), st.integers(1, 40), st.integers(1, 20), st.integers(0, 9))
def test_products_scores_and_norms_of_weights_stay(rows, features, rank, seed):
    x = draw(rows, features, min(rank, rows, features), seed)
    span = find_span(x)
    assert span.coordinates.shape[1] <= min(rank, rows, features)
    size = np.abs(x @ x.T).max()
    # a direction is left out where its square is below rows * 1e-16 of the largest row's, the rest is rounding
    assert span.coordinates @ span.coordinates.T == pytest.approx(x @ x.T, abs=1e-12 * size)
    weights = np.random.default_rng(seed).normal(size=(3, span.coordinates.shape[1]))
    wide = span.widen(weights)
    # the corner's condition multiplies the rounding: normal draws of rank 20 have some 1e3, squared in the products
    assert wide @ x.T == pytest.approx(weights @ span.coordinates.T, abs=1e-6 * size**0.5 * np.abs(weights).max())
    assert np.square(wide).sum() == pytest.approx(np.square(weights).sum(), rel=1e-4)


def test_rows_that_never_vary_span_nothing():
    span = find_span(np.zeros((4, 9)))
    assert span.widen(np.zeros((2, span.coordinates.shape[1]))).shape == (2, 9)
    probe = fit_probe("linear", np.ones((4, 9), np.float32), np.array([0, 1, 1, 1]))
    assert probe.predict(np.ones((2, 9))).tolist() == [1, 1]


@pytest.mark.parametrize("classes", [2, 4])
def test_a_probe_of_few_rows_is_the_one_on_the_features(classes):
    rng = np.random.default_rng(0)
    y = np.arange(120) % classes
    x = (rng.normal(size=(classes, 200))[y] * 0.3 + rng.normal(size=(120, 200)) * rng.random(200)).astype(np.float32)
    held = Held(x[80:], y[80:])
    probe = fit_probe("linear", x[:60], y[:60], held=held)
    scaled = fit_scaler(x[:60], 0.5).transform(x[:60]).astype(np.float64)
    plain = LogisticRegression(C=read_choice(probe), tol=1e-8, max_iter=20000).fit(scaled, y[:60])
    own = probe.steps[-1][1]
    assert own.coef_.shape == plain.coef_.shape and own.coef_.dtype == np.float32
    # both stop where no gradient is above 1e-4; the penalty's curvature is 1 / (60 C), so weights are within 0.006 C
    assert np.abs(own.coef_ - plain.coef_).max() <= 0.006 * max(1.0, read_choice(probe)) * np.abs(plain.coef_).max()
    assert np.array_equal(probe.predict(x[80:]), plain.predict(probe.steps[0][1].transform(x[80:])))

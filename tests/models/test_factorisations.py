"""Factorisations as autoencoders: each is scikit-learn's, and its code the best there is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import NMF, FastICA, MiniBatchSparsePCA
from sklearn.exceptions import ConvergenceWarning

from aeexp.datasets.core.splits import Official
from aeexp.datasets.sets.bundled import mnist_small
from aeexp.errors import UsageError
from aeexp.models.factorisations import factorise
from aeexp.models.independence import contrast
from aeexp.models.nn.dictionary import dictionary
from aeexp.models.nn.mlp import mlp
from aeexp.models.pca import pca
from aeexp.types import Batch


@pytest.fixture
def made(build_learner, as_data):
    """made(rows, method, width, ...): the factorised model and its rows as tensor."""

    def make(rows, method, width=3, alpha=1.0, max_iter=300, **options):
        given = {"network": dictionary} if method in ("nmf", "dictionary") else {"hidden_dims": []}
        learner = build_learner(rows.shape[1:], width, **{**given, **options}).eval()
        split = as_data(rows.astype(np.float32))["train"]
        factorise(learner.model, split, method, alpha=alpha, max_iter=max_iter, seed=0)
        return learner.model, split

    return make


def codes(model, split):
    with torch.no_grad():
        return model.encode(split.x).mean.double().numpy()


def error(model, split):
    with torch.no_grad():
        return float((model(Batch(split.x)).output - split.x).double().square().sum(1).mean())


def test_independent_units_are_the_sources_and_span_what_pca_spans(made):
    generator = np.random.default_rng(0)
    sources = generator.uniform(-1, 1, (2000, 3)) ** 3
    rows = sources @ generator.normal(size=(3, 6)) + 0.5
    model, split = made(rows, "ica")
    assert error(model, split) < 1e-8  # three sources are all there is
    found = np.abs(np.corrcoef(codes(model, split).T, sources.T)[:3, 3:])
    # of 2,000 rows the correlation is good to some 1 / sqrt(2000) = 0.02
    assert (found.max(1) > 0.98).all() and sorted(found.argmax(1)) == [0, 1, 2]
    noisy = rows + 0.1 * generator.normal(size=rows.shape)
    model, split = made(noisy, "ica")
    assert error(model, split) == pytest.approx(error(pca(split, 3), split), rel=1e-4)


def test_independent_units_span_what_pca_spans_where_the_first_feature_never_changes(made, digit_data):
    """As the corner of a digit: a singular vector that is 0 there has no sign."""
    rows = digit_data["train"].x[:500].flatten(1).numpy()
    model, split = made(rows, "ica", 3)
    assert error(model, split) == pytest.approx(error(pca(split, 3), split), rel=1e-4)
    assert np.linalg.matrix_rank(codes(model, split)) == 3


@pytest.fixture(scope="module")
def pictures():
    """(1000, 784) digits, among whose units some are nearly normal."""
    test = mnist_small(name="mnist_small", split=Official())["test"]
    return test.x.flatten(1).numpy()


def test_independent_units_are_found_where_the_fixed_point_wanders(made, pictures, caplog):
    model, split = made(pictures, "ica", 12)
    assert not caplog.records
    units, scores = codes(model, split), codes(pca(split, 12), split)
    with pytest.warns(ConvergenceWarning):
        plain = FastICA(12, whiten="unit-variance", max_iter=300, random_state=0).fit_transform(scores)
    np.testing.assert_allclose(np.cov(units.T, ddof=0), np.eye(12), atol=1e-3)  # white, in single precision
    assert error(model, split) == pytest.approx(error(pca(split, 12), split), rel=1e-4)
    white, still = torch.from_numpy(units), torch.eye(12, dtype=torch.double)
    summit = float(contrast(white, still))
    assert summit > float(contrast(torch.from_numpy(plain), still))
    for i, j in itertools.combinations(range(12), 2):  # no turn of two units is any better
        for angle in (0.02, -0.02):
            turn = still.clone()
            turn[i, i] = turn[j, j] = math.cos(angle)
            turn[i, j], turn[j, i] = math.sin(angle), -math.sin(angle)
            assert float(contrast(white, turn)) < summit


def test_rounds_that_do_not_suffice_are_told(made, pictures, caplog):
    made(pictures, "ica", 12, max_iter=3)
    (record,) = caplog.records
    assert "trainer.max_iter" in record.getMessage()


def test_sparse_components_are_scikit_learns_and_have_zeros(made, digit_data):
    rows = digit_data["train"].x[:400].flatten(1).numpy()
    model, split = made(rows, "sparse_pca", 5, alpha=2.0, max_iter=50)
    exact = split.x.double().numpy()
    theirs = MiniBatchSparsePCA(5, alpha=2.0, max_iter=50, batch_size=256, random_state=0).fit(exact)
    np.testing.assert_allclose(codes(model, split), theirs.transform(exact), atol=2e-4)
    assert (model.decoder.linears()[0].weight == 0).float().mean() > 0.2
    assert error(model, split) > error(pca(split, 5), split)


def test_parts_only_add_up_and_leave_the_error_of_scikit_learns(made, digit_data):
    rows = digit_data["train"].x[:400].flatten(1).numpy()
    model, split = made(rows, "nmf", 6, sparsity=0.0, positive=True, iterations=300)
    weight = model.decoder.layer.weight
    found = codes(model, split)
    assert float(weight.detach().min()) >= 0 and found.min() >= 0 and not model.decoder.layer.bias.any()
    torch.testing.assert_close(weight.detach().norm(dim=0), torch.ones(6))
    theirs = NMF(6, init="nndsvda", max_iter=300, random_state=0).fit(split.x.double().numpy())
    # the same parts; a code of the search is no worse than theirs, and theirs has converged to 1e-4
    assert error(model, split) == pytest.approx(theirs.reconstruction_err_**2 / 400, rel=5e-3)
    slope = (found @ weight.detach().double().numpy().T - split.x.numpy()) @ weight.detach().double().numpy()
    assert (slope > -1e-2).all() and np.abs(slope[found > 1e-2]).max() < 1e-2  # nothing is left to gain
    with pytest.raises(UsageError, match=r"^method=nmf .*go down to"):
        made(rows - 1.0, "nmf", 6, sparsity=0.0, positive=True)
    with pytest.raises(UsageError, match=r"take model\.positive=true"):
        made(rows, "nmf", 6)


def test_a_code_of_atoms_is_the_best_one_at_its_price(made, digit_data):
    rows = digit_data["train"].x[:300].flatten(1).numpy() / 16
    model, split = made(rows, "dictionary", 20, max_iter=50, sparsity=0.5, iterations=2000)
    z, layer = codes(model, split), model.decoder.layer
    weight = layer.weight.detach().double().numpy()
    slope = (split.x.numpy() - layer.bias.detach().numpy() - z @ weight.T) @ weight
    # the optimum of the lasso: slopes are the price where a unit speaks, and no larger where it is silent
    assert (np.abs(slope) < 0.5 + 5e-3).all() and np.abs(np.abs(slope[z != 0]) - 0.5).max() < 5e-3
    assert 0.2 < (z == 0).mean() < 1


def test_a_dictionary_is_learned_by_gradient_too(build_learner):
    learner = build_learner((6,), 4, network=dictionary, sparsity=0.1, iterations=20)
    x = torch.randn(8, 6)
    terms, _ = learner(Batch(x))
    terms["reconstruction"].mean().backward()
    (weight, bias) = learner.parameters()
    assert weight.grad.any() and bias.grad.any()


def test_a_method_of_another_model_is_refused(made):
    rows = np.random.default_rng(0).random((30, 4))
    with pytest.raises(UsageError, match=r"^method=dictionary .*model=dictionary"):
        made(rows, "dictionary", network=mlp, hidden_dims=[])


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("method", ["pca", "ica", "sparse_pca", "nmf", "dictionary"])
def test_few_rows_and_rows_that_are_alike_are_restored(method, rows, made):
    price = (
        {"sparsity": 0.0 if method == "nmf" else 1e-3, "positive": method == "nmf"}
        if method in ("nmf", "dictionary")
        else {"alpha": 1e-6}
    )
    for x in (np.random.default_rng(0).uniform(0.5, 1, (rows, 5)), np.full((rows, 5), 0.7)):
        model, split = made(x, method, **price)
        # no more directions than units: iterations and the ridge of sparse_pca leave some hundredth of the squares
        assert error(model, split) <= 0.02 * np.square(x).sum(1).mean()

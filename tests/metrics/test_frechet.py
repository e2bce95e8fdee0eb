"""The Frechet distance between real and drawn rows, and the network whose features it compares."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from aeexp.conditions import Label
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.sets.bundled import digits
from aeexp.evaluation import feature_net as nets
from aeexp.evaluation.feature_net import FeatureNet, feature_net
from aeexp.evaluation.frechet import distance
from aeexp.evaluation.run import Run
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.priors import Standard
from aeexp.metrics.frechet import Frechet
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.models.nn.mlp import mlp
from aeexp.models.pca import identity, pca
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.tasks.reconstruct import Reconstruct


def as_run(model, data) -> Run:
    return Run(Learner(Reconstruct(), model, Additive(Chain({}), {})), data)


def short(values) -> dict[str, float]:
    """By who was compared, without n and id."""
    return {re.fullmatch(r"generation/frechet_(\w+?)_n\d+_v1-[0-9a-f]{8}", key)[1]: v for key, v in values.items()}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A tenth of a second instead of two for each network."""
    monkeypatch.setattr(nets, "STEPS", 60)


# ---------------------------------------------------------------- the distance


@given(st.integers(0, 1000), st.integers(1, 8), st.sampled_from([3, 50]))
def test_equal_features_have_no_distance_even_where_they_fill_no_space(seed, units, rows):
    features = np.random.default_rng(seed).normal(size=(rows, units)) * 5
    # float64 traces of some hundred: eigenvalues near 0 are good to 1e-13, their roots to 3e-7, squares of these vanish
    assert 0 <= distance(features, features) < 1e-9
    assert distance(features, features[::-1]) < 1e-9


@given(st.integers(0, 1000))
def test_the_distance_of_features_is_that_of_their_gaussians_in_closed_form(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(60, 5)), rng.normal(size=(40, 5)) @ rng.normal(size=(5, 5)) + rng.normal(size=5)
    from scipy.linalg import sqrtm

    ca, cb = np.cov(a.T), np.cov(b.T)
    root = sqrtm(ca @ cb).real  # Dowson and Landau 1982, equation 4; another way to the same number
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * root)
    assert distance(a, b) == pytest.approx(expected, rel=1e-6, abs=1e-8)
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-9)


def test_two_known_gaussians_are_as_far_apart_as_they_should_be():
    rng = np.random.default_rng(0)
    scale, other, shift = np.array([1.0, 2.0, 0.5]), np.array([2.0, 2.0, 1.5]), np.array([1.0, 0.0, -2.0])
    a, b = (rng.normal(size=(200_000, 3)) * s + m for s, m in ((scale, 0.0), (other, shift)))
    exact = (shift**2).sum() + ((scale - other) ** 2).sum()  # 5 + 2
    # the shift's estimate has a deviation of 2 |shift| sqrt((s^2 + o^2) / n) = 0.022 at most: five of them
    assert distance(a, b) == pytest.approx(exact, abs=0.1)


def test_features_that_are_no_numbers_have_no_distance():
    assert math.isnan(distance(np.full((5, 2), np.nan), np.ones((5, 2))))


# ---------------------------------------------------------------- the metric


def test_the_identity_has_no_distance_a_constant_the_largest_and_pca_lies_between(digit_data):
    same = short(Frechet()(as_run(identity(digit_data.shape), digit_data), "test"))
    # eigenvalues of float32 features: 32 * 1e-7 at the most
    assert same["reconstruction"] < 1e-5 < same["floor"]
    grey = pca(digit_data["train"], 3)
    nn.init.zeros_(grey.decoder.layers[0].weight)
    constant = short(Frechet()(as_run(grey, digit_data), "test"))
    better = short(Frechet()(as_run(pca(digit_data["train"], 30), digit_data), "test"))
    # a constant lacks all the variance of 32 standardised units, about 1 each
    assert min(constant[name] for name in ("reconstruction", "gaussian", "kernel")) > 20
    assert better["reconstruction"] < better["kernel"] < 0.2 * constant["kernel"]
    assert constant["floor"] == better["floor"] == same["floor"]


def test_real_rows_as_samples_are_at_the_floor(digit_data, monkeypatch):
    codes = np.concatenate([b.x.flatten(1).numpy() for b in digit_data["train"].batches(500)])
    real = {"real": lambda run, n, seed: codes[np.random.default_rng(seed + 5).permutation(len(codes))[:n]]}
    monkeypatch.setattr("aeexp.evaluation.frechet.SAMPLERS", real)
    values = short(Frechet(samplers=["real"])(as_run(identity(digit_data.shape), digit_data), "test"))
    # two draws of training rows: the bias of n is the same, and its spread is a few tenths of it
    assert values["real"] == pytest.approx(values["floor"], rel=0.5)


def variational(shape, dim=4, condition=None, facts=None, seed=0) -> Autoencoder:
    from aeexp.conditions import Unconditional
    from aeexp.likelihoods.bernoulli import Bernoulli

    torch.manual_seed(seed)
    condition = condition or Unconditional()
    if facts:
        condition.adapt(facts)
    prior = Standard()
    prior.adapt(dim, shape)
    encoder, decoder = mlp(shape, 2 * dim, dim, condition.size, hidden_dims=[16])
    return Autoencoder(encoder, Gaussian(dim, prior), decoder, Bernoulli(), condition)


def trained(model, data, steps=400) -> Autoencoder:
    from aeexp.models.learner import means
    from aeexp.regularizers.kl import KL

    learner = Learner(Reconstruct(), model, Additive(Chain({}), {"kl": KL(1.0)}))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    step = 0
    while step < steps:
        for batch in data["train"].epoch(0, step, 128):
            optimizer.zero_grad()
            means(learner(batch)[0]).sum().backward()
            optimizer.step()
            step += 1
    return model


def test_a_trained_model_is_nearer_than_an_untrained_one(digit_data):
    shape = tuple(digit_data.shape)
    before = short(Frechet()(as_run(variational(shape), digit_data), "test"))
    after = short(Frechet()(as_run(trained(variational(shape), digit_data), digit_data), "test"))
    assert set(before) == {"prior", "gaussian", "mixture", "kernel", "reconstruction", "floor"}
    for who in set(before) - {"floor"}:
        assert after[who] < 0.5 * before[who]


def test_keys_say_how_many_rows_and_values_repeat_without_moving_the_generators(digit_data):
    run = as_run(variational(tuple(digit_data.shape)), digit_data)
    first = Frechet(rows=50)(run, "test")
    assert all("_n50_v1-" in key for key in first)
    assert all("_n180_v1-" in key for key in Frechet(rows=1000)(run, "test"))  # no more than there are
    again = as_run(variational(tuple(digit_data.shape)), digit_data)
    torch.manual_seed(7)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    assert Frechet(rows=50)(again, "test") == first
    assert torch.equal(torch.get_rng_state(), state) and torch.get_num_threads() == threads


def test_samples_of_a_conditional_model_are_decoded_under_labels_of_training_rows(digit_data):
    model = variational(tuple(digit_data.shape), condition=Label(), facts=digit_data.facts)
    contexts = []
    decode = model.decode
    model.decode = lambda z, context=None: contexts.append(context) or decode(z, context)
    Frechet(rows=100)(as_run(model, digit_data), "test")
    counts = contexts[0].sum(0)
    assert contexts[0].shape == (100, 10) and (counts > 0).all() and counts.sum() == 100


def test_binarised_data_is_compared_with_drawn_bits(digit_data):
    split = {name: Split(part.rows, Preprocessing(1 / 16, 0.0, "fixed")) for name, part in digit_data.splits.items()}
    data, seen = Data("bits", split), []
    run = as_run(variational((1, 8, 8)), data)
    net, name = feature_net(data)
    run.compute_once("feature_net", lambda: (lambda rows: seen.append(rows) or net(rows), name))
    values = short(Frechet()(run, "test"))
    assert all(set(rows.unique().tolist()) == {0.0, 1.0} for rows in seen) and len(seen) == 7
    assert values["prior"] > values["floor"]


def test_sequences_have_lengths_of_training_rows_and_nothing_after_them():
    lengths = np.arange(40) % 5 + 1
    x = np.random.default_rng(0).random((40, 5, 2)).astype(np.float32) + 1
    x = np.where((np.arange(5) < lengths[:, None])[..., None], x, np.float32(0))
    split = Split(Rows(x, lengths=lengths))
    data, seen = Data("steps", {name: split for name in ("train", "val", "test")}), []
    run = as_run(variational((5, 2)), data)
    net, name = feature_net(data)
    run.compute_once("feature_net", lambda: (lambda rows: seen.append(rows) or net(rows), name))
    assert "prior" in short(Frechet()(run, "test"))
    assert len(seen) == 7 and all(sorted((rows[..., 0] != 0).sum(1).tolist()) == sorted(lengths) for rows in seen)


def test_a_single_row_has_no_distance(as_data):
    assert Frechet()(as_run(identity(torch.Size([4])), as_data(np.ones((1, 4), np.float32))), "test") == {}


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize("shape", [(4,), (64,), (1, 5, 5), (1, 8, 8), (3, 32, 20), (48, 1), (2, 1, 1)])
@pytest.mark.parametrize("classes", [0, 3])
def test_rows_of_every_shape_have_32_features(shape, classes):
    net = FeatureNet(shape, classes)
    x = torch.rand(6, *shape)
    assert net(x).shape == (6, 32)
    assert net.loss(x, torch.tensor([0, 1, 2, -1, 0, 1])).isfinite()
    assert net.loss(x, torch.full((6,), -1)).isfinite()  # a batch without a label


def test_the_features_tell_digits_apart_and_have_unit_variance_on_training_rows(digit_data, monkeypatch):
    monkeypatch.setattr(nets, "STEPS", 500)
    net, _ = feature_net(digit_data)
    train, test = (next(digit_data[part].batches(2000)) for part in ("train", "test"))
    features = net(train.x)
    # float32 means of 1,437 rows
    torch.testing.assert_close(features.mean(0), torch.zeros(32), rtol=0, atol=1e-4)
    torch.testing.assert_close(features.std(0, unbiased=False), torch.ones(32), rtol=1e-4, atol=0)
    assert (net.head(net.extract(test.x)).argmax(1) == test.y).float().mean() > 0.9


def test_unlabelled_rows_get_an_autoencoder_whose_code_says_more_than_the_mean(digit_data, monkeypatch):
    monkeypatch.setattr(nets, "STEPS", 300)
    split = {name: Split(part.rows._replace(y=None), part.preprocessing) for name, part in digit_data.splits.items()}
    data = Data("digits", split)
    net, name = feature_net(data)
    x = next(data["test"].batches(500)).x
    scaled = net.scale(x).flatten(1)
    assert net.classes == 0 and name != feature_net(digit_data)[1]
    assert net.loss(x, None) < 0.5 * scaled.var(0).mean()


def test_the_network_is_kept_and_the_same_for_every_model_of_the_data(digit_data, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("AEEXP_CACHE", str(tmp_path))
    calls = []
    train = nets.train
    monkeypatch.setattr(nets, "train", lambda net, data: calls.append(1) or train(net, data))
    run = as_run(variational((1, 8, 8)), digit_data)
    first = Frechet(rows=60)(run, "test")
    [path] = (tmp_path / "features").iterdir()
    assert all(key.endswith(path.stem) for key in first) and len(calls) == 1
    assert torch.load(path, weights_only=True).keys() == feature_net(digit_data)[0].state_dict().keys()
    assert Frechet(rows=60)(as_run(variational((1, 8, 8)), digit_data), "test") == first and len(calls) == 1
    other = Frechet(rows=60)(
        as_run(pca(digit_data["train"], 4), digits(name="digits", split=Fractions([8, 1, 1]))), "test"
    )
    assert other.keys() < first.keys() and len(calls) == 1  # PCA has no prior
    assert other[f"generation/frechet_floor_n60_{path.stem}"] == first[f"generation/frechet_floor_n60_{path.stem}"]

    whole = path.read_bytes()
    for damage in (b"", b"no file of torch", whole[: len(whole) // 2]):
        path.write_bytes(damage)
        caplog.clear()
        again = Frechet(rows=60)(as_run(variational((1, 8, 8)), digit_data), "test")
        assert again == first and "is damaged: the feature net is trained anew" in caplog.text
    assert len(calls) == 4 and [p.name for p in (tmp_path / "features").iterdir()] == [path.name]


def test_other_data_and_other_settings_have_another_id(digit_data, monkeypatch):
    name = feature_net(digit_data)[1]
    assert feature_net(digits(name="digits", split=Fractions([8, 1, 1], seed=1)))[1] != name
    monkeypatch.setattr(nets, "STEPS", 61)
    assert feature_net(digit_data)[1] != name


def test_a_cache_that_cannot_be_written_costs_a_word_and_no_run(digit_data, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("AEEXP_CACHE", str(tmp_path / "file"))
    assert feature_net(digit_data)[0](torch.rand(2, 1, 8, 8)).isfinite().all()
    assert "cannot be kept" in caplog.text and "AEEXP_CACHE" in caplog.text


def test_the_cache_is_the_environment_s_or_the_platform_s(monkeypatch, tmp_path):
    monkeypatch.setenv("AEEXP_CACHE", str(tmp_path))
    assert nets.cache_folder() == tmp_path
    monkeypatch.delenv("AEEXP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert nets.cache_folder() == tmp_path / "x" / "aeexp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert nets.cache_folder() == tmp_path / ".cache" / "aeexp"

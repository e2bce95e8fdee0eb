"""Errors and likelihoods of models whose values are known: the identity, a constant, PCA, an even guess."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from measured import as_run, constant, values_of
from skimage.metrics import structural_similarity
from torch import nn

from aeexp.contracts import Decoder
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.spelling import Spelling
from aeexp.datasets.core.split import Split
from aeexp.evaluation.protocol import baselines, measure
from aeexp.evaluation.run import Run
from aeexp.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from aeexp.likelihoods.categorical import Categorical
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.metrics.reconstruction import Reconstruction, slide, ssim
from aeexp.models.learner import Learner
from aeexp.models.pca import identity
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.tasks.reconstruct import Reconstruct


class Zeros(Decoder):
    """The same parameters for every code."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.shape = shape

    def forward(self, z, context=None, skips=()):
        return torch.zeros(len(z), *self.shape)


def test_the_identity_reconstructs_without_error(digit_data):
    values = Reconstruction()(as_run(identity(digit_data.shape), digit_data), "test")
    assert values["reconstruction/mse"] == values["reconstruction/mse_per_feature"] == 0
    assert values["reconstruction/ssim"] == pytest.approx(1, abs=1e-6)  # float32
    assert values["reconstruction/psnr"] == pytest.approx(10 * math.log10(64 / 1e-12), rel=1e-6)  # its cap
    # what is left of -log p is the constant: N(x; x, 1/2) on 64 features
    assert values["reconstruction/nats"] == pytest.approx(64 / 2 * math.log(math.pi))


def test_a_constant_has_the_variance_around_it_as_error_in_every_unit(digit_data):
    run = as_run(constant(digit_data), digit_data)
    values = Reconstruction()(run, "test")
    x, mean = values_of(digit_data, "test"), values_of(digit_data, "train").mean(0)
    error = ((x - mean) ** 2).reshape(len(x), -1).sum(1)
    by_hand = {
        "mse": error.mean(),
        "mse_per_feature": error.mean() / 64,
        "psnr": (10 * np.log10(1 / (error / 64))).mean(),
        "ssim": np.mean([structural_similarity(picture, mean[0], win_size=7, data_range=1.0) for picture in x[:, 0]]),
        "nats": error.mean() + 32 * math.log(math.pi),
    }  # fmt: skip
    # the grid of digits has steps of 1/16: a density times the step is a probability
    by_hand["bits_per_dim_given_code"] = -np.log2(np.exp(-by_hand["nats"] / 64) / 16)
    # float32 pictures: sums of 64 squares are good to 64 * 2^-24; ssim divides them by 9e-4
    assert values == pytest.approx({f"reconstruction/{k}": v for k, v in by_hand.items()}, rel=1e-4)
    assert run.errors("test") == pytest.approx(error, rel=1e-5)


@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(1, 3), st.integers(7, 15), st.integers(7, 15)),
    peak=st.sampled_from([1.0, 2.0, 255.0]),
    noise=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
)
def test_ssim_agrees_with_scikit_image(seed, shape, peak, noise):
    generator = torch.Generator().manual_seed(seed)
    a = peak * torch.rand(3, *shape, generator=generator, dtype=torch.float64)
    b = (a + noise * peak * torch.randn(3, *shape, generator=generator, dtype=torch.float64)).clamp(0, peak)
    theirs = [
        np.mean([structural_similarity(p, q, win_size=7, data_range=peak) for p, q in zip(x, y, strict=True)])
        for x, y in zip(a.numpy(), b.numpy(), strict=True)
    ]
    # double: a window's variance loses peak^2 2^-52 * 49, over c2 = 9e-4 peak^2
    np.testing.assert_allclose(ssim(a, b, peak).numpy(), theirs, rtol=0, atol=1e-9)
    if noise == 0:
        assert ssim(a, b, peak).numpy() == pytest.approx(1, abs=1e-9)


@given(window=st.integers(1, 12), more=st.integers(0, 5), dim=st.integers(0, 1))
def test_sliding_sums_are_those_of_all_neighbours(window, more, dim):
    # whole numbers: sums are exact in whatever order they are taken
    x = torch.randint(-99, 99, (window + more, window + more), generator=torch.Generator().manual_seed(more)).double()
    assert torch.equal(slide(x, dim, window), x.unfold(dim, window, 1).sum(-1))


def test_ssim_of_a_row_does_not_depend_on_the_others(monkeypatch):
    a, b = torch.rand(2, 9, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    whole = ssim(a, b, 1.0)
    monkeypatch.setattr("aeexp.metrics.reconstruction.CACHED", 2 * 64)  # two rows at a time
    torch.testing.assert_close(ssim(a, b, 1.0), whole)


def test_ssim_in_float32_is_good_to_three_decimals_on_flat_pictures_too():
    a = torch.full((2, 1, 9, 9), 0.9)
    b = a + 1e-3 * torch.randn(a.shape)
    # a window's variance loses 49 * 2^-24 of 0.81 at the worst, 2e-6, over c2 = 9e-4
    torch.testing.assert_close(ssim(a, b, 1.0).double(), ssim(a.double(), b.double(), 1.0), rtol=0, atol=5e-3)


def test_small_pictures_and_vectors_have_no_ssim():
    for shape in ((1, 6, 9), (12,)):
        rows = Rows(np.random.default_rng(0).random((10, *shape), np.float32))
        data = Data("small", {name: Split(rows) for name in ("train", "val", "test")}, ())
        values = Reconstruction()(as_run(constant(data), data), "test")
        assert "reconstruction/ssim" not in values and values["reconstruction/mse"] > 0
        assert "reconstruction/bits_per_dim_given_code" not in values  # real values lie on no grid


def relabelled(data, **changes) -> Data:
    """The same rows under another preprocessing."""
    split = {name: Split(part.rows, Preprocessing(1 / 16, **changes)) for name, part in data.splits.items()}
    return Data("digits", split)


@pytest.mark.parametrize(
    ("binarise", "likelihood", "names"),
    [
        ("none", Bernoulli(), {"cross_entropy"}),
        ("fixed", Bernoulli(), {"nats_fixed", "bits_per_dim_given_code_fixed"}),
        ("per_epoch", Bernoulli(), {"nats_per_epoch", "bits_per_dim_given_code_per_epoch"}),
        ("none", Gaussian(), {"nats", "bits_per_dim_given_code"}),
        ("fixed", Gaussian(), {"nats_density_fixed"}),
        ("none", ContinuousBernoulli(), {"nats"}),  # half a step beyond 0 and 1
        ("per_epoch", ContinuousBernoulli(), {"nats_density_per_epoch"}),
    ],
)
def test_the_name_of_a_likelihood_says_what_it_is_of(binarise, likelihood, names, digit_data):
    model = constant(digit_data)
    model.likelihood = likelihood
    values = Reconstruction()(as_run(model, relabelled(digit_data, binarise=binarise)), "test")
    others = {"mse", "mse_per_feature", "psnr", "ssim"}
    assert {key.removeprefix("reconstruction/") for key in values} == names | others


def test_bits_and_bytes_that_are_no_grid_are_no_likelihood_of_a_model_of_bits(as_data):
    for rows, name in ((np.zeros((9, 4), np.uint8), "nats"), (np.zeros((9, 4), np.float32), "cross_entropy")):
        data = as_data(rows)
        model = constant(data)
        model.likelihood = Bernoulli()
        assert f"reconstruction/{name}" in Reconstruction()(as_run(model, data), "test")


def test_an_even_guess_costs_the_logarithm_of_the_levels_whatever_the_likelihood(digit_data):
    model = constant(digit_data)
    for likelihood, output in ((Categorical(17), (17, 8, 8)), (ContinuousBernoulli(), (1, 8, 8))):
        model.likelihood = likelihood
        model.decoder = Zeros(output)
        values = Reconstruction()(as_run(model, digit_data), "test")
        # one of 17 levels; the uniform density over [0, 1] is 1 everywhere
        nats = 0 if likelihood.density else 64 * math.log(17)
        assert values["reconstruction/nats"] == pytest.approx(nats, rel=1e-6, abs=1e-5)
        if not likelihood.density:
            assert values["reconstruction/bits_per_dim_given_code"] == pytest.approx(math.log2(17), rel=1e-6)
        x = values_of(digit_data, "test")
        mse = ((x - 0.5) ** 2).reshape(len(x), -1).sum(1).mean()
        assert values["reconstruction/mse"] == pytest.approx(mse, rel=1e-5)


@pytest.mark.parametrize("estimate", ["learned", "optimal"])
def test_pca_gets_its_own_variance_where_the_model_s_is_estimated(estimate, build_learner, digit_data):
    run = Run(build_learner((1, 8, 8), 6, likelihood=Gaussian(2.0, estimate)), digit_data)
    metrics = {"reconstruction": Reconstruction()}
    before = {key: value.clone() for key, value in run.model.likelihood.state_dict().items()}
    rows, fitted = baselines(run, metrics)["pca"], run.pca()
    variance = measure(fitted, metrics, "train")["reconstruction/mse_per_feature"]
    error = rows["reconstruction/mse"]
    expected = error / (2 * variance) + 32 * math.log(2 * math.pi * variance)
    assert rows["reconstruction/nats"] == pytest.approx(expected, rel=1e-5)
    assert all(torch.equal(before[key], value) for key, value in run.model.likelihood.state_dict().items())


def test_a_fair_coin_costs_one_bit_a_pixel(digit_data):
    model, data = constant(digit_data), relabelled(digit_data, binarise="fixed")
    nn.init.zeros_(model.decoder.layers[0].bias)  # logit 0
    model.likelihood = Bernoulli()
    values = Reconstruction()(as_run(model, data), "test")
    assert values["reconstruction/bits_per_dim_given_code_fixed"] == pytest.approx(1, rel=1e-6)
    assert values["reconstruction/nats_fixed"] == pytest.approx(64 * math.log(2), rel=1e-6)
    # and the picture is its mean, 1/2
    x = values_of(data, "test")
    assert values["reconstruction/mse"] == pytest.approx(((x - 0.5) ** 2).reshape(len(x), -1).sum(1).mean(), rel=1e-5)


def test_values_do_not_depend_on_how_rows_fall_into_passes(digit_data, monkeypatch):
    run = as_run(constant(digit_data), digit_data)
    whole = Reconstruction()(run, "test")
    monkeypatch.setattr("aeexp.evaluation.run.choose_batch_size", lambda shape: 7)
    assert Reconstruction()(as_run(run.model, digit_data), "test") == pytest.approx(whole, rel=1e-6)


def test_text_has_no_squared_error_but_a_share_of_wrong_tokens_and_the_nats_of_each():
    letters, texts = "abcd", ["abc", "d", "aa"] * 5
    spelling = Spelling(letters)
    x, lengths = spelling.encode(texts, 5)
    splits = {name: Split(Rows(x, lengths=lengths), Preprocessing(scale=1 / 4)) for name in ("train", "val", "test")}
    data = Data("text", splits, spelling=spelling)
    model = constant(data)
    model.likelihood = Categorical(5)
    model.decoder = Zeros((5, 5))  # all tokens alike, of which the first, the end, counts as the likeliest
    task = Reconstruct()
    task.adapt(data.facts)
    run = Run(Learner(task, model, Additive(Chain({}), {})), data)
    values = Reconstruction()(run, "test")
    # 4, 2 and 3 steps, of which one each is the end
    assert values == pytest.approx({
        "reconstruction/nats": 3 * math.log(5), "reconstruction/nats_per_step": math.log(5),
        "reconstruction/token_error": 2 / 3,
    }, rel=1e-6)  # fmt: skip
    assert run.errors("test")[:3].tolist() == [3, 1, 2] and Reconstruction().baselines(run, "test") == {}

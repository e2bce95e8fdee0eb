"""Metrics at models whose values are known: the identity, a constant, PCA, one-hot codes."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from measured import as_run
from skimage.metrics import structural_similarity
from torch import nn

from aeexp.contracts import Decoder
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.evaluation.protocol import baselines, measure
from aeexp.evaluation.run import Run
from aeexp.latents.deterministic import Sigmoid
from aeexp.latents.sparse import TopK
from aeexp.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from aeexp.likelihoods.categorical import Categorical
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.metrics.latent import Latent, effective_rank
from aeexp.metrics.probe import Probe
from aeexp.metrics.reconstruction import Reconstruction, ssim
from aeexp.models.pca import identity, linear, pca
from aeexp.noises import Masking
from aeexp.regularizers.code import L1
from aeexp.types import Code


@torch.no_grad()
def constant(data) -> nn.Module:
    """The mean picture of the training rows for everyone."""
    model = linear(data.shape, 3)
    for parameter in model.parameters():
        parameter.zero_()
    model.decoder.layers[0].bias.copy_(torch.cat([b.x for b in data["train"].batches(500)]).mean(0).flatten())
    return model


class Zeros(Decoder):
    """The same parameters for every code."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.shape = shape

    def forward(self, z, context=None, skips=()):
        return torch.zeros(len(z), *self.shape)


def values_of(data, split) -> np.ndarray:
    return np.concatenate([batch.x.numpy() for batch in data[split].batches(1000)]).astype(np.float64)


def coded(codes: np.ndarray, labels: np.ndarray | None = None) -> Run:
    """A run whose codes are these, the same in every split."""
    rows = Rows(codes.astype(np.float32), labels)
    data = Data("coded", {name: Split(rows) for name in ("train", "val", "test")}, ())
    return as_run(identity(data.shape), data)


# ---------------------------------------------------------------- reconstruction


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
    by_hand["bits_per_dim"] = -np.log2(np.exp(-by_hand["nats"] / 64) / 16)
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
        assert "reconstruction/bits_per_dim" not in values  # real values lie on no grid


def relabelled(data, **changes) -> Data:
    """The same rows under another preprocessing."""
    split = {name: Split(part.rows, Preprocessing(1 / 16, **changes)) for name, part in data.splits.items()}
    return Data("digits", split)


@pytest.mark.parametrize(
    ("binarise", "likelihood", "names"),
    [
        ("none", Bernoulli(), {"cross_entropy"}),
        ("fixed", Bernoulli(), {"nats_fixed", "bits_per_dim_fixed"}),
        ("per_epoch", Bernoulli(), {"nats_per_epoch", "bits_per_dim_per_epoch"}),
        ("none", Gaussian(), {"nats", "bits_per_dim"}),
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
            assert values["reconstruction/bits_per_dim"] == pytest.approx(math.log2(17), rel=1e-6)
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
    assert values["reconstruction/bits_per_dim_fixed"] == pytest.approx(1, rel=1e-6)
    assert values["reconstruction/nats_fixed"] == pytest.approx(64 * math.log(2), rel=1e-6)
    # and the picture is its mean, 1/2
    x = values_of(data, "test")
    assert values["reconstruction/mse"] == pytest.approx(((x - 0.5) ** 2).reshape(len(x), -1).sum(1).mean(), rel=1e-5)


def test_values_do_not_depend_on_how_rows_fall_into_passes(digit_data, monkeypatch):
    run = as_run(constant(digit_data), digit_data)
    whole = Reconstruction()(run, "test")
    monkeypatch.setattr("aeexp.evaluation.run.choose_batch_size", lambda shape: 7)
    assert Reconstruction()(as_run(run.model, digit_data), "test") == pytest.approx(whole, rel=1e-6)


# ---------------------------------------------------------------- probe

LABELS = np.random.default_rng(0).integers(0, 5, 600)


def test_one_hot_codes_of_the_label_are_read_without_error():
    run = coded(np.eye(5)[LABELS], LABELS)
    assert Probe()(run, "test") == {"probe/linear": 1.0, "probe/knn": 1.0}


def test_constant_codes_are_read_at_chance():
    run = coded(np.full((600, 3), 0.7), LABELS)
    values = Probe()(run, "test")
    counts = np.bincount(LABELS)
    # no information: the probe answers with one class for all
    assert values["probe/linear"] == pytest.approx(counts.max() / 600)
    assert values["probe/knn"] in [pytest.approx(count / 600) for count in counts]


def test_codes_of_noise_are_read_at_chance():
    generator = np.random.default_rng(1)
    data = {
        name: Split(Rows(generator.normal(size=(600, 3)).astype(np.float32), generator.integers(0, 5, 600)))
        for name in ("train", "val", "test")
    }
    values = Probe()(as_run(identity(torch.Size([3])), Data("noise", data, ())), "test")
    for accuracy in values.values():
        assert abs(accuracy - 0.2) < 5 * math.sqrt(0.2 * 0.8 / 600)  # binomial


NOISY = np.eye(5)[LABELS] + np.random.default_rng(2).normal(0, 0.4, (600, 5))


def test_the_linear_probe_does_not_feel_the_scale_and_the_offset_of_a_unit():
    plain = Probe()(coded(NOISY, LABELS), "test")["probe/linear"]
    moved = Probe()(coded(NOISY * [1e-3, 1, 1e3, 5, 1] + [0, 100, -7, 0, 3], LABELS), "test")["probe/linear"]
    assert 0.5 < plain < 1
    # float32 rounds the moved codes, which may carry a row or two over a border
    assert moved == pytest.approx(plain, abs=3 / 600)


def test_neighbours_are_those_of_the_codes_as_they_are():
    axes, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(5, 5)))
    plain = Probe()(coded(NOISY, LABELS), "test")["probe/knn"]
    turned = Probe()(coded(3 * NOISY @ axes + 1, LABELS), "test")["probe/knn"]
    stretched = Probe()(coded(NOISY * [1e-3, 1, 1e3, 5, 1], LABELS), "test")["probe/knn"]
    # distances keep their order when all are turned and scaled, up to near ties that float32 decides anew
    assert turned == pytest.approx(plain, abs=5 / 600)
    assert stretched < plain - 0.1


def test_only_labelled_rows_are_read_and_only_the_stated_number_is_fitted():
    codes, labels = NOISY.copy(), LABELS.copy()
    labels[::2] = -1
    codes[::2] = 1e6  # would ruin every probe
    half = Probe()(coded(codes, labels), "test")
    assert half == Probe()(coded(NOISY[1::2], LABELS[1::2]), "test")

    few, again, other = (Probe(rows=100, seed=seed).fit(coded(NOISY, LABELS))["knn"] for seed in (0, 0, 1))
    assert few.n_samples_fit_ == 100
    query = NOISY[:50].astype(np.float32)
    distances = [knn.kneighbors(query)[0] for knn in (few, again, other)]
    assert np.array_equal(distances[0], distances[1]) and not np.array_equal(distances[0], distances[2])


@pytest.mark.parametrize("labels", [None, np.full(600, -1), np.zeros(600, int)])
def test_without_labels_or_classes_the_probe_is_left_out(labels, caplog):
    caplog.set_level(logging.INFO)
    assert Probe()(coded(np.random.default_rng(0).normal(size=(600, 3)), labels), "test") == {}
    # that there are no labels is said once for a whole run (aeexp.runs.run); one class is the probe's own word
    said = [record.message for record in caplog.records]
    assert len(said) == (labels is not None and labels.min() == 0)
    assert all("one class" in message and "coded" in message for message in said)


# ---------------------------------------------------------------- latent


@given(st.integers(1, 6), st.integers(0, 3), st.floats(0.01, 100), st.integers(0, 100))
def test_the_effective_rank_of_equal_orthogonal_directions_is_their_number(k, idle, scale, seed):
    axes, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(k + idle, k + idle)))
    codes = np.concatenate([np.eye(k), -np.eye(k)]) @ axes[:k] * scale + 3
    # rounding leaves shares of 1e-16 on the idle directions, which add 1e-14 to the entropy
    assert effective_rank(codes) == pytest.approx(k, rel=1e-9)


def test_the_effective_rank_of_unequal_directions_is_the_exponential_of_their_entropy():
    codes = np.random.default_rng(0).normal(size=(500, 4)) * [3, 2, 1, 0.1]
    shares = np.linalg.svd(codes - codes.mean(0), compute_uv=False) ** 2
    shares /= shares.sum()
    assert effective_rank(codes) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-9)
    assert 1 < effective_rank(codes) < 4


def test_codes_that_never_vary_have_rank_zero_and_only_dead_units():
    values = Latent()(coded(np.full((50, 4), 0.1)), "test")
    assert values["latent/effective_rank"] == 0
    assert values["latent/dead_units"] == 4
    assert values["latent/mean_activation"] == pytest.approx(0.1)


def test_dead_units_active_units_and_activations_are_counted():
    codes = np.random.default_rng(0).normal(size=(200, 5)) + 5
    codes[:, 1] = 0
    codes[:, 3] = 2.5
    codes[:50, 4] = 0
    values = Latent()(coded(codes), "test")
    assert values["latent/dead_units"] == 2
    assert values["latent/l0"] == pytest.approx(4 - 50 / 200)  # one unit is always 0, one in a quarter of the rows
    assert values["latent/mean_activation"] == pytest.approx(codes.mean(), rel=1e-6)


def test_topk_codes_have_k_units_a_row(build_learner, digit_data):
    run = Run(build_learner((1, 8, 8), latent=TopK(10, 3)), digit_data)
    assert Latent()(run, "test")["latent/l0"] == 3


@pytest.mark.parametrize("shape", [(3,), (1, 5, 4), (2, 3, 3)])
def test_the_jacobian_of_the_identity_has_the_root_of_its_width_as_norm(shape):
    rows = Rows(np.random.default_rng(0).random((300, *shape), np.float32))
    run = as_run(identity(torch.Size(shape)), Data("r", {n: Split(rows) for n in ("train", "val", "test")}, ()))
    assert Latent()(run, "test")["latent/jacobian_norm"] == pytest.approx(math.sqrt(math.prod(shape)), rel=1e-6)


def test_the_jacobian_norm_is_the_mean_over_its_rows_whatever_the_chunk(build_learner, digit_data, monkeypatch):
    run = Run(build_learner((1, 8, 8), latent=Sigmoid(4)), digit_data)
    x = torch.from_numpy(values_of(digit_data, "test")[:9]).float()
    weight = run.model.encoder.layers[0].weight.detach()
    h = run.model.encode(x).mean.detach()
    exact = ((h * (1 - h)) ** 2 @ weight.square().sum(1)).sqrt().mean()
    assert Latent(jacobian_rows=9).jacobian_norm(run, "test") == pytest.approx(float(exact), rel=1e-5)

    monkeypatch.setattr("aeexp.metrics.latent.NUMBERS", 2 * 64 * 4)  # two rows to a chunk
    assert Latent(jacobian_rows=9).jacobian_norm(run, "test") == pytest.approx(float(exact), rel=1e-5)


def test_the_jacobian_of_a_wide_code_is_taken_in_some_directions(build_learner):
    """|v|^2 of 100 units has a relative deviation of sqrt(2 / 100), over 64 directions and 256 rows 0.1 %."""
    rows = Rows(np.random.default_rng(0).random((300, 100), np.float32))
    run = as_run(identity(torch.Size((100,))), Data("r", {n: Split(rows) for n in ("train", "val", "test")}, ()))
    found = Latent()(run, "test")["latent/jacobian_norm"]
    assert found != 10.0 and found == pytest.approx(10.0, rel=0.005)


# ---------------------------------------------------------------- the protocol

METRICS = {"reconstruction": Reconstruction(), "probe": Probe(rows=300), "latent": Latent(jacobian_rows=32)}


def test_measuring_gives_the_loss_its_terms_and_every_metric(build_learner, digit_data):
    run = Run(build_learner((1, 8, 8), 5, noises={"m": Masking(0.5)}, regularizers={"l1": L1(0.1)}), digit_data)
    values = measure(run, METRICS, "val")
    assert values["loss"] == pytest.approx(values["loss/reconstruction"] + values["loss/l1"])
    assert values["loss/reconstruction"] == pytest.approx(values["reconstruction/mse"], rel=1e-5)  # variance 1/2
    codes = np.abs(run.codes("val")).sum(1).mean()
    assert values["loss/l1"] == pytest.approx(0.1 * codes, rel=1e-5)
    assert {key.split("/")[0] for key in values} == {"loss", "reconstruction", "probe", "latent"}
    assert measure(run, METRICS, "val") == values  # without noise, and nothing was trained


def test_the_baseline_is_pca_of_the_training_rows_with_the_same_width_and_the_raw_input(build_learner, digit_data):
    run = Run(build_learner((1, 8, 8), 6), digit_data)
    rows = baselines(run, METRICS)
    assert list(rows) == ["pca", "raw"] and set(rows["pca"]) == set(measure(run, METRICS, "test"))
    best = as_run(pca(digit_data["train"], 6), digit_data)
    assert rows["pca"] == pytest.approx(measure(best, METRICS, "test"), rel=1e-6)
    assert np.array_equal(run.pca().codes("test"), best.codes("test"))
    assert set(rows["raw"]) == {"probe/linear", "probe/knn"}
    assert rows["raw"] == METRICS["probe"](as_run(identity(digit_data.shape), digit_data), "test")
    assert rows["raw"]["probe/linear"] > rows["pca"]["probe/linear"] > 0.5  # ten classes, 64 pixels against 6 numbers


def test_the_baseline_shares_the_models_density_and_keeps_silent_where_it_has_none(build_learner, digit_data):
    metrics = {"reconstruction": Reconstruction()}
    wide = baselines(Run(build_learner((1, 8, 8), 6, likelihood=Gaussian(2.0)), digit_data), metrics)["pca"]
    x = wide["reconstruction/mse"]
    assert wide["reconstruction/nats"] == pytest.approx(x / 4 + 32 * math.log(4 * math.pi), rel=1e-6)
    bits = baselines(Run(build_learner((1, 8, 8), 6, likelihood=Bernoulli()), digit_data), metrics)["pca"]
    assert set(bits) == {f"reconstruction/{name}" for name in ("mse", "psnr", "ssim", "mse_per_feature")}
    assert bits["reconstruction/mse"] == pytest.approx(x, rel=1e-6)


def test_codes_are_those_of_the_whole_split_in_order_and_computed_once(digit_data, monkeypatch):
    monkeypatch.setattr("aeexp.evaluation.run.choose_batch_size", lambda shape: 50)
    run = as_run(identity(digit_data.shape), digit_data)
    codes = run.codes("test")
    assert np.array_equal(codes, values_of(digit_data, "test").reshape(180, 64).astype(np.float32))
    assert run.codes("test") is codes
    assert np.array_equal(run.labels("test"), digit_data["test"].y.numpy())


def test_a_run_sees_the_learner_in_evaluation_mode(build_learner, digit_data):
    learner = build_learner((1, 8, 8), 5, noises={"m": Masking(1.0)}).train()
    assert Run(learner, digit_data).codes("test").std() > 0 and not learner.training


def test_the_probe_reads_the_mean_code_and_not_the_sample(build_learner, digit_data):
    class Shaken(nn.Module):
        dim = params = 4
        range = (-math.inf, math.inf)

        def forward(self, h):
            return Code(z=h + 100 * torch.randn_like(h), mean=h)

    run = Run(build_learner((1, 8, 8), latent=Shaken()), digit_data)
    x = torch.from_numpy(values_of(digit_data, "test")).float()
    assert np.array_equal(run.codes("test"), run.model.encoder(x).detach().numpy())

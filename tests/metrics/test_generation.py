"""Drawing and judging new rows: samplers, conditions, importance-sampled likelihood, collapse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aeexp.conditions import Attribute, Label, Unconditional
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.evaluation.samplers import SAMPLERS
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.priors import Standard
from aeexp.likelihoods.bernoulli import Bernoulli
from aeexp.likelihoods.categorical import Categorical
from aeexp.likelihoods.gaussian import Gaussian as GaussianLikelihood
from aeexp.metrics.generation import Generation, summarise_weights
from aeexp.metrics.latent import Latent
from aeexp.metrics.reconstruction import Reconstruction
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.models.nn.mlp import mlp
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.objectives.bounds import bound
from aeexp.plots.samples import Samples
from aeexp.regularizers.mmd import MMD
from aeexp.tasks.reconstruct import Reconstruct
from aeexp.types import Batch, Facts


def variational(shape, dim=2, likelihood=None, condition=None, facts=None, output=None) -> Learner:
    torch.manual_seed(0)
    condition = condition or Unconditional()
    condition.adapt(facts or Facts(tuple(shape)))
    prior = Standard()
    prior.adapt(dim, shape)
    latent = Gaussian(dim, prior)
    encoder, decoder = mlp(shape, latent.params, dim, condition.size, output, hidden_dims=[])
    model = Autoencoder(encoder, latent, decoder, likelihood or GaussianLikelihood(), condition)
    return Learner(Reconstruct(), model, Additive(Chain({}), {}))


def toy(rows=400, shape=(6,), seed=0, **fields) -> Data:
    x = np.random.default_rng(seed).random((rows, *shape), np.float32)
    split = Split(Rows(x, **fields))
    return Data("toy", {name: split for name in ("train", "val", "test")}, ("a", "b", "c") if "y" in fields else ())


# ---------------------------------------------------------------- samplers


def coded(codes: np.ndarray, build_learner) -> Run:
    """A run whose codes are these."""
    split = Split(Rows(codes.astype(np.float32)))
    learner = build_learner((codes.shape[1],), codes.shape[1])
    with torch.no_grad():
        for layer in (learner.model.encoder.layers[0], learner.model.decoder.layers[0]):
            layer.weight.copy_(torch.eye(codes.shape[1]))
            layer.bias.zero_()
    return Run(learner, Data("codes", {name: split for name in ("train", "val", "test")}, ()))


@pytest.mark.parametrize("name", ["gaussian", "mixture", "kernel"])
def test_a_density_fitted_to_codes_has_their_mean_and_covariance(name, build_learner):
    generator = np.random.default_rng(0)
    codes = generator.normal(size=(4000, 2)) @ np.array([[1.0, 0.6], [0.0, 0.5]]) + [3, -1]
    drawn = SAMPLERS[name](coded(codes, build_learner), 20_000, 1)
    error = 5 * codes.std(0) * math.sqrt(1 / 4000 + 1 / 20_000)
    assert (abs(drawn.mean(0) - codes.mean(0)) < error).all()
    # a kernel density is wider by the square of its width, 4000^(-1/3) = 0.063; sampling leaves some per cent
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T) * (1.063 if name == "kernel" else 1), rtol=0.1)
    assert np.array_equal(drawn, SAMPLERS[name](coded(codes, build_learner), 20_000, 1))
    assert not np.array_equal(drawn, SAMPLERS[name](coded(codes, build_learner), 20_000, 2))


def test_a_mixture_of_wide_codes_keeps_their_covariance(build_learner):
    """Diagonal along the principal axes: one correlated Gaussian in 80 units is found again."""
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(80, 80)) / math.sqrt(80)
    codes = generator.normal(size=(4000, 80)) @ mixing
    drawn = SAMPLERS["mixture"](coded(codes, build_learner), 20_000, 1)
    # a covariance of 4,000 rows has entries good to sqrt(2 / 4000) of the variances' scale, and so has the other
    scale = np.cov(codes.T).diagonal().max()
    assert abs(np.cov(drawn.T) - np.cov(codes.T)).max() < 5 * scale * math.sqrt(2 / 4000 + 2 / 20_000)


@pytest.mark.parametrize("name", ["mixture", "kernel"])
def test_two_clusters_stay_two_where_one_gaussian_fills_the_gap(name, build_learner):
    side = np.repeat([-5.0, 5.0], 500)[:, None]
    codes = np.hstack([side, np.zeros((1000, 1))]) + np.random.default_rng(0).normal(0, 0.3, (1000, 2))
    run = coded(codes, build_learner)
    between = {n: (abs(SAMPLERS[n](run, 2000, 0)[:, 0]) < 2).mean() for n in (name, "gaussian")}
    assert between["gaussian"] > 0.2 and between[name] < (0.01 if name == "mixture" else 0.1)


def test_a_latent_without_prior_has_none_to_draw_from(build_learner):
    assert SAMPLERS["prior"](coded(np.random.default_rng(0).normal(size=(50, 3)), build_learner), 5, 0) is None
    held = coded(np.random.default_rng(0).normal(size=(50, 3)), build_learner)
    held.learner.objective.regularizers["mmd"] = MMD()
    assert abs(SAMPLERS["prior"](held, 5000, 0).mean()) < 5 / math.sqrt(15_000)
    drawn = SAMPLERS["prior"](Run(variational((6,), dim=3), toy()), 5000, 0)
    assert abs(drawn.mean()) < 5 / math.sqrt(15_000) and abs(drawn.std() - 1) < 5 / math.sqrt(2 * 15_000)


# ---------------------------------------------------------------- conditions


def test_a_label_is_one_hot_and_an_unknown_one_is_nothing():
    condition = Label()
    condition.adapt(Facts((6,), classes=3))
    context = condition(Batch(torch.zeros(4, 6), y=torch.tensor([0, 2, -1, 1])))
    assert context.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_attributes_are_one_hot_codes_or_the_quantities_themselves():
    coded, measured = Attribute(), Attribute()
    coded.adapt(Facts((6,), codes=2))
    measured.adapt(Facts((6,), columns=2))
    assert coded(Batch(torch.zeros(2, 6), s=torch.tensor([1, 0]))).tolist() == [[0, 1], [1, 0]]
    s = torch.tensor([[0.5, 2.0], [1.0, -1.0]], dtype=torch.float64)
    assert measured(Batch(torch.zeros(2, 6), s=s)).tolist() == s.tolist()


def test_data_says_what_a_condition_needs():
    assert toy(y=np.arange(400) % 3).facts == Facts((6,), 3, 0, 0)
    assert toy(s=np.arange(400) % 4).facts == Facts((6,), 0, 4, 0)
    assert toy(s=np.random.default_rng(0).normal(size=(400, 2))).facts == Facts((6,), 0, 0, 2)


@pytest.mark.parametrize("condition", [Label(), Attribute()])
def test_data_without_labels_or_attributes_cannot_be_conditioned_on(condition):
    with pytest.raises(UsageError, match="take condition=none"):
        condition.adapt(Facts((6,)))


def test_the_condition_changes_the_output_and_an_unconditional_model_has_none():
    data = toy(y=np.arange(400) % 3)
    model = variational((6,), condition=Label(), facts=data.facts).model
    z, eye = torch.zeros(1, 2), torch.eye(3)
    outputs = [model.decode(z, eye[i : i + 1]) for i in range(3)]
    assert not torch.equal(outputs[0], outputs[1]) and not torch.equal(outputs[1], outputs[2])
    assert variational((6,)).model.condition(Batch(torch.zeros(1, 6))) is None


# ---------------------------------------------------------------- likelihood


def test_the_metric_is_the_closed_form_of_probabilistic_pca_within_its_error():
    learner = variational((6,), likelihood=GaussianLikelihood(0.4))
    layer = learner.model.decoder.layers[0]
    data = toy(300)
    with torch.no_grad():
        for q in (learner.model.encoder.layers[0],):
            q.weight.mul_(0.3)
            q.bias.zero_()
        cov = layer.weight @ layer.weight.T + 0.4 * torch.eye(6)
        exact = -torch.distributions.MultivariateNormal(layer.bias, cov).log_prob(data["test"].x)
    found = Generation(samples=5000, rows=300)(Run(learner, data), "test")
    # the estimate is biased upwards by half the relative variance of the weights: a hundredth of a nat here
    assert found["generation/nll"] == pytest.approx(float(exact.mean()), abs=0.02)
    spread = float(exact.std()) / math.sqrt(300)
    assert found["generation/nll_se"] == pytest.approx(spread, rel=0.05)
    assert found["generation/nll_k"] == 5000


@pytest.mark.parametrize("codes", [(1,), (3,), (2, 2), (1, 2, 5)])
def test_weights_in_parts_are_those_of_all_codes_at_once(codes, monkeypatch):
    """The same codes, cut as one likes: log of the mean weight, and mean of the log weights."""
    weights = torch.randn(sum(codes), 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 30 - 700
    parts = iter(weights.split(codes))
    monkeypatch.setattr("aeexp.metrics.generation.log_weights", lambda *_: (next(parts), None, None))
    found = summarise_weights(variational((6,)).model, Batch(torch.zeros(4, 6)), torch.zeros(4, 6), codes)
    torch.testing.assert_close(found[0], bound(weights), rtol=1e-12, atol=0)  # double precision
    torch.testing.assert_close(found[1], weights.mean(0), rtol=1e-12, atol=0)


def test_many_codes_of_a_row_are_decoded_in_parts_and_tell_how_far_they_are(monkeypatch, caplog):
    learner, data = variational((6,), likelihood=GaussianLikelihood(0.4)), toy(40)
    whole = Generation(samples=400, rows=40)(Run(learner, data), "test")
    seen = []
    learner.model.decoder.register_forward_hook(lambda module, given, output: seen.append(len(output)))
    monkeypatch.setattr("aeexp.metrics.generation.EVERY", 0.0)
    with caplog.at_level("INFO", "aeexp"):
        parts = Generation(samples=400, rows=40, chunk=150)(Run(learner, data), "test")
    assert set(seen) == {150, 100} and len(seen) == 3 * 40
    # other draws: weights whose relative deviation is some 5 leave an error of 5/20 in a row's log of the mean of 400,
    # 0.04 in the mean over 40 rows, and 0.06 between two of them; three times that
    assert parts["generation/nll"] == pytest.approx(whole["generation/nll"], abs=0.2)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 39 and lines[0].startswith("generation: 1 of 40 test rows")
    assert "standard error" in lines[-1] and lines[-1].endswith("left")


@pytest.mark.parametrize("likelihood", [GaussianLikelihood(0.4), GaussianLikelihood(0.4, "learned")])
def test_the_elbo_is_its_closed_form_for_a_linear_decoder_and_lies_below_log_p(likelihood):
    learner, data = variational((6,), likelihood=likelihood), toy(300)
    x, layer = data["test"].x, learner.model.decoder.layers[0]
    with torch.no_grad():
        q = learner.model.encode(x).posterior
        spread = (q.log_var.exp() @ layer.weight.square().T).sum(1)  # E |W (z - mean)|^2
        square = (x - layer(q.mean)).square().sum(1) + spread
        exact = -square / 0.8 - 3 * math.log(2 * math.pi * 0.4) - q.kl_to_standard().sum(1)
    found = Generation(samples=1000, rows=300)(Run(learner, data), "test")
    # the mean of 300,000 draws whose deviation is below 5 nats: 5 standard errors are 0.05
    assert found["generation/elbo"] == pytest.approx(float(exact.mean()), abs=0.05)
    assert found["generation/elbo"] < -found["generation/nll"]
    one = Generation(samples=1, rows=300)(Run(learner, data), "test")
    assert one["generation/elbo"] == pytest.approx(-one["generation/nll"], rel=1e-6)  # K = 1 is the ELBO


@pytest.mark.parametrize("levels", [2, 256])
def test_a_categorical_likelihood_is_one_of_its_data_and_codes_are_decoded_in_smaller_chunks(levels, monkeypatch):
    rows = np.random.default_rng(0).integers(0, levels, (30, 6), dtype=np.uint8)
    split = Split(Rows(rows), Preprocessing(1 / (levels - 1)))
    learner = variational((6,), likelihood=Categorical(levels), output=(6 * levels,))
    data = Data("p", dict.fromkeys(("train", "val", "test"), split))
    seen = []
    learner.model.decoder.register_forward_hook(lambda module, given, output: seen.append(output.numel()))
    monkeypatch.setattr("aeexp.metrics.generation.VALUES", 3600)
    found = Generation(samples=10, rows=30)(Run(learner, data), "test")
    # ten codes of each of 30 rows, 12 or 1,536 numbers a code: all at once, or two at a time
    assert max(seen) <= 3600 and len(seen) == (1 if levels == 2 else 150)
    bits = found["generation/nll"] / (6 * math.log(2))
    assert found["generation/nll_bits_per_dim"] == pytest.approx(bits)  # a probability: no step of a grid


@pytest.mark.parametrize("variance", [1e-6, (1 / 255) ** 2 / 12, 1e-4, 0.05])
def test_bits_of_a_density_are_those_of_a_probability_however_narrow_it_is(variance):
    """A decoder that hits every grey level: narrow on the grid's points a density is as high as one likes."""
    split = Split(Rows(np.full((200, 6), 51, np.uint8)), Preprocessing(1 / 255))
    learner = variational((6,), likelihood=GaussianLikelihood(variance))
    with torch.no_grad():
        for parameter in learner.model.parameters():
            parameter.zero_()  # the posterior is the prior, and the decoder a constant
        learner.model.decoder.layers[0].bias.fill_(51 / 255)
    run = Run(learner, Data("p", dict.fromkeys(("train", "val", "test"), split)))
    found = Generation(samples=2, rows=200)(run, "test")
    step = 1 / 255
    # under u of one step: 1/2 log 2 pi v + E u^2 / 2 v - log step, E u^2 = step^2 / 12
    bits = 0.5 * math.log2(2 * math.pi * variance) + step**2 / 24 / variance / math.log(2) - math.log2(step)
    error = step**2 / math.sqrt(180) / (2 * variance) / math.log(2) / math.sqrt(200 * 6)
    for key in ("nll", "elbo"):
        assert found[f"generation/{key}_bits_per_dim"] == pytest.approx(bits, abs=5 * error + 1e-4)
    assert bits > 0
    at_points = found["generation/nll"] / (6 * math.log(2)) - math.log2(step)
    assert (at_points < 0) == (variance < 1e-5)  # what a narrow one seemed to cost


@pytest.mark.parametrize("values", [(0, 1), (0, 255)])
def test_bytes_of_two_values_are_a_likelihood_of_coin_flips(values):
    rows = np.random.default_rng(0).choice(values, (60, 6)).astype(np.uint8)
    split = Split(Rows(rows), Preprocessing(1 / max(values)))
    run = Run(variational((6,), likelihood=Bernoulli()), Data("p", dict.fromkeys(("train", "val", "test"), split)))
    found = Generation(samples=3, rows=20)(run, "test") | Reconstruction()(run, "test")
    assert {"generation/nll", "generation/elbo", "generation/elbo_bits_per_dim", "reconstruction/nats"} <= set(found)
    assert found["generation/elbo_bits_per_dim"] == pytest.approx(-found["generation/elbo"] / (6 * math.log(2)))


def test_one_grey_byte_in_any_split_and_coin_flips_are_no_likelihood():
    bits = np.random.default_rng(0).choice((0, 255), (60, 6)).astype(np.uint8)
    grey = np.where(np.arange(360).reshape(60, 6) == 7, 128, bits).astype(np.uint8)
    splits = {
        name: Split(Rows(x), Preprocessing(1 / 255)) for name, x in (("train", bits), ("val", bits), ("test", grey))
    }
    run = Run(variational((6,), likelihood=Bernoulli()), Data("p", splits))
    assert "generation/cross_entropy_bound" in Generation(samples=3, rows=20)(run, "test")


def test_the_name_of_a_likelihood_says_how_the_data_was_binarised():
    grey = np.random.default_rng(0).integers(0, 256, (50, 6), dtype=np.uint8)
    for binarise, name in (("none", "cross_entropy_bound"), ("fixed", "nll_fixed"), ("per_epoch", "nll_per_epoch")):
        split = Split(Rows(grey), Preprocessing(1 / 255, 0.0, binarise))
        run = Run(variational((6,), likelihood=Bernoulli()), Data("p", dict.fromkeys(("train", "val", "test"), split)))
        found = Generation(samples=3, rows=20)(run, "test")
        elbo = name.replace("nll", "elbo").replace("bound", "elbo")
        assert f"generation/{name}" in found and found.pop(f"generation/{elbo}") < 0
        assert (found.pop(f"generation/{elbo}_bits_per_dim", None) is not None) == (binarise != "none")
        assert all(key.startswith(f"generation/{name}") for key in found)
        assert (f"generation/{name}_bits_per_dim" in found) == (binarise != "none")


def test_a_deterministic_code_has_no_likelihood(build_learner):
    assert Generation()(Run(build_learner((6,)), toy()), "test") == {}


def test_collapsed_units_are_counted():
    learner = variational((6,), dim=3)
    layer = learner.model.encoder.layers[0]
    with torch.no_grad():  # units 1 and 3 are the prior, unit 2 is not
        layer.weight.zero_()
        layer.bias.zero_()
        layer.weight[1] = 2.0
    found = Latent()(Run(learner, toy()), "test")
    assert found["latent/active_units"] == 1
    assert (
        found["latent/kl"] == pytest.approx(found["latent/kl_largest_unit"]) and found["latent/kl_smallest_unit"] == 0
    )
    assert found["latent/collapsed_units"] == 2


def test_the_name_says_what_a_conditional_model_was_told():
    data = toy(40, y=np.arange(40) % 3)
    run = Run(variational((6,), condition=Label(), facts=data.facts), data)
    found = Generation(samples=3)(run, "test")
    assert {"generation/nll_given_label", "generation/elbo_given_label"} <= set(found)
    with pytest.raises(UsageError, match=r"trained with side information: give context \(B, 3\)"):
        run.model.sample(2)


def test_rows_and_codes_are_drawn_and_not_the_first_of_a_sorted_source(build_learner, monkeypatch):
    split = Split(Rows(np.arange(400, dtype=np.float32)[:, None].repeat(6, 1)))
    run = Run(variational((6,)), Data("sorted", dict.fromkeys(("train", "val", "test"), split)))
    assert Generation(rows=100).draw_rows(run, "test").x[:, 0].max() > 300
    monkeypatch.setattr("aeexp.evaluation.samplers.ROWS", 100)
    sorted_codes = coded(np.arange(400.0)[:, None] + np.random.default_rng(0).normal(size=(400, 1)), build_learner)
    drawn = SAMPLERS["gaussian"](sorted_codes, 5000, 0)
    # 100 of 400 drawn rows: their mean is 199.5 within five standard errors of 115 / 10
    assert abs(drawn.mean() - 199.5) < 60


# ---------------------------------------------------------------- figures


def test_samples_have_a_row_for_each_sampler_or_for_each_class():
    data = toy(shape=(1, 4, 4), y=np.arange(400) % 3)
    plain = Samples(count=5)(Run(variational((1, 4, 4)), data))["samples"]
    assert [text.get_text().split("\n")[0] for text in plain.axes[0].get_yticklabels()] == [
        "the prior", "one Gaussian", "a mixture", "a kernel",
    ]  # fmt: skip
    conditional = variational((1, 4, 4), condition=Label(), facts=data.facts)
    figure = Samples(count=5)(Run(conditional, data))["samples"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a", "b", "c"]

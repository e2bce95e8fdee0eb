"""Recurrent networks: padding changes nothing, the past is the past, and nats are counted by the step."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from composing import run_in
from hypothesis import given
from hypothesis import strategies as st

from aeexp.conditions import Label
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.priors import Standard, Vamp
from aeexp.likelihoods import ContinuousBernoulli
from aeexp.likelihoods.bernoulli import Bernoulli
from aeexp.metrics.generation import Generation
from aeexp.metrics.latent import Latent
from aeexp.metrics.reconstruction import Reconstruction
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner, average
from aeexp.models.nn.gru import gru
from aeexp.noises import Chain
from aeexp.objectives.bounds import log_weights
from aeexp.objectives.iwae import ImportanceWeighted
from aeexp.plots.samples import Samples
from aeexp.regularizers.contractive import Contractive
from aeexp.regularizers.kl import KL
from aeexp.runs.loading import load
from aeexp.types import Batch, Facts

T, F, DIM = 6, 2, 3
LENGTHS = torch.tensor([6, 1, 4, 3, 5])
MASK = torch.arange(T) < LENGTHS[:, None]
# float64 with some hundred products of numbers near 1 in another order: 1e3 * 2^-52 < 1e-12
CLOSE = {"rtol": 1e-10, "atol": 1e-12}
KINDS = [
    dict(bidirectional=b, layers=n, teacher_forcing=t)
    for b, n, t in [(True, 1, False), (False, 2, True), (True, 2, True)]
]


def batch(junk: float = 0.0, extra: int = 0, seed: int = 0) -> Batch:
    """Rows of zeros and ones, so that an all-zero step is real; what lies beyond the mask is `junk`."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 2, (len(LENGTHS), T, F), generator=generator).double()
    x[0, 2:] = 0.0
    x = torch.where(MASK[..., None], x, torch.tensor(junk, dtype=torch.float64))
    x = torch.cat([x, torch.full((len(x), extra, F), junk, dtype=torch.float64)], 1)
    mask = torch.cat([MASK, torch.zeros(len(x), extra, dtype=torch.bool)], 1)
    return Batch(x, mask=mask)


@pytest.fixture(scope="module")
def vae(build_learner):
    """vae(steps, prior=..., **options): a learner in double precision with Bernoulli steps."""

    def make(steps=T, prior=None, likelihood=None, regularizers=None, **options) -> Learner:
        prior = prior or Standard()
        prior.adapt(DIM, (steps, F))
        learner = build_learner(
            (steps, F), network=gru, latent=Gaussian(DIM, prior), likelihood=likelihood or Bernoulli(),
            regularizers=regularizers, hidden=8, **options,
        )  # fmt: skip
        for parameter in learner.parameters():  # biases that start at 0 would hide what they add
            parameter.data += 0.1 * torch.randn_like(parameter)
        return learner.double().eval()

    return make


def loss(learner: Learner, given: Batch) -> torch.Tensor:
    """(B,) with the same noise in every code, however many rows and steps there are."""
    given = learner.task(given)
    code = learner.model.encode(given.x, None, given.mask)
    z = code.mean + (0.5 * code.posterior.log_var).exp()
    output = learner.model.explain(z, None, given)
    return learner.model.likelihood.distortion(output, given.target, given.mask)


# ---------------------------------------------------------------- padding


@pytest.mark.parametrize("options", KINDS)
def test_what_lies_in_the_padding_changes_neither_code_nor_loss(options, vae):
    learner, plain = vae(**options), batch()
    for junk in (batch(7.0), batch(-1e3)):
        code, other = (learner.model.encode(b.x, None, b.mask).mean for b in (plain, junk))
        assert torch.equal(code, other)
        assert torch.equal(loss(learner, junk), loss(learner, plain))


@pytest.mark.parametrize("options", KINDS)
@given(extra=st.integers(1, 9))
def test_more_padding_changes_neither_code_nor_loss(options, extra, vae):
    short, long = vae(T, **options), vae(T + extra, **options)
    long.load_state_dict(short.state_dict())
    torch.testing.assert_close(loss(long, batch(extra=extra)), loss(short, batch()), **CLOSE)


@pytest.mark.parametrize("options", KINDS)
def test_a_row_alone_cut_to_its_length_is_that_row_among_others(options, vae):
    learner, rows = vae(**options), batch()
    together = learner.model.encode(rows.x, None, rows.mask).mean
    for i, length in enumerate(LENGTHS):
        alone = learner.model.encode(rows.x[i : i + 1, :length]).mean
        torch.testing.assert_close(alone[0], together[i], **CLOSE)
    assert (together[:, None] - together[None]).abs().sum(2).fill_diagonal_(1).min() > 1e-3  # no two rows agree


def test_a_silent_step_counts_and_an_absent_one_does_not(vae):
    learner = vae()
    x, longer = torch.zeros(2, T, F, dtype=torch.float64), torch.tensor([3, 4])
    x[:, :2] = 1.0
    code = learner.model.encode(x, None, torch.arange(T) < longer[:, None]).mean
    assert (code[0] - code[1]).abs().max() > 1e-3


@pytest.mark.parametrize("options", KINDS)
def test_no_gradient_reaches_the_padding(options, vae):
    learner, rows = vae(**options), batch()
    rows = rows._replace(x=rows.x.requires_grad_())
    (gradient,) = torch.autograd.grad(loss(learner, rows).sum(), rows.x)
    assert not gradient[~rows.mask].any()
    assert gradient[rows.mask].abs().sum(1).min() > 0  # and every real step


@pytest.mark.parametrize("options", KINDS)
def test_the_masked_loss_is_the_sum_over_real_steps(options, vae):
    learner, rows = vae(**options), batch()
    terms, out = learner(rows)
    each = torch.nn.functional.binary_cross_entropy_with_logits(out.output, rows.x, reduction="none")
    by_hand = torch.stack([row[:n].sum() for row, n in zip(each, LENGTHS, strict=True)])
    torch.testing.assert_close(terms["reconstruction"], by_hand)


# ---------------------------------------------------------------- teacher forcing


@pytest.mark.parametrize("step", range(T))
def test_a_forced_step_depends_on_the_steps_before_it_alone(step, vae):
    model = vae(teacher_forcing=True, layers=2).model
    z, rows = torch.randn(4, DIM, dtype=torch.float64), torch.rand(4, T, F, dtype=torch.float64, requires_grad=True)
    output = model.explain(z, None, Batch(rows, target=rows))
    (gradient,) = torch.autograd.grad(output[:, step].sum(), rows, allow_unused=True)
    assert not gradient[:, step:].any()
    assert step == 0 or gradient[:, :step].abs().amin() > 0


@pytest.mark.parametrize("options", [dict(teacher_forcing=True), dict(teacher_forcing=True, layers=2)])
def test_a_free_run_is_the_forced_run_on_its_own_mean(options, vae):
    model = vae(**options).model
    z = torch.randn(4, DIM, dtype=torch.float64)
    picture = model.decode(z)
    assert not torch.equal(picture, model.parameters_of(z))  # the mean, no logits
    forced = model.explain(z, None, Batch(picture, target=picture))
    torch.testing.assert_close(model.parameters_of(z), forced, **CLOSE)


def test_without_teacher_forcing_the_target_is_not_seen(vae):
    model, rows = vae().model, batch()
    z = torch.randn(len(rows.x), DIM, dtype=torch.float64)
    assert not model.decoder.autoregressive
    assert torch.equal(model.explain(z, None, rows._replace(target=rows.x + 1)), model.decoder(z))


def test_codes_and_pictures_of_a_run_come_from_the_code_alone_and_nats_from_the_true_past(vae):
    learner = vae(teacher_forcing=True)
    run = Run(learner.float(), sequences())
    out = run.forward(next(run.data["test"].batches(100)))
    assert torch.equal(run.model.decode(out.code.z), run.model.likelihood.mean(out.output))
    exact = run.model.explain(out.code.z, None, out.batch)
    found = Reconstruction()(run, "test")
    nats = run.model.likelihood.distortion(exact, out.batch.target, out.batch.mask).detach()
    assert found["reconstruction/nats"] == pytest.approx(float(nats.mean()), rel=1e-6)
    squared = (run.model.decode(out.code.z).detach() - out.batch.x).square() * out.batch.mask[..., None]
    assert found["reconstruction/mse"] == pytest.approx(float(squared.sum((1, 2)).mean()), rel=1e-6)


def test_every_sample_of_a_bound_is_given_the_true_past_of_its_own_row(vae):
    model, rows = vae(teacher_forcing=True).model, batch()._replace(target=batch().x)
    weights, z, first = log_weights(model, rows, rows.x, 3)
    posterior = model.encode(rows.x, None, rows.mask).posterior
    for k in range(3):
        fit = -model.likelihood.distortion(model.explain(z[k], None, rows), rows.target, rows.mask)
        expected = fit + model.latent.prior.log_prob(z[k], model) - posterior.log_prob(z[k])
        torch.testing.assert_close(weights[k], expected, **CLOSE)
    torch.testing.assert_close(first.output, model.explain(z[0], None, rows), **CLOSE)


@pytest.mark.parametrize("teacher_forcing", [False, True])
def test_a_label_reaches_encoder_and_decoder(teacher_forcing):
    condition = Label()
    condition.adapt(Facts((T, F), classes=2))
    latent = Gaussian(DIM, Standard())
    encoder, decoder = gru((T, F), latent.params, DIM, 2, hidden=4, teacher_forcing=teacher_forcing)
    model = Autoencoder(encoder, latent, decoder, Bernoulli(), condition)
    x, z, (a, b) = torch.rand(1, T, F), torch.randn(1, DIM), torch.eye(2).split(1)
    assert not torch.equal(model.encode(x, a).mean, model.encode(x, b).mean)
    assert (model.decode(z, a) != model.decode(z, b)).all()
    given = Batch(x, target=x)
    assert (model.explain(z, a, given) != model.explain(z, b, given)).all()


# ---------------------------------------------------------------- nats


def sequences() -> Data:
    """Five toy pieces; the longest has T steps."""
    rows = Rows(batch().x.numpy().astype(np.uint8), np.arange(5) % 2, lengths=LENGTHS.numpy())
    split = Split(rows, Preprocessing())
    return Data("pieces", {name: split for name in ("train", "val", "test")}, ("a", "b"))


def test_nats_per_step_are_all_nats_over_all_steps(vae):
    learner = vae(likelihood=Bernoulli()).float()
    head = learner.model.decoder.recurrence.head
    torch.nn.init.zeros_(head.weight)
    with torch.no_grad():
        head.bias.copy_(torch.tensor([0.0, math.log(3.0)]))  # p = 1/2 and 3/4 at every step, whatever the code
    run = Run(learner, sequences())
    x, steps = batch().x[MASK], int(LENGTHS.sum())
    ones = int(x[:, 1].sum())
    nats = steps * math.log(2) - ones * math.log(0.75) - (steps - ones) * math.log(0.25)
    found = Reconstruction()(run, "test") | Generation(samples=500)(run, "test")
    assert found["reconstruction/nats_per_step"] == pytest.approx(nats / steps, rel=1e-5)
    assert found["reconstruction/nats"] == pytest.approx(nats / len(LENGTHS), rel=1e-5)
    # p(x|z) does not depend on z: what is left is the mean of p(z)/q(z), which is 1; its log has a standard error of
    # sd / sqrt(500), and with a posterior this near the prior sd < 2: five of them over the rows' steps
    assert found["generation/nll_per_step"] == pytest.approx(nats / steps, abs=5 * 2 / math.sqrt(500) * 5 / steps)
    assert found["generation/nll_per_step"] == pytest.approx(found["generation/nll"] * len(LENGTHS) / steps)
    bits = found["generation/nll_per_step"] / (F * math.log(2))
    assert found["generation/nll_bits_per_dim"] == pytest.approx(bits)


def test_rows_that_are_no_sequences_have_no_steps(build_learner, as_data):
    run = Run(build_learner((1, 4, 4)), as_data(np.random.default_rng(0).random((9, 1, 4, 4), np.float32)))
    assert not any("per_step" in key for key in Reconstruction()(run, "test"))


def test_codes_of_long_rows_are_decoded_in_small_parts(vae, monkeypatch):
    run = Run(vae().float(), sequences())
    seen = []
    explain = run.model.explain
    monkeypatch.setattr(run.model, "explain", lambda z, *rest: seen.append(len(z)) or explain(z, *rest))
    monkeypatch.setattr("aeexp.metrics.generation.VALUES", 20 * T * F)
    Generation(samples=10)(run, "test")
    assert seen == [20, 20, 10]


# ---------------------------------------------------------------- with other parts


def test_pseudo_inputs_keep_the_length_of_the_rows_they_started_from(vae):
    prior = Vamp(7)
    learner = vae(prior=prior).float()
    data = sequences()
    learner.before_step(data["train"], 0)
    assert prior.mask.sum(1).tolist() == [*LENGTHS.tolist(), *LENGTHS[:2].tolist()]
    rows = data["train"].batch(slice(None))
    expected = learner.model.encode(rows.x, None, rows.mask).mean
    torch.testing.assert_close(prior.posterior(learner.model).mean[:5], expected)
    before = prior.posterior(learner.model).mean
    prior.rows.data[~prior.mask] = 9.0
    assert torch.equal(prior.posterior(learner.model).mean, before)


def test_an_importance_weighted_bound_of_sequences_trains(vae):
    learner = vae(teacher_forcing=True).float()
    learner.objective = ImportanceWeighted(Chain({}), {}, samples=4, gradient="doubly_reparameterized")
    values = average(learner, sequences()["val"])
    assert math.isfinite(values["bound"])
    terms, _ = learner.train()(sequences()["train"].batch(slice(None)))
    terms["bound"].mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learner.parameters())


def test_the_jacobian_of_a_recurrent_encoder_is_that_of_autograd_and_can_be_trained(vae):
    learner, rows = vae(), batch()
    _, out = learner(rows)
    penalty = Contractive(1.0)(out, learner.model)

    def code(x, i):
        return learner.model.encode(x[None], None, rows.mask[i : i + 1]).mean[0]

    for i, row in enumerate(rows.x):
        jacobian = torch.autograd.functional.jacobian(lambda x, i=i: code(x, i), row)
        assert not jacobian[:, ~rows.mask[i]].any()
        torch.testing.assert_close(penalty[i], jacobian.square().sum())
    penalty.sum().backward()  # nn.GRU on the CPU has second derivatives
    weight = learner.model.encoder.forwards[0].weight_hh_l0
    step, found = 1e-6, float(weight.grad[0, 0])
    values = []
    for sign in (1, -1):
        weight.data[0, 0] += sign * step
        values.append(float(Contractive(1.0)(out, learner.model).sum().detach()))
        weight.data[0, 0] -= sign * step
    # central difference: step^2 + 2^-52 / step, some 1e-9
    assert found == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-8)


def test_statistics_and_samples_of_a_recurrent_model(vae):
    run = Run(vae(teacher_forcing=True, regularizers={"kl": KL()}).float(), sequences())
    assert all(map(math.isfinite, Latent()(run, "test").values()))
    with torch.no_grad():
        shown = Samples(count=3).decode(run, np.zeros((3, DIM), np.float32))
    assert shown.shape == (3, T, F)  # no mask: in full length
    assert run.model.reconstruct(torch.rand(2, T, F), mask=torch.ones(2, T, dtype=torch.bool)).shape == (2, T, F)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["model.teacher_forcing=true", "model.layers=2", "objective=iwae", "regularizer=none", "likelihood=laplace"],
        ["latent/prior=vamp", "latent.prior.pseudo_inputs=10"],
        ["condition=label", "model.teacher_forcing=true", "model.bidirectional=false"],
        ["latent=sigmoid", "regularizer=[contractive,kl_sparsity]", "noise=masking"],
    ],
)
def test_parts_compose_with_sequences(overrides, tmp_path):
    rows = ["dataset.n=40", "trainer.steps=2", "model.hidden=8", "metric=[reconstruction,generation]"]
    assert math.isfinite(run_in(tmp_path, "variant=recurrent_vae", *rows, *overrides))
    columns = (tmp_path / "metrics.json").read_text()
    assert "reconstruction/nats_per_step" in columns
    name = "nll_given_label_per_step" if "condition=label" in overrides else "nll_per_step"
    assert (f"generation/{name}" in columns) == ("latent=sigmoid" not in overrides)


@pytest.mark.parametrize(
    ("shape", "output", "options", "message"),
    [
        ((6,), None, {}, r"^model=gru needs sequences.*\(6,\).*model=mlp"),
        ((1, 8, 8), None, {}, r"^model=gru needs sequences.*\(1, 8, 8\).*dataset=sine_waves"),
        ((T, F), (2 * T, F), {}, r"^model=gru gives numbers for each of 6 steps.*\(12, 2\)"),
    ],
)
def test_what_is_no_sequence_is_refused_in_words(shape, output, options, message):
    with pytest.raises(UsageError, match=message):
        gru(shape, 3, 3, 0, output, **options)


def test_a_decoder_gives_as_many_numbers_a_step_as_the_likelihood_wants():
    for teacher_forcing in (False, True):
        _, decoder = gru((T, F), 3, 3, 0, (T, 5), teacher_forcing=teacher_forcing)
        likelihood = SimpleNamespace(mean=lambda output: output[..., :F])
        assert decoder.run_free(torch.zeros(4, 3), None, (), likelihood).shape == (4, T, 5)


def test_teacher_forcing_survives_the_run_folder(tmp_path):
    run_in(
        tmp_path,
        "variant=recurrent_vae",
        "model.teacher_forcing=true",
        "dataset.n=30",
        "trainer.steps=1",
        "metric=none",
    )
    model = load(tmp_path)
    assert model.decoder.autoregressive
    assert model.sample(2).shape == (2, 48, 1)


def test_a_copy_feeds_back_its_own_likelihood(vae):
    model = vae(teacher_forcing=True).model
    twin, z = copy.deepcopy(model), torch.randn(4, DIM, dtype=torch.float64)
    assert torch.equal(twin.decode(z), model.decode(z))
    twin.likelihood = ContinuousBernoulli()
    assert not torch.equal(twin.parameters_of(z), model.parameters_of(z))

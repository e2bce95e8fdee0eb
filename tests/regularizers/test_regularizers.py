"""Penalties equal their formulas, in value and in gradient."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from passes import adapted
from torch import nn

from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.errors import UsageError
from aeexp.latents.deterministic import Deterministic, Sigmoid
from aeexp.latents.sparse import TopK
from aeexp.models.nn.conv import conv
from aeexp.models.nn.mlp import mlp
from aeexp.regularizers.code import L1
from aeexp.regularizers.contractive import Contractive
from aeexp.regularizers.decoder import DecoderL2, Orthogonality
from aeexp.regularizers.kl import KL
from aeexp.regularizers.sparsity import KLSparsity, bernoulli_kl
from aeexp.types import Batch, Code, Pass

# In double, sums of at most a few hundred terms of one sign carry a relative error below 300 * 2^-53 = 3e-14.
DOUBLE = {"rtol": 1e-11, "atol": 1e-13}


def passed(model, x) -> Pass:
    return model(Batch(x))


def with_mean(mean) -> Pass:
    """A pass whose code has these means over the batch."""
    code = torch.as_tensor(mean).expand(4, -1)
    return Pass(Batch(code), code, None, Code(z=code, mean=code), code)


# ---------------------------------------------------------------- contractive


def test_the_contractive_penalty_of_a_linear_encoder_is_its_squared_frobenius_norm_at_every_row(build_learner):
    model = build_learner((7,), 4).double().model
    weight = model.encoder.layers[0].weight
    penalty = Contractive(1.0)(passed(model, torch.randn(6, 7, dtype=torch.float64)), model)
    torch.testing.assert_close(penalty, weight.square().sum().expand(6), **DOUBLE)
    (gradient,) = torch.autograd.grad(penalty.mean(), weight)
    torch.testing.assert_close(gradient, 2 * weight.detach(), **DOUBLE)


def test_the_contractive_penalty_of_a_sigmoid_layer_is_rifais_closed_form_at_the_input_it_saw(build_learner):
    model = build_learner((7,), latent=Sigmoid(4)).double().model
    weight = model.encoder.layers[0].weight
    clean, seen = torch.randn(2, 6, 7, dtype=torch.float64)
    penalty = Contractive(1.0)(model(Batch(clean), seen), model)
    h = model.encode(seen).mean
    closed = ((h * (1 - h)) ** 2 * weight.square().sum(1)).sum(1)
    torch.testing.assert_close(penalty, closed, **DOUBLE)
    ours, theirs = (torch.autograd.grad(value.sum(), weight)[0] for value in (penalty, closed))
    torch.testing.assert_close(ours, theirs, **DOUBLE)


ENCODERS = {
    "deep": ((9,), mlp, Deterministic(4), {"hidden_dims": [6, 5], "activation": "tanh"}),
    "conv": ((2, 5, 6), conv, Sigmoid(3), {"channels": [3], "activation": "elu"}),
    "topk": ((9,), mlp, TopK(5, 2), {"hidden_dims": [6]}),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_the_exact_contractive_penalty_is_the_jacobian_of_autograd(name, build_learner):
    shape, network, latent, options = ENCODERS[name]
    model = build_learner(shape, network=network, latent=latent, **options).double().model
    x = torch.randn(3, *shape, dtype=torch.float64)
    penalty = Contractive(1.0)(passed(model, x), model)
    for row, value in zip(x, penalty, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda r: model.encode(r[None]).mean[0], row)
        torch.testing.assert_close(value, jacobian.square().sum(), **DOUBLE)


@pytest.mark.parametrize("name", ENCODERS)
def test_hutchinsons_mean_over_many_probes_is_the_exact_penalty(name, build_learner):
    shape, network, latent, options = ENCODERS[name]
    model = build_learner(shape, network=network, latent=latent, **options).double().model
    x, probes = torch.randn(5, *shape, dtype=torch.float64), 4000
    out = passed(model, x)
    exact = Contractive(1.0)(out, model)
    estimate = Contractive(1.0, "hutchinson", probes)(out, model)
    # v' A v with v ~ N(0, I) and A = J J' has mean tr A and variance 2 |A|_F^2
    for row, value, truth in zip(x, estimate, exact, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda r: model.encode(r[None]).mean[0], row).flatten(1)
        error = math.sqrt(2 / probes) * float((jacobian @ jacobian.T).norm())
        assert 0 < abs(value - truth) < 5 * error


@pytest.mark.parametrize("estimate", ["exact", "hutchinson"])
def test_the_contractive_penalty_trains_the_encoder_and_works_without_gradient(estimate, build_learner):
    model = build_learner((7,), latent=Sigmoid(4), hidden_dims=[5], activation="tanh").model
    penalty, x = Contractive(1.0, estimate), torch.randn(6, 7)
    torch.manual_seed(1)
    with_gradient = penalty(passed(model, x), model)
    gradients = torch.autograd.grad(with_gradient.sum(), list(model.encoder.parameters()))
    assert all(gradient.abs().max() > 0 for gradient in gradients)
    torch.manual_seed(1)
    with torch.no_grad():
        without = penalty(passed(model, x), model)
    assert not without.requires_grad
    assert torch.equal(without, with_gradient)


# ---------------------------------------------------------------- KL sparsity

shares = st.floats(1e-5, 1 - 1e-5)


@given(shares, shares)
def test_bernoulli_kl_agrees_with_its_formula_and_is_never_negative(p, q):
    value = float(bernoulli_kl(torch.tensor(p, dtype=torch.float64), torch.tensor(q, dtype=torch.float64)))
    # log1p keeps the digits that log(p / q) loses where p and q are close: each term is off by less than 2^-51
    formula = -p * math.log1p((q - p) / p) - (1 - p) * math.log1p((p - q) / (1 - p))
    assert value == pytest.approx(formula, rel=1e-12, abs=4e-15)
    assert value >= -4e-15


@given(shares)
def test_bernoulli_kl_of_the_target_itself_is_zero_and_finite_at_the_ends(p):
    p = torch.tensor(p, dtype=torch.float64)
    assert bernoulli_kl(p, p) == 0
    ends = bernoulli_kl(p, torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert ends.isfinite().all() and (ends > 0).all()


def test_kl_sparsity_sums_over_units_the_kl_of_the_batchs_mean():
    penalty = adapted(KLSparsity(1.0, rho=0.1), 3)
    rows = torch.rand(50, 3)
    out = Pass(Batch(rows), rows, None, Code(rows, rows), rows)
    q = rows.double().numpy().mean(0)
    formula = (0.1 * np.log(0.1 / q) + 0.9 * np.log(0.9 / (1 - q))).sum()
    assert float(penalty(out, None)) == pytest.approx(formula, rel=1e-5)  # float32: 50-term means, 6-term sums
    assert float(penalty(with_mean([0.1, 0.1, 0.1]), None)) == pytest.approx(0, abs=1e-6)


def test_the_exponential_average_takes_the_first_batch_whole_then_the_mean_of_all_then_forgets():
    penalty = adapted(KLSparsity(1.0, rho=0.05, estimate="ema", decay=0.99), 2)
    means = torch.rand(100, 2)
    for count, mean in enumerate(means, 1):
        penalty.observe(with_mean(mean))
        # keep = s / (s + 1) <= 0.99 up to the 100th: the arithmetic mean; 100 float32 steps lose below 1e-5
        torch.testing.assert_close(penalty.mean, means[:count].mean(0), rtol=0, atol=1e-5)
    for _ in range(2000):
        penalty.observe(with_mean([0.3, 0.7]))
    # 0.99^2000 = 2e-9 of the past is left; rounding settles within 2^-24 / (1 - decay) = 6e-6
    torch.testing.assert_close(penalty.mean, torch.tensor([0.3, 0.7]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("estimate", ["ema", "dataset"])
def test_in_training_the_gradient_is_that_of_the_batchs_mean_at_the_estimates_value(estimate, build_learner):
    penalty = adapted(KLSparsity(1.0, rho=0.1, estimate=estimate), 4)
    learner = build_learner((7,), latent=Sigmoid(4), regularizers={"kl": penalty})
    encoder, x = learner.model.encoder, torch.randn(300, 7)
    if estimate == "ema":
        for rows in x.split(100):
            learner.observe(learner(Batch(rows))[1])
    else:
        learner.before_step(Split(Rows(x.numpy())), 0)
    out = learner.train()(Batch(x[:20]))[1]
    batch, past = out.code.mean.mean(0), learner.model.encode(x).mean.mean(0).detach()
    # after three batches of ema the fourth counts as one of four
    at = (0.75 * past + 0.25 * batch.detach() if estimate == "ema" else past).requires_grad_()
    exact = bernoulli_kl(penalty.rho, at).sum()
    (slope,) = torch.autograd.grad(exact, at)
    expected = torch.autograd.grad((slope * batch).sum(), list(encoder.parameters()), retain_graph=True)

    value = penalty(out, learner.model)
    # float32: means of 300 numbers in (0, 1) are good to 300 * 2^-24 = 2e-5 at the worst
    torch.testing.assert_close(value, exact, rtol=1e-4, atol=0)
    for ours, theirs in zip(torch.autograd.grad(value, list(encoder.parameters())), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_the_dataset_estimate_is_the_mean_code_of_the_whole_training_set(build_learner):
    penalty = adapted(KLSparsity(1.0, rho=0.1, estimate="dataset"), 4)
    learner = build_learner((7,), latent=Sigmoid(4), regularizers={"kl": penalty})
    x = torch.randn(2500, 7)  # more than two readings of 1,024 rows, the last one short
    learner.before_step(Split(Rows(x.numpy())), 0)
    exact = learner.model.encode(x).mean.double().mean(0)
    torch.testing.assert_close(penalty.mean.double(), exact, rtol=1e-5, atol=0)  # sums of 2,500 float32 numbers
    assert not penalty.mean.requires_grad


@pytest.mark.parametrize("estimate", ["ema", "dataset"])
def test_in_evaluation_the_stored_estimate_speaks_whatever_the_batch(estimate):
    penalty = adapted(KLSparsity(1.0, rho=0.1, estimate=estimate), 2).eval()
    penalty.mean.copy_(torch.tensor([0.2, 0.4]))
    expected = bernoulli_kl(torch.tensor(0.1), torch.tensor([0.2, 0.4])).sum()
    for mean in ([0.9, 0.9], [0.01, 0.5]):
        assert torch.equal(penalty(with_mean(mean), None), expected)


def test_observing_changes_nothing_where_the_batch_is_the_estimate():
    penalty = adapted(KLSparsity(1.0, rho=0.1), 2)
    before = {name: value.clone() for name, value in penalty.state_dict().items()}
    penalty.observe(with_mean([0.5, 0.5]))
    penalty.before_step(None, None, 0)
    assert all(torch.equal(value, before[name]) for name, value in penalty.state_dict().items())


@pytest.mark.parametrize("latent", [Deterministic(3), TopK(3, 1)])
def test_kl_sparsity_refuses_units_that_are_no_firing_rates_and_names_a_latent_that_has_them(latent, build_learner):
    penalty = adapted(KLSparsity(1.0, rho=0.1), 3)
    with pytest.raises(UsageError, match="kl_sparsity .*latent=sigmoid"):
        penalty.check(build_learner((5,), latent=latent).model)
    penalty.check(build_learner((5,), latent=Sigmoid(3)).model)


# ---------------------------------------------------------------- the others


def test_l1_is_the_sum_of_absolute_activations_with_their_signs_as_gradient():
    z = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    penalty = L1(1.0)(Pass(Batch(z), z, None, Code(z, z), z), None)
    torch.testing.assert_close(penalty, torch.from_numpy(np.abs(z.detach().numpy()).sum(1)), **DOUBLE)
    (gradient,) = torch.autograd.grad(penalty.sum(), z)
    assert torch.equal(gradient, z.detach().sign())


@pytest.mark.parametrize("tied", [False, True])
def test_decoder_l2_counts_what_the_decoder_uses_and_nothing_of_the_encoder(tied, build_learner):
    model = build_learner((6,), 3, hidden_dims=[4], tied=tied).double().model
    for bias in (layer.bias for layer in (*model.encoder.layers, *model.decoder.layers)):
        nn.init.normal_(bias)
    used = [tensor for layer in model.decoder.layers for tensor in (layer.weight, layer.bias)]
    penalty = DecoderL2(1.0)(None, model)
    torch.testing.assert_close(penalty, sum(tensor.square().sum() for tensor in used), **DOUBLE)
    if not tied:
        gradients = torch.autograd.grad(penalty, list(model.parameters()), allow_unused=True, materialize_grads=True)
        of = dict(zip((name for name, _ in model.named_parameters()), gradients, strict=True))
        for name, parameter in model.named_parameters():
            expected = 2 * parameter.detach() if name.startswith("decoder") else torch.zeros_like(parameter)
            torch.testing.assert_close(of[name], expected, **DOUBLE)


def test_the_dataset_estimate_is_renewed_at_every_refresh_steps_th_step(build_learner):
    penalty = adapted(KLSparsity(1.0, rho=0.1, estimate="dataset", refresh_steps=3), 4)
    learner = build_learner((7,), latent=Sigmoid(4), regularizers={"kl": penalty})
    seen = []
    for step in range(7):
        learner.before_step(Split(Rows(torch.randn(30, 7).numpy())), step)
        seen.append(penalty.mean.clone())
    renewed = [step for step in range(1, 7) if not torch.equal(seen[step], seen[step - 1])]
    assert renewed == [3, 6]


# ---------------------------------------------------------------- orthogonality


def test_orthogonality_is_the_distance_of_the_decoders_gram_matrix_from_the_identity(build_learner):
    model = build_learner((7,), 3).double().model
    weight = model.decoder.layers[0].weight
    value = Orthogonality(1.0)(passed(model, torch.randn(4, 7, dtype=torch.float64)), model)
    closed = (weight.T @ weight - torch.eye(3)).square().sum()
    torch.testing.assert_close(value, closed, **DOUBLE)
    (gradient,) = torch.autograd.grad(value, weight)
    torch.testing.assert_close(gradient, 4 * weight @ (weight.T @ weight - torch.eye(3)).detach(), **DOUBLE)
    with torch.no_grad():
        weight.copy_(torch.linalg.qr(torch.randn(7, 3, dtype=torch.float64)).Q)
    assert float(Orthogonality(1.0)(passed(model, torch.randn(4, 7, dtype=torch.float64)), model).detach()) < 1e-25
    with torch.no_grad():
        weight.mul_(2)  # orthogonal, of length 2: (4 - 1)^2 for each of 3 units
    doubled = Orthogonality(1.0)(passed(model, torch.randn(4, 7, dtype=torch.float64)), model)
    assert float(doubled.detach()) == pytest.approx(27)


def test_a_linear_autoencoder_under_orthogonality_decodes_by_a_basis_of_pcas_subspace(build_learner):
    """The error of PCA, and columns that are a rotation of its components."""
    torch.manual_seed(0)
    x = torch.randn(400, 6, dtype=torch.float64) * torch.tensor([3.0, 2.0, 0.5, 0.3, 0.2, 0.1])
    x = x - x.mean(0)
    learner = build_learner((6,), 2, regularizers={"o": Orthogonality(1.0)}).double()
    optimizer = torch.optim.LBFGS(
        learner.parameters(), max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = sum(term.mean() for term in learner(Batch(x))[0].values())
        loss.backward()
        return loss

    optimizer.step(closure)
    columns = learner.model.decoder.layers[0].weight.detach()
    torch.testing.assert_close(columns.T @ columns, torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-4)
    components = torch.linalg.svd(x, full_matrices=False).Vh[:2].T
    turned = torch.linalg.svdvals(components.T @ columns)  # cosines of the angles between the two planes
    torch.testing.assert_close(turned, torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-4)


def test_the_contexts_columns_do_not_count_and_too_many_units_are_refused(build_learner):
    model = build_learner((7,), 3).model
    model.condition.size = 2  # as if two of the three columns read a context
    columns = model.decoder.layers[0].weight[:, :1]
    closed = (columns.T @ columns - 1).square().sum()
    torch.testing.assert_close(Orthogonality(1.0)(with_mean([0.0]), model), closed)
    with pytest.raises(UsageError, match=r"9 units cannot have 9 orthogonal directions in a layer of 7.*latent.dim=7"):
        wide = build_learner((7,), 9).model
        Orthogonality(1.0).check(wide)


@pytest.mark.parametrize("penalty", [L1(0.5), KLSparsity(0.5, 0.1), KL(0.5, warmup="linear", warmup_steps=10)])
def test_a_penalty_at_another_weight_is_the_same_but_for_it(penalty):
    other = penalty.at(2.0)
    assert type(other) is type(penalty) and other is not penalty
    assert float(other.eval().scale()) == 2.0 and float(penalty.eval().scale()) == 0.5
    others = {name for name, value in other.named_buffers() if not torch.equal(value, penalty.get_buffer(name))}
    assert others == {"weight"}

"""Penalties of sparse codes: closed forms of linear decoders, and whom they teach."""

from __future__ import annotations

import pytest
import torch

from aeexp.errors import UsageError
from aeexp.latents import Deterministic, Gated, Relu, TopK
from aeexp.likelihoods import Bernoulli
from aeexp.regularizers import AuxK, Gate, Matryoshka
from aeexp.types import Batch


@pytest.fixture
def passed(build_learner):
    """passed(latent): model and pass of a linear autoencoder of rows of 6 numbers."""

    def make(latent):
        learner = build_learner((6,), latent=latent, hidden_dims=[]).double().train()
        x = torch.randn(9, 6, dtype=torch.float64)
        return learner.model, learner.model(Batch(x, target=x))

    return make


def test_dead_units_explain_what_is_left_and_nobody_else_learns_from_it(passed):
    latent = TopK(5, 2)
    model, out = passed(latent)
    assert not AuxK(1.0)(out, model).any()  # no unit is dead
    latent.silence.steps[[1, 4]] = 999
    weight = model.decoder.linears()[0].weight
    value = AuxK(1.0, k=1)(out, model)
    h = out.code.before
    best = torch.where(h[:, 1] >= h[:, 4], 1, 4)
    painted = h.gather(1, best[:, None]) * weight.T[best]
    torch.testing.assert_close(value, (out.batch.target - out.output - painted).square().sum(1))
    of_weight, of_bias = torch.autograd.grad(
        value.sum(), [weight, model.decoder.linears()[0].bias], retain_graph=True, allow_unused=True
    )
    assert not of_weight[:, [0, 2, 3]].any() and of_weight[:, [1, 4]].any()
    assert of_bias is None or not of_bias.any()  # the error stays as it is
    torch.testing.assert_close(AuxK(1.0, k=9)(out, model), AuxK(1.0, k=2)(out, model))  # all that are dead


def test_where_no_unit_is_dead_aux_k_decodes_nothing(passed, monkeypatch):
    latent = TopK(5, 2)
    model, out = passed(latent)
    called: list[int] = []
    decode = type(model).parameters_of
    monkeypatch.setattr(
        type(model), "parameters_of", lambda self, z, *rest: called.append(len(z)) or decode(self, z, *rest)
    )
    assert AuxK(1.0)(out, model).tolist() == [0.0] * 9 and not called
    latent.silence.steps[1] = 999
    assert AuxK(1.0)(out, model).any() and called


def test_aux_k_is_for_units_that_wait_for_a_place(build_learner):
    with pytest.raises(UsageError, match=r"latent=topk.*resample_every"):
        AuxK(1.0).check(build_learner((6,), latent=Relu(5)).model)
    with pytest.raises(UsageError, match="likelihood=gaussian"):
        AuxK(1.0).check(build_learner((6,), latent=TopK(5, 2), likelihood=Bernoulli()).model)
    with pytest.raises(UsageError, match="latent=gated"):
        Gate(1.0).check(build_learner((6,), latent=Relu(5)).model)


def test_gates_reconstruct_by_a_decoder_that_does_not_learn_from_it(passed):
    model, out = passed(Gated(5))
    decoder = model.decoder.linears()[0]
    value = Gate(1.0, sparsity=0.3)(out, model)
    gate = out.code.before.relu()
    error = model.likelihood.distortion(gate @ decoder.weight.T + decoder.bias, out.batch.target)
    torch.testing.assert_close(value, error + 0.3 * gate.sum(1))
    encoder = model.encoder.linears()[0].weight
    gradients = torch.autograd.grad(value.sum(), [encoder, decoder.weight, decoder.bias], allow_unused=True)
    assert gradients[0].any() and all(each is None or not each.any() for each in gradients[1:])


def test_prefixes_reconstruct_alone(passed):
    model, out = passed(Deterministic(4))
    z, decoder = out.code.z, model.decoder.linears()[0]
    value = Matryoshka(1.0, [0.1, 0.5])(out, model)  # one unit at least, and two
    parts = [z[:, :n] @ decoder.weight[:, :n].T + decoder.bias for n in (1, 2)]
    torch.testing.assert_close(value, sum(model.likelihood.distortion(part, out.batch.target) for part in parts))
    torch.testing.assert_close(Matryoshka(1.0, [0.05, 0.1, 0.5])(out, model), value)  # the first two are one unit
    with pytest.raises(UsageError, match=r"^prefixes=\[0\.5, 0\.1\]"):
        Matryoshka(1.0, [0.5, 0.1])

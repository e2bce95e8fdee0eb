"""Bounds made of importance weights: which of them are the same, and which gradient reaches whom."""

from __future__ import annotations

import pytest
import torch

from aeexp.errors import UsageError
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.priors import Standard
from aeexp.noises import Chain
from aeexp.objectives.bounds import bound, log_weights, mean_bound
from aeexp.objectives.iwae import ImportanceWeighted
from aeexp.types import Batch

# float64 sums of some hundred terms
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def make(build_learner):
    prior = Standard()
    prior.adapt(3, (6,))
    learner = build_learner((6,), latent=Gaussian(3, prior), hidden_dims=[8], regularizers={}).double()
    return learner.model, learner.task(Batch(torch.randn(7, 6, dtype=torch.float64)))


def gradients(model, batch, **options) -> tuple[float, dict[str, torch.Tensor]]:
    objective = ImportanceWeighted(Chain({}), {}, **options).double()
    model.zero_grad()
    torch.manual_seed(4)
    value = objective(model, batch)[0]["bound"].mean()
    value.backward()
    return value.item(), {name: p.grad.clone() for name, p in model.named_parameters()}


def of(side: str, found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in found.items() if name.startswith(side)}


@pytest.mark.parametrize("gradient", ["standard", "doubly_reparameterized"])
def test_one_group_of_miwae_is_iwae(build_learner, gradient):
    model, batch = make(build_learner)
    plain = gradients(model, batch, samples=5, gradient=gradient)
    single = gradients(model, batch, samples=5, gradient=gradient, kind="miwae", groups=1)
    torch.testing.assert_close(single, plain, **CLOSE)


def test_miwae_of_single_codes_is_the_elbo_of_ciwae_at_beta_1(build_learner):
    model, batch = make(build_learner)
    elbo = gradients(model, batch, samples=6, kind="ciwae", beta=1.0)
    torch.testing.assert_close(gradients(model, batch, samples=1, kind="miwae", groups=6), elbo, **CLOSE)
    torch.testing.assert_close(gradients(model, batch, samples=6, kind="ciwae", beta=0.0),
                               gradients(model, batch, samples=6), **CLOSE)  # fmt: skip


def test_piwae_gives_the_encoder_the_gradient_of_miwae_and_the_decoder_that_of_iwae(build_learner):
    model, batch = make(build_learner)
    value, both = gradients(model, batch, samples=4, kind="piwae", groups=3)
    mean, encoder = gradients(model, batch, samples=4, kind="miwae", groups=3)
    whole, decoder = gradients(model, batch, samples=12)
    assert value == pytest.approx(whole, rel=1e-12) and value < mean, "a bound of more codes is nearer to log p"
    torch.testing.assert_close(of("encoder", both), of("encoder", encoder), **CLOSE)
    torch.testing.assert_close(of("decoder", both), of("decoder", decoder), **CLOSE)
    apart = of("encoder", decoder)
    assert any(not torch.allclose(both[name], apart[name], rtol=1e-3) for name in apart), "the two differ here"


def test_the_mean_of_bounds_rises_with_the_codes_of_a_group(build_learner):
    model, batch = make(build_learner)
    with torch.no_grad():
        weights = log_weights(model, batch, batch.x, 60)[0]
    values = [float(mean_bound(weights, groups).mean()) for groups in (60, 12, 1)]
    assert values[0] < values[1] < values[2]
    torch.testing.assert_close(mean_bound(weights, 1), bound(weights), **CLOSE)
    torch.testing.assert_close(mean_bound(weights, 60), weights.mean(0), **CLOSE)


def test_groups_that_lie_far_apart_leave_finite_gradients():
    objective = ImportanceWeighted(Chain({}), {}, samples=2, kind="piwae", groups=2)
    share = objective.compare(torch.tensor([[0.0], [-1.0], [-500.0], [-501.0]]))
    assert share.isfinite().all() and float(share[0, 0]) == pytest.approx(0.5)


@pytest.mark.parametrize("kind", ["piwae", "ciwae"])
def test_a_doubly_reparameterized_gradient_of_two_bounds_is_refused(kind):
    with pytest.raises(UsageError, match=f"^gradient=doubly_reparameterized.*kind={kind}.*kind=miwae"):
        ImportanceWeighted(Chain({}), {}, gradient="doubly_reparameterized", kind=kind)

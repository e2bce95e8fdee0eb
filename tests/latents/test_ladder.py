"""A code of layers: one of them is a VAE's, and of several the KL is that of their chain."""

from __future__ import annotations

import math

import pytest
import torch

from aeexp.errors import UsageError
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.ladder import Ladder, Layered, kl_of_normals
from aeexp.latents.posteriors import Normal, standard_log_prob
from aeexp.latents.priors import Standard
from aeexp.noises import Chain
from aeexp.objectives.bounds import bound, log_weights
from aeexp.objectives.iwae import ImportanceWeighted
from aeexp.regularizers.kl import KL
from aeexp.types import Batch, Code, Pass

CLOSE = {"rtol": 1e-9, "atol": 1e-11}  # float64 sums of a dozen terms


def ladder(dim=6, upper=(2, 1)) -> Ladder:
    torch.manual_seed(0)
    latent = Ladder(dim, list(upper), hidden=8).double()
    for parameter in latent.parameters():
        parameter.data.mul_(2)
    return latent


def test_one_layer_is_the_gaussian_code_to_the_bit():
    h = torch.randn(5, 8)
    plain, single = Gaussian(4, Standard()), Ladder(4, [])
    plain.prior.adapt(4, ())
    torch.manual_seed(3)
    a = plain(h)
    torch.manual_seed(3)
    b = single(h)
    assert torch.equal(a.z, b.z) and torch.equal(a.mean, b.mean) and not list(single.parameters())
    assert torch.equal(plain.prior.kl(a.posterior, a.z, None), single.prior.kl(b.posterior, b.z, None))
    assert torch.equal(plain.prior.log_prob(a.z, None), single.prior.log_prob(b.z, None))
    assert single.usage([]) == {}


def test_the_density_of_a_code_is_the_product_of_its_layers():
    latent = ladder()
    posterior = latent(torch.randn(5, 12, dtype=torch.float64)).posterior
    z, nats = posterior.draw(3)
    assert isinstance(posterior, Layered) and z.shape == (3, 5, 6)
    total = torch.zeros(3, 5, dtype=torch.float64)
    layers = z.split([3, 2, 1], -1)
    for place, above in enumerate([layers[1], layers[2], None]):
        law = posterior.merge(place, above)
        exact = torch.distributions.Normal(law.mean, (0.5 * law.log_var).exp()).log_prob(layers[place]).sum(-1)
        total = total + exact
    torch.testing.assert_close(nats, total, **CLOSE)
    table = posterior.log_prob(z[0].unsqueeze(1))
    assert table.shape == (5, 5)
    torch.testing.assert_close(table.diagonal(), posterior.log_prob(z[0]), **CLOSE)
    torch.testing.assert_close(posterior.pick(torch.tensor([3])).log_prob(z[0, 3:4]), nats[0, 3:4], **CLOSE)


def test_a_merged_law_is_the_product_of_the_two_it_is_made_of():
    latent = ladder(3, [1])
    for parameter in latent.parameters():
        parameter.requires_grad_(False)
    posterior = latent(torch.randn(1, 6, dtype=torch.float64)).posterior
    above = torch.tensor([[0.7]], dtype=torch.float64)
    line = torch.linspace(-30, 30, 4001, dtype=torch.float64)
    said = Normal(posterior.said.mean[:, :1], posterior.said.log_var[:, :1])
    told = latent.prior.steps.describe(0, above)
    told = Normal(told.mean[:, :1], told.log_var[:, :1])
    product = (said.log_prob(line[:, None, None]) + told.log_prob(line[:, None, None])).flatten().softmax(0)
    merged = posterior.merge(0, above)
    mean = float((product * line).sum())
    # the trapezoid of a smooth density that is 0 at both ends
    assert float(merged.mean[0, 0]) == pytest.approx(mean, abs=1e-6)
    assert float(merged.log_var[0, 0].exp()) == pytest.approx(float((product * (line - mean) ** 2).sum()), rel=1e-4)


def test_the_kl_in_closed_form_is_the_mean_log_ratio():
    latent = ladder()
    posterior = latent(torch.randn(1, 12, dtype=torch.float64)).posterior
    with torch.no_grad():
        many = Layered(Normal(*(part.expand(20_000, -1) for part in posterior.said)), posterior.steps)
        z = many.sample()
        units = latent.prior.kl(many, z, None)
        ratio = many.log_prob(z) - latent.prior.log_prob(z, None)
    assert units.shape == (20_000, 6) and (units >= -1e-12).all()
    assert float((units.sum(1) - ratio).mean().abs()) < 5 * float((units.sum(1) - ratio).std()) / math.sqrt(20_000)
    exact = torch.distributions.kl_divergence(
        torch.distributions.Normal(1.0, 2.0), torch.distributions.Normal(-1.0, 0.5)
    )
    found = kl_of_normals(Normal(torch.tensor(1.0), torch.tensor(math.log(4.0))),
                          Normal(torch.tensor(-1.0), torch.tensor(math.log(0.25))))  # fmt: skip
    torch.testing.assert_close(found, exact)


def test_draws_of_the_prior_have_its_density_and_a_run_tells_the_kl_of_each_layer():
    latent = ladder(3, [1])
    with torch.no_grad():
        z = latent.prior.sample(4000, None)
        entropy = -latent.prior.log_prob(z, None).mean()
        law = latent.prior.steps.describe(0, z[:, 2:])
        # of a Gaussian ½ log 2πe v for each unit
        exact = 1.5 * math.log(2 * math.pi * math.e) + 0.5 * law.log_var.sum(1).mean()
    assert z.dtype == torch.float64 and float(entropy) == pytest.approx(float(exact), abs=0.1)
    torch.testing.assert_close(latent.prior.log_prob(z, None) - law.log_prob(z[:, :2]), standard_log_prob(z[:, 2:]))
    code = latent(torch.randn(30, 6, dtype=torch.float64))
    assert isinstance(code, Code)
    out = Pass(Batch(code.z), code.z, None, code, code.z)
    usage = latent.usage([out, out])
    assert set(usage) == {"kl_layer_1", "kl_layer_2"} and all(value > 0 for value in usage.values())


@pytest.mark.parametrize("gradient", ["standard", "doubly_reparameterized"])
def test_bounds_of_a_ladder_rise_and_reach_every_parameter(build_learner, gradient):
    learner = build_learner((6,), latent=Ladder(4, [1], hidden=8), hidden_dims=[8], regularizers={"kl": KL()})
    objective = ImportanceWeighted(Chain({}), {}, samples=3, gradient=gradient)
    batch = learner.task(Batch(torch.randn(1, 6).expand(1000, 6)))
    objective(learner.model, batch)[0]["bound"].mean().backward()
    for name, parameter in learner.model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    with torch.no_grad():
        rows = [bound(log_weights(learner.model, batch, batch.x, k)[0]).mean() for k in (1, 20)]
    assert rows[0] < rows[1]


def test_layers_that_leave_no_unit_are_refused():
    with pytest.raises(UsageError, match="^upper=\\[4, 4\\] leaves no unit of latent.dim=8.*latent.dim=12"):
        Ladder(8, [4, 4])

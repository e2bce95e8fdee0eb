"""Laws of invertible maps: log-determinants, inverses, densities, who depends on whom. All in double precision."""

from __future__ import annotations

import math

import pytest
import torch

from aeexp.errors import UsageError
from aeexp.latents.families import IAF, Diagonal, Planar
from aeexp.latents.flows import Autoregressive, make_chain
from aeexp.latents.flows import Planar as PlanarMap
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.posteriors import Flowed, Normal
from aeexp.latents.priors import Flow, Standard, Vamp
from aeexp.noises import Chain
from aeexp.objectives.bounds import bound, log_weights
from aeexp.objectives.iwae import ImportanceWeighted
from aeexp.regularizers.kl import KL
from aeexp.regularizers.total_correlation import TotalCorrelation
from aeexp.types import Batch

DIM, ROWS = 3, 5
# sums of some hundred terms of size 10 in double: 1e2 * 10 * 2^-53 = 1e-13, times what an inverse multiplies it by
CLOSE = {"rtol": 1e-8, "atol": 1e-9}


def stir(module: torch.nn.Module) -> torch.nn.Module:
    """Far from the identity that it starts as."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        parameter.data.add_(0.5 * torch.randn_like(parameter))
    return module.double()


KINDS = {
    "autoregressive": lambda: stir(make_chain("autoregressive", DIM, 2, 9, context=2)),
    "coupling": lambda: stir(make_chain("coupling", DIM, 3, 9, context=2)),
    "planar": lambda: PlanarMap(DIM, 2),
    "one unit": lambda: stir(make_chain("autoregressive", 1, 2, 4, context=2)),
    "one unit coupled": lambda: stir(make_chain("coupling", 1, 2, 4, context=2)),
}


def made(kind: str):
    flow = KINDS[kind]()
    dim = 1 if kind.startswith("one") else DIM
    told = 2 * torch.randn(ROWS, flow.width if kind == "planar" else 2, dtype=torch.float64)
    return flow, torch.randn(ROWS, dim, dtype=torch.float64), told


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_determinant_is_that_of_autograd_and_the_inverse_leads_back(kind):
    flow, x, context = made(kind)
    y, log_det = flow(x, context)
    for row in range(ROWS):
        jacobian = torch.autograd.functional.jacobian(lambda v, row=row: flow(v, context[row])[0], x[row])
        torch.testing.assert_close(log_det[row], torch.linalg.slogdet(jacobian).logabsdet, **CLOSE)
    back, inverse_log_det = flow.inverse(y, context)
    # a planar map is inverted by halvings of a bracket of some 10, 40 times: 1e-11, then a step of Newton's
    torch.testing.assert_close(back, x, **CLOSE)
    torch.testing.assert_close(inverse_log_det, -log_det, **CLOSE)


@pytest.mark.parametrize("kind", ["autoregressive", "planar"])
def test_the_inverse_has_the_gradient_of_the_inverse(kind):
    flow, y, context = made(kind)
    context.requires_grad_()
    assert torch.autograd.gradcheck(lambda y, context: flow.inverse(y, context), (y.requires_grad_(), context))


@pytest.mark.parametrize("reverse", [False, True])
def test_an_autoregressive_unit_depends_on_itself_and_those_before_it_alone(reverse):
    layer = stir(Autoregressive(4, 7, 2, reverse=reverse))
    jacobian = torch.autograd.functional.jacobian(
        lambda x: layer(x, torch.ones(2).double())[0], torch.randn(4).double()
    )
    lower = jacobian.flip(0, 1) if reverse else jacobian
    assert not lower.triu(1).any() and (lower.tril().abs() > 1e-9).sum() == 10, "each unit sees all before it"


@pytest.mark.parametrize("kind", ["coupling", "autoregressive"])
def test_the_density_of_a_flow_prior_integrates_to_1_and_its_draws_are_of_it(kind):
    prior = Flow(kind, layers=3, hidden=8)
    prior.adapt(2, (6,))
    stir(prior)
    with torch.no_grad():
        line = torch.linspace(-40, 40, 1601, dtype=torch.float64)
        grid = torch.cartesian_prod(line, line)
        density = torch.cat([prior.log_prob(part, None).exp() for part in grid.split(2**18)])
        cell = float((line[1] - line[0]) ** 2)
        # the midpoint rule on a smooth density whose least width is some ten cells
        assert float(density.sum()) * cell == pytest.approx(1, abs=2e-3)
        mean = (density[:, None] * grid).sum(0) * cell
        variance = (density[:, None] * (grid - mean) ** 2).sum(0) * cell
        drawn = prior.float().sample(40_000, None).double()
    error = 5 * (variance / len(drawn)).sqrt()
    assert ((drawn.mean(0) - mean).abs() < error + 1e-2).all()


@pytest.mark.parametrize("family", [IAF(layers=2, hidden=8), Planar(layers=3)])
def test_a_posterior_knows_the_density_of_what_it_draws(family):
    family.adapt(DIM)
    stir(family)
    posterior, middle = family(torch.randn(ROWS, family.params, dtype=torch.float64))
    assert middle.shape == (ROWS, DIM)
    own = posterior.sample()
    assert own is posterior.drawn and posterior.log_prob(own) is posterior.nats
    torch.testing.assert_close(posterior.log_prob(own.clone()), posterior.nats, **CLOSE)
    z, nats = posterior.draw(7)
    assert z.shape == (7, ROWS, DIM) and not torch.equal(z[0], z[1])
    torch.testing.assert_close(posterior.log_prob(z), nats, **CLOSE)
    # of every code under every row, as an aggregate wants them
    table = posterior.log_prob(own.unsqueeze(-2))
    assert table.shape == (ROWS, ROWS)
    torch.testing.assert_close(table.diagonal(), posterior.nats, **CLOSE)
    picked = posterior.pick(torch.tensor([2, 0]))
    torch.testing.assert_close(picked.log_prob(own[[2, 0]]), posterior.nats[[2, 0]], **CLOSE)


def test_a_detached_posterior_has_gradients_to_the_code_alone():
    family = IAF(layers=2, hidden=8)
    family.adapt(DIM)
    h = torch.randn(ROWS, family.params, requires_grad=True)
    posterior, _ = family(h)
    z = posterior.sample().detach().requires_grad_()
    frozen = posterior.detach()
    torch.testing.assert_close(frozen.log_prob(z), posterior.nats, rtol=1e-4, atol=1e-4)
    frozen.log_prob(z).sum().backward()
    assert z.grad.any() and h.grad is None and all(p.grad is None for p in family.parameters())


def vae(build_learner, family=None, prior=None, **options):
    prior = prior or Standard()
    prior.adapt(DIM, (6,))
    return build_learner((6,), latent=Gaussian(DIM, prior, family), hidden_dims=[8], **options)


def test_without_a_flow_the_code_is_the_gaussian_it_was():
    torch.manual_seed(0)
    h = torch.randn(4, 2 * DIM)
    torch.manual_seed(3)
    code = Gaussian(DIM, Standard(), Diagonal())(h)
    torch.manual_seed(3)
    expected = Normal(h[:, :DIM], h[:, DIM:]).sample()
    torch.testing.assert_close(code.z, expected)
    assert torch.equal(code.mean, h[:, :DIM]) and isinstance(code.posterior, Normal)


@pytest.mark.parametrize("family", [IAF(layers=2, hidden=8), Planar(layers=2)])
@pytest.mark.parametrize("gradient", ["standard", "doubly_reparameterized"])
def test_a_bound_under_a_flow_is_below_log_p_and_reaches_every_parameter(build_learner, family, gradient):
    learner = vae(build_learner, family, regularizers={})
    objective = ImportanceWeighted(Chain({}), {}, samples=3, gradient=gradient)
    batch = learner.task(Batch(torch.randn(1, 6).expand(2000, 6)))
    terms, _ = objective(learner.model, batch)
    terms["bound"].mean().backward()
    for name, parameter in learner.model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    with torch.no_grad():
        rows = [bound(log_weights(learner.model, batch, batch.x, k)[0]).mean() for k in (1, 30)]
    assert rows[0] < rows[1]


def test_the_kl_of_a_flow_is_that_of_its_draws(build_learner):
    learner = vae(build_learner, IAF(hidden=8), regularizers={"kl": KL()})
    terms, out = learner(Batch(torch.randn(10, 6)))
    expected = out.code.posterior.nats + 0.5 * (out.code.z.square() + math.log(2 * math.pi)).sum(1)
    torch.testing.assert_close(terms["kl"], expected)


def test_a_vamp_prior_of_flows_is_the_mean_of_its_posteriors(build_learner):
    learner = vae(build_learner, IAF(hidden=8), Vamp(4), regularizers={"kl": KL()})
    model = learner.model
    model.latent.prior.rows.data.normal_()
    each = torch.stack([model.encode(row[None]).posterior.base.mean for row in model.latent.prior.rows])
    assert each.shape == (4, 1, DIM)
    z = torch.randn(5, DIM)
    posterior = model.latent.prior.posterior(model)
    assert isinstance(posterior, Flowed)
    expected = torch.stack([posterior.pick(torch.tensor([k])).log_prob(z) for k in range(4)]).logsumexp(0) - math.log(4)
    torch.testing.assert_close(model.latent.prior.log_prob(z, model), expected, rtol=1e-4, atol=1e-4)


def test_a_total_correlation_by_units_is_refused_where_units_have_no_density(build_learner):
    learner = vae(build_learner, IAF(hidden=8))
    with pytest.raises(UsageError, match="^total_correlation needs the density of each unit.*posterior=diagonal"):
        TotalCorrelation(5.0, []).check(learner.model)
    TotalCorrelation(5.0, [8], "critic").check(learner.model)

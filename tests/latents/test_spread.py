"""Where codes on a grid begin: whatever the encoder's scale, they take several levels, and training leaves the mean."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp.latents.books import Nearest
from aeexp.latents.levels import FSQ, LFQ
from aeexp.latents.spread import DECAY, Spread
from aeexp.models import conv
from aeexp.models.learner import means
from aeexp.types import Batch, Code, Pass

MAKE = {"fsq": lambda: FSQ(16, [8, 5, 5, 5]), "lfq": lambda: LFQ(32, width=8)}


@pytest.fixture(params=sorted(MAKE))
def build(request, build_learner):
    return lambda seed: build_learner(
        (1, 8, 8), network=conv, latent=MAKE[request.param](), channels=[16, 32], spatial=True, seed=seed
    )


def test_of_ten_seeds_each_begins_on_several_levels_and_every_layer_learns(build, as_data, digit_data):
    """Of dark pictures a fresh encoder says next to the same of all: unless units are standardised all have level 0,
    and relu units behind it pass no gradient."""
    rows = digit_data["train"].x[:256].view(-1, 1, 8, 8) / 64
    data = as_data(rows.numpy())
    for seed in range(10):
        learner = build(seed)
        learner.before_step(data["train"], 0)
        terms, out = learner(Batch(rows))
        codes = out.code.z.detach().unflatten(1, (-1, learner.model.latent.width)).flatten(0, 1)
        # of mean 0 and variance 1 some unit is below 0, some above, and some at least 1 from it: its level is not 0
        assert all(len(unit.unique()) >= 2 for unit in codes.T), f"seed {seed}"
        means(terms).sum().backward()
        assert all(bool(p.grad.any()) for p in learner.parameters()), f"seed {seed}: a layer learns nothing"


def test_of_ten_seeds_each_soon_passes_the_mean(build, as_data, digit_data):
    rows = digit_data["train"].x[:256].view(-1, 1, 8, 8) / 8
    data = as_data(rows.numpy())
    around_mean = float((rows - rows.mean(0)).square().sum((1, 2, 3)).mean())
    for seed in range(10):
        learner = build(seed)
        adam = torch.optim.Adam(learner.parameters(), 1e-2)
        for step in range(40):
            learner.before_step(data["train"], step)
            terms, out = learner(Batch(rows[64 * (step % 4) : 64 * (step % 4) + 64]))
            adam.zero_grad()
            means(terms).sum().backward()
            adam.step()
            learner.observe(out)
        with torch.no_grad():
            out = learner.eval()(Batch(rows))[1]
        error = float((learner.model.likelihood.mean(out.output) - rows).square().sum((1, 2, 3)).mean())
        assert error < around_mean, f"seed {seed}"


def measure(spread: Spread, h: torch.Tensor) -> Spread:
    """Begun with these (R, D) as what an encoder says of the training rows."""
    spread._move(h.unflatten(-1, (-1, spread.width)), 1.0)
    return spread


@given(st.sampled_from(sorted(MAKE)), st.floats(1e-3, 1e3), st.floats(-10, 10), st.integers(0, 20))
def test_codes_do_not_depend_on_the_scale_and_offset_of_the_encoder(name, scale, offset, seed):
    torch.manual_seed(seed)
    h = torch.randn(100, 32, dtype=torch.float64)
    found = []
    for told in (h, scale * h + offset):
        latent = MAKE[name]().double()
        measure(latent.spread, told[:, : latent.dim])
        found.append(latent(told[:, : latent.dim]).posterior.entries)
    # rounding moves a unit by 1e-12 at most: one in some 10^9 crosses a border
    assert torch.equal(*found)


def test_tokens_share_mean_and_variance_and_a_unit_that_never_changes_stays_finite():
    h = torch.cat([torch.randn(400, 4) @ torch.diag(torch.tensor([3.0, 0.01, 3.0, 0.01])), torch.ones(400, 2)], 1)
    spread = measure(Spread(2), h[:, :4] + torch.tensor([5.0, -1.0, 5.0, -1.0]))
    told = spread(h[:, :4] + torch.tensor([5.0, -1.0, 5.0, -1.0])).view(-1, 2)
    # sums of 800 numbers in float32, of a mean a hundred deviations away
    torch.testing.assert_close(told.mean(0), torch.zeros(2), rtol=0, atol=1e-3)
    torch.testing.assert_close(told.var(0, correction=0), torch.ones(2), rtol=1e-3, atol=0)
    same = measure(Spread(1), h[:, 4:])
    assert torch.equal(same(h[:, 4:]), torch.zeros(400, 2)) and same.variance.isfinite().all()


def test_the_averages_follow_the_encoder_and_begin_once(build_learner, as_data):
    rows = torch.rand(64, 6)
    learner = build_learner((6,), latent=FSQ(4, [5, 5]))
    data, spread = as_data(rows.numpy()), learner.model.latent.spread
    learner.before_step(data["train"], 0)
    h = learner.model.encoder(rows).detach().view(64, 2, 2)
    torch.testing.assert_close(spread.mean, h.mean((0, 1)))
    torch.testing.assert_close(spread.variance, h.var((0, 1), correction=0))
    far = h + 7
    code = Code(rows, rows, posterior=Nearest(far, torch.zeros(64, 2, dtype=torch.int64)))
    for _ in range(10):
        spread.observe(Pass(Batch(rows), rows, None, code, rows))
    torch.testing.assert_close(spread.mean, h.mean((0, 1)) + 7 * (1 - DECAY**10))
    kept = spread.mean.clone()
    learner.keep([learner.model.latent])
    learner.before_step(data["train"], 0)
    assert torch.equal(spread.mean, kept)

"""Codes that a threshold decides in evaluation: bits, and the largest units of a batch."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp import schedulers
from aeexp.errors import UsageError
from aeexp.latents.binary import Binary
from aeexp.latents.sparse import BatchTopK, TopK
from aeexp.trainers.checkpoint import Store, load
from aeexp.trainers.joint import Joint
from aeexp.types import Batch, Code, Pass


def passed(latent, h) -> Code:
    """One step of training as the loop takes it: forward, then observe."""
    code = latent(h)
    latent.observe(Pass(Batch(h), h, None, code, h))
    return code


@given(st.integers(1, 9), st.integers(0, 99))
def test_in_evaluation_codes_are_bits_that_know_no_noise_and_nothing_else_is_a_code(dim, seed):
    h = torch.randn(20, dim, generator=torch.Generator().manual_seed(seed))
    latent = Binary(dim=dim, start=2.0).eval()
    code = latent(h)
    assert torch.equal(code.z, (h > 0).float()) and torch.equal(code.mean, code.z)
    assert torch.equal(latent(h).z, code.z) and torch.equal(latent.project(code.z), code.z)
    made_up = h.abs() * 2
    distances = torch.stack([(made_up - bit).abs() for bit in (0.0, 1.0)])
    assert torch.equal(latent.project(made_up), distances.argmin(0).float())


@given(st.integers(1, 9), st.integers(0, 99))
def test_between_two_codes_one_differing_bit_changes_after_the_other(dim, seed):
    a, b = torch.randint(2, (2, 5, dim), generator=torch.Generator().manual_seed(seed)).float()
    latent = Binary(dim=dim)
    shares = torch.linspace(0, 1, 2 * dim + 1)
    line = torch.stack([latent.between(a, b, share) for share in shares])
    assert torch.equal(line[0], a) and torch.equal(line[-1], b)
    assert ((line == a) | (line == b)).all()
    moved, differ = (line != a).sum(-1), (a != b).sum(-1)
    assert torch.equal(moved, (shares[:, None] * differ).floor().long())


def test_the_noise_of_training_has_the_scheduled_size_before_the_sigmoid():
    latent = Binary(dim=50, noise=3.0, start=1.0, warmup_steps=4)
    h = torch.zeros(2000, 50)
    for step, expected in ((0, 1.0), (2, 2.0), (4, 3.0), (9, 3.0)):
        latent.before_step(latent, None, step)
        assert latent.current.item() == latent.readings()["code_noise"].item() == expected
        # the standard error of a standard deviation from 100,000 draws is 1 / sqrt(200,000) of it; float32 loses
        # digits of a logit where z is near 1, and 3 of these 3-sigma draws in 1000 are clamped
        drawn = torch.logit(latent(h).z.double(), eps=1e-7)
        assert drawn.std().item() == pytest.approx(expected, rel=0.02)
        assert torch.equal(latent(h).mean, torch.full_like(h, 0.5))


def test_without_noise_training_is_a_sigmoid():
    h = torch.randn(5, 3)
    assert torch.equal(Binary(dim=3, noise=0.0)(h).z, torch.sigmoid(h))


def test_undecided_units_are_those_between_a_tenth_and_nine_tenths():
    latent = Binary(dim=4)
    passed(latent, torch.logit(torch.tensor([[0.05, 0.2, 0.5, 0.95], [0.01, 0.02, 0.89, 0.99]])))
    assert latent.readings()["undecided_units"].item() == 3 / 8


def test_noise_makes_units_take_sides(build_learner):
    """The law of semantic hashing: what gets through large noise is far from it on either side."""
    undecided = {}
    x = torch.rand(64, 6, generator=torch.Generator().manual_seed(1)).round()
    for noise in (0.0, 4.0):
        learner = build_learner((6,), latent=Binary(dim=4, noise=noise, warmup_steps=100), hidden_dims=[16]).train()
        optimizer = torch.optim.Adam(learner.parameters(), lr=1e-2)
        for step in range(300):
            learner.before_step(None, step)
            terms, out = learner(Batch(x))
            optimizer.zero_grad()
            terms["reconstruction"].mean().backward()
            optimizer.step()
            learner.observe(out)
        undecided[noise] = learner.readings()["undecided_units"]
    assert undecided[4.0] < 0.5 * undecided[0.0]


def per_row(h, k):
    return TopK(h.shape[1], k)(h).z


@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 99))
def test_a_batch_keeps_its_largest_units_k_a_row_on_average(dim, rows, seed):
    h = torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))
    k = 1 + seed % dim
    z = BatchTopK(dim, k)(h).z
    assert (z != 0).sum() == k * rows  # no two normal draws tie
    assert torch.equal(z[z != 0], h[z != 0])
    assert h[z != 0].min() >= h.masked_fill(z != 0, -torch.inf).max()
    if rows == 1:
        assert torch.equal(z, per_row(h, k))


def test_in_evaluation_a_row_does_not_know_the_others_and_k_stay_on_average():
    generator = torch.Generator().manual_seed(0)
    latent = BatchTopK(40, 5)
    for _ in range(50):
        passed(latent, torch.randn(64, 40, generator=generator))
    h = torch.randn(2000, 40, generator=generator)
    together = latent.eval()(h)
    assert torch.equal(torch.cat([latent(row[None]).z for row in h[:50]]), together.z[:50])
    # 5 of 40: a normal quantile of 1.15, good to 0.2 / sqrt(50 * 64 * 5) of the batches; density 0.2 there: +- 0.1
    # units of a row, and the mean of 2000 rows, each with sd sqrt(40 / 8 * 7 / 8) = 2.1, is good to 0.05
    assert (together.z != 0).sum(1).float().mean().item() == pytest.approx(5, abs=0.3)
    assert torch.equal(latent.readings()["threshold"], latent.threshold)


def test_the_threshold_is_a_mean_that_starts_from_nothing():
    latent = BatchTopK(3, 1, decay=0.5)
    least = []
    for scale in (1.0, 3.0, 5.0):
        passed(latent, scale * torch.tensor([[1.0, 0.2, 0.1]]))
        least.append(latent.threshold.item())
    assert least == pytest.approx([1.0, 2.0, 3.5])  # the first, the mean of two, half of the old and half of the new
    passed(latent, torch.full((2, 3), 0.0))
    assert latent.threshold.item() == pytest.approx(3.5)  # nothing was kept


@pytest.mark.parametrize("make", [lambda i: Binary(dim=4, start=1.0 + i), lambda i: BatchTopK(4, 1 + i)])
def test_a_stack_is_its_models_one_by_one_each_with_its_own_scalar(make, build_learner):
    from torch.func import functional_call, stack_module_state

    learners = [build_learner((5,), latent=make(i), seed=i).train() for i in range(3)]
    batch = Batch(torch.rand(7, 5))
    parameters, buffers = stack_module_state(learners)

    def code(parameters, buffers):
        return functional_call(learners[0], (parameters, buffers), (batch,))[1].code.z

    torch.manual_seed(5)
    together = torch.vmap(code, randomness="same")(parameters, buffers)
    assert len(together.flatten(1).unique(dim=0)) == 3
    name = "model.encoder.layers.0.weight"
    (ours,) = torch.autograd.grad(together.square().sum(), [parameters[name]])
    for learner, z, gradient in zip(learners, together, ours, strict=True):
        torch.manual_seed(5)
        alone = learner(batch)[1].code.z
        torch.testing.assert_close(z, alone)
        (theirs,) = torch.autograd.grad(alone.square().sum(), [learner.get_parameter(name)])
        torch.testing.assert_close(gradient, theirs)


@pytest.mark.parametrize("make", [lambda: Binary(dim=4, warmup_steps=20), lambda: BatchTopK(4, 2)])
def test_a_run_that_was_cut_off_goes_on_with_the_same_bits(make, build_learner, as_data, quiet, tmp_path):
    data = as_data(torch.rand(26, 6, generator=torch.Generator().manual_seed(3)).numpy())

    def start(folder, stop=lambda: False, seed=0):
        learner = build_learner((6,), latent=make(), hidden_dims=[5], seed=seed)
        store = Store(tmp_path / folder, {"run_id": "a"}, math.inf)
        if (tmp_path / folder / "last.pt").is_file():
            store.resume(tmp_path / folder)
        trainer = Joint(steps=14, batch_size=8, validate_every_steps=4, log_every_steps=2)
        adam = functools.partial(torch.optim.Adam, lr=0.05)
        progress = trainer.fit(learner, data, adam, schedulers.constant, store, quiet(), 0, stop)
        return load(tmp_path / folder / "last.pt")["learner"], progress.history

    whole, history = start("whole")
    left = iter(range(1, 8))
    with pytest.raises(KeyboardInterrupt):
        start("cut", lambda: next(left) == 7)
    again, other = start("cut", seed=99)
    assert all(torch.equal(value, again[name]) for name, value in whole.items()) and history == other


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Binary(dim=2, noise=1.0, start=2.0), r"^noise=1.0 must not be below latent.start=2.0"),
        (lambda: BatchTopK(4, 5), "^k=5 must lie between 1 and latent.dim=4"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()

"""Sparse codes by thresholds: exact zeros, straight-through gradients, units that die and start anew."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp.contracts import Capacity
from aeexp.errors import UsageError
from aeexp.latents import BatchTopK, Gated, JumpRelu, Relu, TopK
from aeexp.latents.rectified import PACE
from aeexp.types import Batch, Code, Pass

LATENTS = {
    "relu": lambda **given: Relu(4, **given),
    "jumprelu": lambda **given: JumpRelu(4, **given),
    "gated": lambda **given: Gated(4, **given),
    "topk": lambda **given: TopK(4, 2, **given),
    "batch_topk": lambda **given: BatchTopK(4, 2, **given),
}


def test_a_rectified_unit_is_0_below_0_and_itself_above():
    h = torch.randn(50, 4)
    code = Relu(4)(h)
    assert torch.equal(code.z, h.clamp(min=0)) and code.before is h and torch.equal(code.mean, code.z)


@given(st.integers(0, 50))
def test_a_jump_keeps_what_is_above_the_threshold_as_it_is_and_counts_it(seed):
    torch.manual_seed(seed)
    latent = JumpRelu(4, sparsity=0.7, threshold=0.4)
    h = torch.randn(9, 4)
    code = latent(h)
    above = h > latent.find_thresholds()
    assert torch.equal(code.z, torch.where(above, h, torch.zeros_like(h)))
    torch.testing.assert_close(code.losses["l0"], 0.7 * above.sum(1).float())
    assert torch.equal(latent.project(code.z), code.z)


def smoothed(h: torch.Tensor, threshold: torch.Tensor, width: float) -> torch.Tensor:
    """The step with a ramp of that width in its place: what the straight-through estimate is the slope of."""
    return ((h - threshold) / width + 0.5).clamp(0, 1)


def test_the_gradient_of_a_threshold_is_that_of_the_smoothed_loss():
    """Of the count exactly, by finite differences; of the error where units near the threshold are of its size."""
    torch.manual_seed(0)
    width, target = 0.2, 0.5 + torch.rand(4000, 1, dtype=torch.float64)
    latent = JumpRelu(1, sparsity=0.5, threshold=0.8, bandwidth=width).double()
    h = 2 * torch.rand(4000, 1, dtype=torch.float64)
    code = latent(h)
    (of_count,) = torch.autograd.grad(code.losses["l0"].sum(), latent.level, retain_graph=True)
    (of_error,) = torch.autograd.grad(((code.z - target) * target).sum(), latent.level)

    def loss(level: float, count: bool) -> float:
        threshold = torch.tensor(PACE * level, dtype=torch.float64).exp()
        ramp = smoothed(h, threshold, width)
        return float((0.5 * ramp if count else h * ramp * target).sum())

    start, step = float(latent.level.detach()), 1e-6
    slopes = [(loss(start + step, count) - loss(start - step, count)) / (2 * step) for count in (True, False)]
    # a unit at an end of the ramp, one of 400, counts half on one side of the difference
    assert float(of_count) == pytest.approx(slopes[0], rel=5e-3)
    # θ stands for h, which lies within width / 2 of it: an eighth of the slope at most, where all targets have a sign
    near = ((h - 0.8).abs() < width / 2).double()
    allowed = PACE * float((near * target).sum()) / width * 0.8 * (width / 2)
    assert abs(float(of_error) - slopes[1]) < allowed < 0.15 * abs(slopes[1])


def test_the_count_has_no_gradient_but_to_the_thresholds():
    latent, h = JumpRelu(4), torch.rand(20, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(latent(h).losses["l0"].sum(), h, allow_unused=True)
    assert gradient is None or not gradient.any()
    z = latent(h).z
    (gradient,) = torch.autograd.grad(z.sum(), h)
    assert torch.equal(gradient, (z != 0).float())


def test_a_gate_opens_by_its_sign_and_says_nothing_of_how_loud():
    latent = Gated(3)
    h = torch.tensor([[1.0, 2.0, -1.0]])
    with torch.no_grad():
        latent.log_scale.copy_(torch.tensor([0.0, -1.0, 5.0]))
        latent.shift.copy_(torch.tensor([0.5, 0.0, 9.0]))
    z = latent(h).z
    torch.testing.assert_close(z, torch.tensor([[1.5, 2 * torch.tensor(-1.0).exp().item(), 0.0]]))


def test_topk_has_a_k_of_its_own_at_test_time():
    latent, h = TopK(6, 2, test_k=4), torch.randn(20, 6)
    assert ((latent.train()(h).z != 0).sum(1) == 2).all() and ((latent.eval()(h).z != 0).sum(1) == 4).all()
    assert latent.capacity().active == 4 and TopK(6, 2).capacity().active == 2
    assert ((TopK(6, 2).eval()(h).z != 0).sum(1) == 2).all()
    with pytest.raises(UsageError, match=r"^test_k=7 must lie between 1 and latent\.dim=6"):
        TopK(6, 2, test_k=7)


def seen(latent, z: torch.Tensor) -> None:
    code = Code(z=z, mean=z)
    latent.silence.observe(Pass(Batch(z), z, None, code, z))


@pytest.mark.parametrize("name", LATENTS)
def test_a_unit_is_dead_after_so_many_silent_steps_and_alive_at_its_first_word(name):
    latent = LATENTS[name](dead_after=3)
    z = torch.zeros(5, 4)
    z[2, 0] = 1.0
    for _ in range(2):
        seen(latent, z)
    assert not latent.find_dead().any()
    seen(latent, z)
    assert latent.find_dead().tolist() == [False, True, True, True]
    assert float(latent.silence.readings()["dead_share"]) == 0.75
    seen(latent, torch.ones(1, 4))
    assert not latent.find_dead().any()


@pytest.mark.parametrize("name", ["relu", "jumprelu", "gated"])
def test_a_code_with_thresholds_holds_as_many_units_as_speak_in_a_row(name):
    """So PCA beside it keeps as many components of a row, and not all. A tenth of 3 units and nine of 1 make 1.2."""
    latent = LATENTS[name]()
    assert latent.capacity() == Capacity(4)
    z = torch.eye(4)[torch.arange(10) % 4]
    z[0] = torch.tensor([1.0, 1.0, 1.0, 0.0])
    for _ in range(300):
        seen(latent, z)
    assert latent.capacity() == Capacity(4, 1, shared=True)
    assert float(latent.silence.spoken) == pytest.approx(1.2, rel=1e-5)


@pytest.mark.parametrize("name", LATENTS)
def test_dead_units_start_anew_as_rows_and_live_ones_stay(name, build_learner, as_data):
    rows = torch.randn(40, 6)
    latent = LATENTS[name](dead_after=2, resample_every=5)
    learner = build_learner((6,), latent=latent, hidden_dims=[], unit_norm=True)
    model = learner.model
    latent.silence.steps.copy_(torch.tensor([0, 9, 9, 0]))
    encoder, columns = model.encoder.writing_layer(), model.decoder.reading_weight()
    before, painted = encoder.weight.detach().clone(), columns.detach().clone()
    split = as_data(rows.numpy())["train"]
    for step in (1, 4):
        learner.before_step(split, step)
        assert torch.equal(encoder.weight, before)
    learner.before_step(split, 5)
    alive, anew = [0, 3], [1, 2]
    assert torch.equal(encoder.weight[alive], before[alive]) and torch.equal(columns[:, alive], painted[:, alive])
    # the decoder's bias is 0 before training: directions are those of rows
    offered = torch.nn.functional.normalize(split.x, dim=1)
    assert all(float((offered - columns[:, unit].detach()).norm(dim=1).min()) < 1e-5 for unit in anew)
    lengths = encoder.weight.detach().norm(dim=1)
    torch.testing.assert_close(lengths[anew], (0.2 * lengths[alive].mean()).expand(2))
    assert not latent.find_dead().any()


def test_a_unit_that_starts_anew_is_0_at_the_bias_of_the_decoder(build_learner, as_data):
    """It speaks of what a row has beyond that, and so in some rows, not in all that lie far from 0."""
    rows = 5 + torch.randn(200, 6)
    learner = build_learner((6,), latent=Relu(4, dead_after=2, resample_every=5), hidden_dims=[], unit_norm=True)
    model = learner.model
    with torch.no_grad():
        model.decoder.linears()[0].bias.fill_(5.0)
        model.latent.silence.steps.fill_(9)
        learner.before_step(as_data(rows.numpy())["train"], 5)
        layer = model.encoder.writing_layer()
        at_bias = layer(torch.full((1, 6), 5.0))
        spoken = (layer(rows) > 0).float().mean()
    assert float(at_bias.abs().max()) < 1e-5
    assert 0.3 < float(spoken) < 0.7  # half of the rows, where they lie evenly about it


def test_a_unit_cannot_become_a_row_behind_hidden_layers(build_learner, as_data):
    learner = build_learner((6,), latent=Relu(4, resample_every=5), hidden_dims=[5])
    with pytest.raises(UsageError, match=r"^latent\.resample_every: .*model=linear"):
        learner.before_step(as_data(torch.rand(30, 6).numpy())["train"], 0)

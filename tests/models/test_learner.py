"""The loss is the sum of its named terms' means, in training, in validation, for any chunk of rows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from aeexp.latents.deterministic import Sigmoid
from aeexp.models.learner import average, means
from aeexp.noises import Masking
from aeexp.regularizers.code import L1
from aeexp.regularizers.contractive import Contractive
from aeexp.regularizers.decoder import DecoderL2
from aeexp.regularizers.sparsity import KLSparsity
from aeexp.types import Batch, Code


@pytest.fixture
def learner(build_learner):
    return build_learner(
        (6,), latent=Sigmoid(4), hidden_dims=[5], noises={"masking": Masking(0.5)},
        regularizers={"l1": L1(0.3), "l2": DecoderL2(0.02)},
    )  # fmt: skip


@pytest.mark.parametrize("rows", [1, 7, 50, 1024])
def test_the_average_is_the_clean_objective_by_hand_whatever_the_chunk(learner, as_data, rows):
    data = as_data(torch.randn(50, 6).numpy())
    x, model = data["val"].x, learner.model
    with torch.no_grad():
        z = torch.sigmoid(model.encoder(x))
        by_hand = {
            "reconstruction": float((model.decoder(z) - x).square().sum(1).mean()),
            "l1": 0.3 * float(z.abs().sum(1).mean()),
            "l2": 0.02 * float(sum(p.square().sum() for p in model.decoder.parameters())),
        }
    values = average(learner.train(), data["val"], rows)
    # float32 terms of up to 50 rows: 50 * 2^-24 = 3e-6, and as much again by hand
    assert values == pytest.approx({"loss": sum(by_hand.values()), **by_hand}, rel=1e-5)
    assert list(values) == ["loss", "reconstruction", "l1", "l2"]


def test_measuring_leaves_the_mode_the_gradients_and_the_state_alone(learner, as_data):
    data = as_data(torch.randn(50, 6).numpy())
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    for training in (True, False):
        learner.train(training)
        average(learner, data["val"])
        learner.before_step(data["train"], 0)
        assert all(module.training == training for module in learner.modules())
    assert all(p.grad is None for p in learner.parameters())
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())


def test_the_mean_of_a_term_weighs_every_row_alike_and_a_scalar_once():
    per_row, scalar = torch.tensor([1.0, 2.0, 6.0]), torch.tensor(5.0)
    assert torch.equal(means({"a": per_row, "b": scalar}), torch.tensor([3.0, 5.0]))


@pytest.mark.parametrize("penalty", [L1, DecoderL2, Contractive])
def test_a_term_is_its_weight_times_its_penalty(penalty, build_learner):
    batch = Batch(torch.randn(7, 6))
    light, heavy, none = (build_learner((6,), regularizers={"r": penalty(w)}).eval()(batch)[0] for w in (0.5, 2.0, 0))
    assert light["r"].abs().max() > 0
    assert torch.equal(heavy["r"], 4 * light["r"])  # powers of two: exact
    assert not none["r"].any()
    assert torch.equal(light["reconstruction"], heavy["reconstruction"])


def test_terms_that_a_latent_cannot_do_without_enter_the_loss(build_learner):
    class Committed(nn.Module):
        dim = params = 3
        range = (0.0, 1.0)

        def forward(self, h):
            return Code(h, h, losses={"commitment": h.square().sum(1)})

    learner = build_learner((6,), latent=Committed())
    terms, out = learner(Batch(torch.randn(7, 6)))
    assert list(terms) == ["reconstruction", "commitment"]
    assert torch.equal(terms["commitment"], out.code.z.square().sum(1))


def test_parts_that_keep_averages_see_each_pass_and_each_epoch_without_gradient(build_learner, as_data):
    penalties = {
        "batch": KLSparsity(1.0, 0.1),
        "ema": KLSparsity(1.0, 0.1, "ema"),
        "dataset": KLSparsity(1.0, 0.1, "dataset"),
    }
    learner = build_learner((6,), latent=Sigmoid(4), regularizers=penalties)
    data = as_data(torch.randn(50, 6).numpy())
    for _ in range(2):
        learner.observe(learner(Batch(torch.randn(7, 6)))[1])
    learner.before_step(data["train"], 0)
    assert [float(p.seen) for p in penalties.values()] == [0, 2, 0]
    moved = {name: not torch.equal(p.mean, torch.full((4,), 0.1)) for name, p in penalties.items()}
    assert moved == {"batch": False, "ema": True, "dataset": True}
    assert not any(p.mean.requires_grad for p in penalties.values())

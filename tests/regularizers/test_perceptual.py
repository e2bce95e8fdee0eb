"""Distance by features: 0 of equal rows, learned once, and of the decoder alone."""

from __future__ import annotations

import torch

from aeexp.regularizers.perceptual import Perceptual
from aeexp.types import Facts


def made(build_learner, data, steps=60):
    learner = build_learner(tuple(data.shape), 3)
    penalty = Perceptual(1.0, steps)
    penalty.adapt(learner.model, data.facts)
    penalty.before_step(learner.model, data["train"], 0)
    batch = learner.task(next(data["train"].batches(20)))
    return learner.model, penalty, learner.model(batch)


def test_equal_rows_are_0_apart_and_noise_is_the_further_the_more_there_is(build_learner, digit_data):
    model, penalty, out = made(build_learner, digit_data)
    x = out.batch.targets
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    far = [penalty(out._replace(output=x + level * noise), model) for level in (0.0, 0.1, 0.4)]
    assert not far[0].any() and (far[1] > 0).all() and float(far[2].mean()) > 2 * float(far[1].mean())


def test_the_network_learns_once_from_the_rows_alone_and_gets_no_gradient(build_learner, digit_data):
    model, penalty, out = made(build_learner, digit_data)
    torch.manual_seed(5)
    _, other, _ = made(build_learner, digit_data)
    first = {name: value.clone() for name, value in penalty.state_dict().items()}
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in first.items())
    penalty.before_step(model, digit_data["train"], 1)
    assert all(torch.equal(value, first[name]) for name, value in penalty.state_dict().items())
    penalty(out, model).mean().backward()
    assert all(p.grad is None and not p.requires_grad for p in penalty.net.parameters())
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    x = next(digit_data["test"].batches(500))
    right = (penalty.net.head(penalty.net.extract(x.x)).argmax(1) == x.y).float().mean()
    assert right > 0.4, "it tells digits apart after a few steps"


def test_rows_that_are_no_pictures_have_a_hidden_layer_alone(build_learner):
    learner = build_learner((6,))
    penalty = Perceptual()
    penalty.adapt(learner.model, Facts((6,)))
    assert [tuple(part.shape) for part in penalty.net.look(torch.randn(4, 6))] == [(4, 64)]

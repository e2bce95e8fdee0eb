"""A critic of pictures: who learns what, and how fast."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from aeexp.errors import UsageError
from aeexp.regularizers.picture_critic import PatchCritic, PictureCritic
from aeexp.types import Batch, Facts

SHAPE = (1, 8, 8)


def made(build_learner, **options):
    learner = build_learner(SHAPE, 3)
    penalty = PictureCritic(2.0, channels=[4, 8], **options)
    torch.manual_seed(0)
    penalty.adapt(learner.model, Facts(SHAPE))
    return learner.model, penalty, learner.model(learner.task(Batch(torch.rand(6, *SHAPE))))


def test_the_model_sees_a_frozen_critic_and_the_critic_no_model(build_learner):
    model, penalty, out = made(build_learner)
    penalty(out, model).mean().backward(retain_graph=True)
    assert all(p.grad is None for p in penalty.parameters()) and all(p.grad.any() for p in model.parameters())
    model.zero_grad()
    penalty.lesson(out, model).mean().backward()
    assert all(p.grad.any() for p in penalty.critic.parameters())
    assert not any(p.grad.any() for p in model.parameters() if p.grad is not None)
    torch.testing.assert_close(penalty.term(out, model), 2 * penalty(out, model))  # a lesson has no value in the loss


def test_the_terms_are_their_formulas_and_each_place_sees_a_patch(build_learner):
    model, penalty, out = made(build_learner, features=3.0)
    scores, maps = penalty.critic(out.output)
    real_scores, real = penalty.critic(out.batch.targets)
    assert scores.shape == (6, 1, 2, 2) and maps.shape == (6, 8, 2, 2)
    expected = F.softplus(-scores).mean((1, 2, 3)) + 3 * (maps - real).square().mean((1, 2, 3))
    torch.testing.assert_close(penalty(out, model), expected)
    lesson = -(torch.sigmoid(real_scores).log() + (1 - torch.sigmoid(scores)).log()).mean((1, 2, 3))
    torch.testing.assert_close(penalty.lesson(out, model), lesson)
    x = torch.rand(1, *SHAPE, requires_grad=True)
    penalty.critic(x)[0][0, 0, 0, 0].backward()
    assert not x.grad[0, 0, :, 7].any(), "two layers of four pixels reach ten, of which the first ends before the edge"


@pytest.mark.parametrize("rate", [0.25, 1.0, 4.0])
def test_the_critic_learns_at_its_own_rate(rate):
    torch.manual_seed(0)
    critic = PatchCritic(1, [4], rate)
    torch.manual_seed(0)
    plain = PatchCritic(1, [4], 1.0)
    x = torch.rand(5, *SHAPE)
    torch.testing.assert_close(critic(x)[0], plain(x)[0])
    steps = []
    for net in (critic, plain):
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
        before = net.layers[0].weight.detach() * net.rate
        F.softplus(net(x)[0]).mean().backward()
        optimizer.step()
        steps.append(net.layers[0].weight.detach() * net.rate - before)
    # Adam's first step is the rate's sign of the gradient, but for its eps
    torch.testing.assert_close(steps[0], rate * steps[1], rtol=1e-2, atol=1e-6)


def test_a_critic_that_knows_nothing_costs_log_2(build_learner):
    model, penalty, out = made(build_learner)
    for parameter in penalty.critic.parameters():
        torch.nn.init.zeros_(parameter)
    torch.testing.assert_close(penalty(out, model), torch.full((6,), math.log(2)))


@pytest.mark.parametrize("shape", [(64,), (1, 2, 8)])
def test_what_is_no_picture_or_too_small_is_refused(build_learner, shape):
    penalty = PictureCritic(channels=[4, 8])
    with pytest.raises(UsageError, match="^channels=.*halves a picture 2 times"):
        penalty.adapt(build_learner(shape).model, Facts(shape))

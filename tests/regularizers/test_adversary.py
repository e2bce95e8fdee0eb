"""Critics that learn beside the model: what each of the two gets, and what it comes to."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from composing import run_in
from hypothesis import given
from hypothesis import strategies as st
from passes import MODEL, seen
from sklearn.linear_model import LogisticRegression

from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.sets.painted import colored_digits
from aeexp.errors import UsageError
from aeexp.models.nn.critic import Critic
from aeexp.regularizers.adversary import Adversary
from aeexp.regularizers.code import CodeL2
from aeexp.regularizers.decoder import GradientPenalty
from aeexp.regularizers.total_correlation import TotalCorrelation, shuffle_units
from aeexp.types import Batch, Facts


def made(penalty, facts=None):
    torch.manual_seed(0)
    penalty.adapt(MODEL, facts or Facts((2,), 3, 2))
    return penalty


def trained(penalty, draw, steps=400, rate=1e-2):
    """The critic of `penalty` after some steps on passes from `draw`; no encoder is there to answer."""
    optimizer = torch.optim.Adam(penalty.parameters(), rate)
    for _ in range(steps):
        optimizer.zero_grad()
        penalty.term(draw(), MODEL).mean().backward()
        optimizer.step()
    return penalty


PENALTIES = {
    "factor_vae": lambda weight: TotalCorrelation(weight, [8], "critic"),
    "prior": lambda weight: Adversary(weight, [8]),
    "attribute": lambda weight: Adversary(weight, [8], "attribute"),
    "label": lambda weight: Adversary(weight, [8], "label"),
}


@pytest.mark.parametrize("name", PENALTIES)
@given(weight=st.floats(0, 100))
def test_the_encoder_is_weighed_and_the_critic_never(name, weight):
    """The gradient that reaches the code grows with the weight from 0 on, the critic's does not."""
    gradients = []
    for w in (1.0, weight):
        penalty = made(PENALTIES[name](w))
        z = torch.randn(20, 2, generator=torch.Generator().manual_seed(1), requires_grad=True)
        torch.manual_seed(2)
        penalty.term(seen(z, torch.arange(20) % 3, torch.arange(20) % 2), MODEL).sum().backward()
        gradients.append((z.grad, torch.cat([p.grad.flatten() for p in penalty.parameters()])))
    (code, critic), (weighed, same) = gradients
    torch.testing.assert_close(weighed, weight * code, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(same, critic, rtol=1e-4, atol=1e-6)
    assert code.abs().sum() > 0 and critic.abs().sum() > 0


@pytest.mark.parametrize("name", PENALTIES)
def test_one_step_of_each_makes_it_better_at_its_own_aim(name):
    """The critic's step lowers its error on fixed codes; the codes' step lowers the term."""
    penalty = made(PENALTIES[name](1.0))
    z = torch.randn(200, 2, requires_grad=True)
    out = seen(z, torch.arange(200) % 3, torch.arange(200) % 2)
    torch.manual_seed(3)
    term = penalty.term(out, MODEL).mean()
    term.backward()
    moved = seen(z.detach() - 5.0 * z.grad, *out.batch[1:3])
    torch.manual_seed(3)
    assert float(penalty(moved, MODEL).mean().detach()) < float(term.detach())
    before = penalty.critic(z.detach()).detach()
    with torch.no_grad():
        for p in penalty.parameters():
            p -= 0.1 * p.grad
    if name in ("attribute", "label"):
        known = out.batch.s if name == "attribute" else out.batch.y
        errors = [float(F.cross_entropy(scores, known)) for scores in (before, penalty.critic(z.detach()).detach())]
        assert errors[1] < errors[0]


def test_the_critics_odds_are_the_total_correlation():
    """The best critic's log-odds are log q(z) / prod q(z_j), whose mean is -log(1 - rho^2) / 2."""
    rho = 0.8

    def draw(rows=500):
        a, b = torch.randn(2, rows)
        return seen(torch.stack([a, rho * a + math.sqrt(1 - rho**2) * b], 1))

    penalty = trained(made(TotalCorrelation(1.0, [32, 32], "critic")), draw)
    found = penalty(draw(20_000), MODEL)
    # five standard errors, and what a critic of finite size and time leaves: 0.02 to 0.04 over ten seeds
    error = 5 * float(found.detach().std()) / math.sqrt(len(found)) + 0.08
    assert abs(float(found.detach().mean()) + 0.5 * math.log(1 - rho**2)) < error
    apart = trained(made(TotalCorrelation(1.0, [32, 32], "critic")), lambda: seen(torch.randn(500, 2)))
    assert abs(float(apart(seen(torch.randn(20_000, 2)), MODEL).mean().detach())) < 0.08


def test_shuffle_units_codes_keep_each_unit_and_lose_what_ties_them():
    z = torch.randn(5000, 1).expand(-1, 3).contiguous()
    apart = shuffle_units(z, torch.rand_like(z))
    assert torch.equal(apart.sort(0).values, z.sort(0).values)
    # independent units: |correlation| below five standard errors
    assert (torch.corrcoef(apart.T) - torch.eye(3)).abs().max() < 5 / math.sqrt(5000)


def test_codes_drawn_from_the_prior_cost_log_two_and_others_more():
    penalty = trained(made(Adversary(1.0, [32])), lambda: seen(torch.randn(500, 2)))
    assert float(penalty(seen(torch.randn(5000, 2)), MODEL).mean().detach()) == pytest.approx(math.log(2), abs=0.05)
    penalty = trained(penalty, lambda: seen(torch.randn(500, 2) + 2))
    assert float(penalty(seen(torch.randn(5000, 2) + 2), MODEL).mean().detach()) > 2 * math.log(2)


@pytest.mark.slow
def test_an_encoder_under_an_adversary_forgets_the_colour_of_digits(tmp_path):
    """A fresh probe reads the colour from every code of the plain model, though its decoder is told it anyway."""
    accuracy, fair = {}, ["regularizer=adversary", "regularizer.adversary.against=attribute"]
    for name, words in (("plain", []), ("fair", [*fair, "optimizer.betas=[0.5,0.999]"])):
        words = ["dataset=colored_digits", "condition=attribute", "metric=none", "save_codes=true",
                 "trainer.epochs=30", *words]  # fmt: skip
        run_in(tmp_path / name, *words)
        with np.load(tmp_path / name / "codes.npz") as saved:
            codes = saved["codes"]
        colour = colored_digits(name="c", split=Fractions([8, 1, 1]))["test"].s.numpy()
        half = len(colour) // 2
        probe = LogisticRegression(max_iter=1000).fit(codes[:half], colour[:half])
        accuracy[name] = probe.score(codes[half:], colour[half:])
    # 90 rows: a standard error of 0.05 about the 0.5 of a guess, and what is left of the colour
    assert accuracy["plain"] > 0.95 and accuracy["fair"] < 0.75


@pytest.mark.parametrize("against", ["attribute", "label"])
def test_an_answer_that_is_the_same_for_all_costs_nothing_and_a_sure_one_much(against):
    """The term is the KL from the shares to the critic's answer: 0 at the shares, large where it knows each row."""
    penalty = made(Adversary(1.0, [], against), Facts((2,), 2, 2))
    group = torch.tensor([0, 0, 0, 1])
    z = torch.stack([1.0 - group, group.float()], 1)
    layer = penalty.critic.layers[0]
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.tensor([0.75, 0.25]).log())
        assert penalty(seen(z, group, group), MODEL).abs().max() < 1e-6
        layer.weight.copy_(10 * torch.eye(2))
        term = penalty(seen(z, group, group), MODEL)
    # log-odds of log 3 +- 10: KL of (3/4, 1/4) from an answer that is all but certain
    sure = torch.tensor([[math.log(3) + 10, 0.0], [math.log(3) - 10, 0.0]]).log_softmax(1)[group]
    shares = torch.tensor([0.75, 0.25])
    torch.testing.assert_close(term, (shares * (shares.log() - sure)).sum(1))


def test_rows_without_a_label_teach_nothing():
    penalty = made(Adversary(1.0, [8], "label"))
    y = torch.tensor([0, -1, 2])
    assert (penalty(seen(torch.randn(3, 2), y), MODEL) == 0).tolist() == [False, True, False]


def test_the_answer_to_a_quantity_is_to_be_its_mean():
    penalty = made(Adversary(1.0, [], "attribute"), Facts((2,), 0, 0, columns=3))
    z, s = torch.randn(5, 2), torch.randn(5, 3)
    expected = (penalty.critic(z) - s.mean(0)).square().sum(1)
    torch.testing.assert_close(penalty(seen(z, s=s), MODEL), expected)
    torch.testing.assert_close(penalty.lesson(seen(z, s=s), MODEL), (penalty.critic(z) - s).square().sum(1))


@pytest.mark.parametrize("against", ["attribute", "label"])
def test_data_without_what_the_adversary_reads_are_refused(against):
    with pytest.raises(UsageError, match=rf"^against={against}: these data have none"):
        Adversary(1.0, [8], against).adapt(MODEL, Facts((2,)))
    with pytest.raises(UsageError, match=r"^hidden_dims=\[0\]"):
        Critic(2, [0], 1)


def test_no_reading_of_an_untrained_term_changes_with_the_mode():
    """What is validated is what is trained: the same value, and no gradient is asked for."""
    penalty = made(TotalCorrelation(2.0, [8], "critic"))
    z = torch.randn(20, 2)
    with torch.no_grad():
        assert torch.equal(penalty.train()(seen(z), MODEL), penalty.eval()(seen(z), MODEL))


# ---------------------------------------------------------------- regularized autoencoders


def test_the_gradient_penalty_of_a_linear_decoder_is_its_closed_form(build_learner):
    """D(z) = W z + b: the gradient of |D|^2 is 2 W^T (W z + b), the Jacobian is W."""
    learner = build_learner((6,), 3)
    out = learner.model(Batch(torch.randn(8, 6)))
    layer = learner.model.decoder.layers[0]
    with torch.no_grad():
        layer.bias.normal_()
    exact = (2 * (out.code.z @ layer.weight.T + layer.bias) @ layer.weight).square().sum(1)
    torch.testing.assert_close(GradientPenalty(1.0)(out, learner.model), exact)
    drawn = GradientPenalty(1.0, "hutchinson", probes=20_000)(out, learner.model).detach()
    # v^T W W^T v has variance 2 |W W^T|_F^2
    matrix = layer.weight @ layer.weight.T
    error = 5 * float((2 * matrix.detach().square().sum() / 20_000).sqrt())
    assert (drawn - layer.weight.square().sum()).abs().max() < error


def test_the_gradient_penalty_is_that_of_the_code_and_not_of_the_input(build_learner):
    """An encoder that doubles its output at half the code's weights leaves D, and so the penalty, as it was."""
    learner = build_learner((6,), 3)
    batch = Batch(torch.randn(8, 6))
    before = GradientPenalty(1.0)(learner.model(batch), learner.model)
    with torch.no_grad():  # the same codes from inputs of another scale
        learner.model.encoder.layers[0].weight *= 100
    scaled = GradientPenalty(1.0)(learner.model(Batch(batch.x / 100)), learner.model)
    torch.testing.assert_close(scaled, before)


def test_the_gradient_penalty_stops_where_a_sequence_does(build_learner):
    """A decoder that goes on beyond the end costs what one costs that stops there."""
    learner = build_learner((4, 2), 3)
    mask = torch.arange(4) < torch.tensor([[2], [4]])
    batch = Batch(torch.randn(2, 4, 2) * mask.unsqueeze(-1), mask=mask)
    value = GradientPenalty(1.0)(learner.model(batch), learner.model)
    with torch.no_grad():  # the last two steps of what is painted
        learner.model.decoder.layers[-1].weight[4:] *= 10
    after = GradientPenalty(1.0)(learner.model(batch), learner.model)
    torch.testing.assert_close(after[0], value[0])
    assert after[1] > 2 * value[1]


def test_half_the_squared_norm_of_a_code():
    z = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert CodeL2(1.0)(seen(z), MODEL).tolist() == [12.5, 0.0]

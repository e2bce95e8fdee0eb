"""Learning rates along their formulas, and every optimizer."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from interrupted import files_of, same, stops_after
from training import ADAM, FIVE

from aeexp import schedulers
from aeexp.models.learner import average
from aeexp.randomness import reseed
from aeexp.trainers.joint import Joint


def rates(result) -> list[float]:
    """The rate after each step."""
    return [lr for _, _, lr in result.track.lines]


STEPS = Joint(steps=40, batch_size=8, validate_every_steps=40, log_every_steps=1)


def test_the_cosine_falls_along_its_formula_to_the_floor(run):
    lr = rates(run("run", STEPS, ADAM, functools.partial(schedulers.cosine, floor=0.01)))
    formula = [0.01 + 0.04 * (1 + math.cos(math.pi * step / 40)) / 2 for step in range(1, 41)]
    assert lr == pytest.approx(formula, rel=1e-9)  # torch multiplies step by step, in double
    assert lr[-1] == pytest.approx(0.01, rel=1e-9)


def test_warmup_rises_linearly_to_the_full_rate_then_the_cosine_falls_to_the_floor(run):
    result = run("run", STEPS, ADAM, functools.partial(schedulers.warmup_cosine, warmup=0.25, floor=0.01))
    lr = rates(result)
    rise = [0.05 * (1 + step) / 11 for step in range(1, 11)]  # from 1/11 of the rate, ten steps up
    fall = [0.01 + 0.04 * (1 + math.cos(math.pi * step / 30)) / 2 for step in range(1, 31)]
    assert lr == pytest.approx(rise + fall, rel=1e-9)
    assert max(lr) == lr[9] == pytest.approx(0.05)


def test_steps_drop_the_rate_at_equal_distances(run):
    lr = rates(run("run", STEPS, ADAM, functools.partial(schedulers.step, drops=3, factor=0.5)))
    # the rate after step 10 is that of step 11
    assert lr == pytest.approx([0.05] * 9 + [0.025] * 10 + [0.0125] * 10 + [0.00625] * 11)


def test_the_constant_schedule_leaves_the_rate_alone(run):
    assert set(rates(run("run", STEPS, ADAM, schedulers.constant))) == {0.05}


def test_plateau_reduces_the_rate_once_patience_is_used_up_and_steps_at_validations_only(run, overfitting):
    parts, make = overfitting
    patience, factor = 2, 0.5
    result = run(
        "run", Joint(steps=150, log_every_steps=1, **FIVE), learner=make(),
        scheduler=functools.partial(schedulers.plateau, factor=factor, patience=patience), **parts,
    )  # fmt: skip
    best, bad, lr, expected = math.inf, 0, 0.03, {}
    for row in result.progress.history:
        if row["split"] == "val":
            assert row["lr"] == pytest.approx(lr)
            good = row["loss"] < best
            best, bad = (row["loss"], 0) if good else (best, bad + 1)
            if bad == patience:
                lr, bad = lr * factor, 0
            expected[row["step"]] = lr
    assert lr < 0.03 / 3  # it did act, more than once
    for step, _, rate in result.track.lines:
        assert rate == pytest.approx(expected.get((step - 1) // 5 * 5, 0.03))


OPTIMIZERS = {
    "adam": functools.partial(torch.optim.Adam, lr=0.02),
    "adamw": functools.partial(torch.optim.AdamW, lr=0.02),
    "adamax": functools.partial(torch.optim.Adamax, lr=0.02),
    "adagrad": functools.partial(torch.optim.Adagrad, lr=0.05),
    "sgd": functools.partial(torch.optim.SGD, lr=0.05),
    "rmsprop": functools.partial(torch.optim.RMSprop, lr=0.005),
    "nadam": functools.partial(torch.optim.NAdam, lr=0.02),
    "lbfgs": functools.partial(torch.optim.LBFGS, lr=0.5, max_iter=5),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss_and_is_resumed_with_the_same_bits(name, run, build_learner, toy):
    parts = (Joint(steps=60, batch_size=26, validate_every_steps=20), OPTIMIZERS[name], schedulers.cosine)
    start = average(build_learner((6,), 4), toy["train"])["loss"]
    whole = run("whole", *parts)
    assert average(whole.learner, toy["train"])["loss"] < 0.7 * start
    with pytest.raises(KeyboardInterrupt):
        run("cut", *parts, stop=stops_after(31))
    assert same(files_of(run("cut", *parts).folder), files_of(whole.folder))


def test_reseeding_repeats_the_noise():
    cpu = torch.device("cpu")
    reseed(5, cpu)
    first = torch.randn(4)
    reseed(5, cpu)
    assert torch.equal(first, torch.randn(4))
    reseed(6, cpu)
    assert not torch.equal(first, torch.randn(4))

"""The loop: one step, a loss that means one thing, and the best state at the end."""

from __future__ import annotations

import functools

import pytest
import torch
from interrupted import files_of, same
from training import FIVE, SGD

from aeexp import schedulers
from aeexp.errors import UsageError
from aeexp.models.learner import average, means
from aeexp.noises import Masking
from aeexp.regularizers.code import L1
from aeexp.regularizers.decoder import DecoderL2
from aeexp.trainers.checkpoint import load
from aeexp.trainers.joint import Joint
from aeexp.trainers.step import take_step

# ---------------------------------------------------------------- one step


def gradient(learner, batches, **keys) -> list[torch.Tensor]:
    """What one step of plain descent with rate 1 takes away from each parameter."""
    before = [p.detach().clone() for p in learner.parameters()]
    optimizer = torch.optim.SGD(learner.parameters(), lr=1.0)
    take_step(learner, optimizer, batches, 0, **keys)
    return [old - p.detach() for old, p in zip(before, learner.parameters(), strict=True)]


@pytest.mark.parametrize("sizes", [(4, 4), (4, 4, 2), (1, 9)])
def test_accumulated_batches_have_the_gradient_of_one_large_batch(sizes, build_learner, toy):
    index = torch.arange(sum(sizes))
    parts = [toy["train"].batch(part) for part in index.split(list(sizes))]
    split = gradient(build_learner((6,), 4, hidden_dims=[5]), parts)
    whole = gradient(build_learner((6,), 4, hidden_dims=[5]), [toy["train"].batch(index)])
    # by definition: the gradient of the mean over all rows
    learner = build_learner((6,), 4, hidden_dims=[5])
    loss = means(learner(toy["train"].batch(index))[0]).sum()
    exact = torch.autograd.grad(loss, list(learner.parameters()))
    for one, other, truth in zip(split, whole, exact, strict=True):
        # float32 weights of size 1, from which the step was read off as a difference: 2^-24, ten times
        torch.testing.assert_close(one, truth, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(other, truth, rtol=1e-5, atol=1e-6)


def test_two_half_batches_make_the_run_of_one_whole_batch(run):
    halves = run("halves", Joint(steps=10, batch_size=4, accumulate=2), SGD)
    whole = run("whole", Joint(steps=10, batch_size=8), SGD)
    for a, b in zip(halves.learner.parameters(), whole.learner.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)  # ten steps of float32 sums in another order
    assert halves.progress.samples == whole.progress.samples


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999, 2.0])
def test_clipping_bounds_the_norm_of_the_whole_gradient_and_keeps_its_direction(share, build_learner, toy):
    def flat(**keys):
        learner = build_learner((6,), 4, hidden_dims=[5])
        return torch.cat([g.flatten() for g in gradient(learner, [toy["train"].batch(slice(0, 8))], **keys)]).double()

    free = flat()
    norm = float(free.norm())
    clipped = flat(clip_norm=share * norm)
    # torch divides by norm + 1e-6, and steps are read off as differences of float32 weights of size 1
    assert float(clipped.norm()) == pytest.approx(min(share, 1.0) * norm, rel=1e-4)
    torch.testing.assert_close(clipped, min(share, 1.0) * free, rtol=1e-3, atol=1e-6)


def test_the_same_noise_makes_every_evaluation_of_one_step_one_function(build_learner, toy):
    learner = build_learner((6,), 4, noises={"masking": Masking(0.5)})
    seen = []
    learner.model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    optimizer = torch.optim.LBFGS(learner.parameters(), max_iter=4)
    batch = toy["train"].batch(slice(0, 8))
    for noise_seed in (1, 2):
        take_step(learner, optimizer, [batch], noise_seed)
    first = [x for x in seen if torch.equal(x, seen[0])]
    second = [x for x in seen if torch.equal(x, seen[-1])]
    assert min(len(first), len(second)) > 1 and len(first) + len(second) == len(seen)
    assert not torch.equal(seen[0], batch.x)


def test_the_reported_terms_are_those_before_the_step(build_learner, toy):
    learner = build_learner((6,), 4, regularizers={"l1": L1(0.5)})
    batch = toy["train"].batch(slice(0, 8))
    before = means(learner(batch)[0]).detach()
    for optimizer in (torch.optim.SGD(learner.parameters(), lr=0.0), torch.optim.LBFGS(learner.parameters())):
        names, terms = take_step(learner, optimizer, [batch], 0)
        assert names == ["reconstruction", "l1"]
        assert torch.equal(terms, before)


# ---------------------------------------------------------------- validation and the best state


def test_history_has_the_training_means_and_the_clean_objective_on_validation_rows(run, build_learner, toy):
    def make():
        return build_learner(
            (6,), 4, hidden_dims=[5], noises={"masking": Masking(0.5)},
            regularizers={"l1": L1(0.3), "l2": DecoderL2(0.1)},
        )  # fmt: skip

    result = run("run", Joint(steps=8, batch_size=8, validate_every_steps=8, log_every_steps=1), learner=make())
    train, val = result.progress.history
    assert (train["step"], train["epoch"], train["split"], val["split"]) == (8, 2.0, "train", "val")

    model, x = result.learner.model, toy["val"].x
    with torch.no_grad():
        z = model.encoder(x)
        by_hand = {
            "reconstruction": float((model.decoder(z) - x).square().sum(1).mean()),
            "l1": 0.3 * float(z.abs().sum(1).mean()),
            "l2": 0.1 * float(sum(p.square().sum() for p in model.decoder.parameters())),
        }
    # float32 sums of ten rows
    assert {name: val[name] for name in by_hand} == pytest.approx(by_hand, rel=1e-5)
    assert val["loss"] == pytest.approx(sum(by_hand.values()), rel=1e-5)

    # each step's means, in double, over the eight steps
    for name in ("loss", *by_hand):
        assert train[name] == pytest.approx(sum(line[1][name] for line in result.track.lines) / 8, rel=1e-12)
    assert [line[0] for line in result.track.lines] == list(range(1, 9))


def test_early_stopping_ends_after_patience_validations_and_leaves_the_best_state(run, overfitting):
    parts, make = overfitting
    result = run("run", Joint(steps=1000, patience=3, **FIVE), scheduler=schedulers.constant, learner=make(), **parts)
    progress = result.progress
    losses = {row["step"]: row["loss"] for row in progress.history if row["split"] == "val"}
    best = min(losses, key=losses.get)
    assert 5 < best and progress.step == best + 3 * 5 < 1000  # in the middle of the run
    assert (progress.best_step, progress.best, progress.waited) == (best, losses[best], 3)
    assert average(result.learner, parts["data"]["val"])["loss"] == losses[best]

    # the best state is that of a run which ended there, with its optimizer and its schedule
    short = run("short", Joint(steps=best, **FIVE), scheduler=schedulers.constant, learner=make(), **parts)
    saved, then = files_of(result.folder)["best"], files_of(short.folder)["last"]
    assert same(saved["learner"], then["learner"]) and same(saved["learner"], result.learner.state_dict())
    assert same(saved["optimizer"], then["optimizer"]) and same(saved["scheduler"], then["scheduler"])
    assert saved["progress"]["step"] == best
    assert load(result.folder / "last.pt")["progress"]["step"] == progress.step


def test_without_patience_the_run_goes_to_its_end_and_still_leaves_the_best_state(run, overfitting):
    parts, make = overfitting
    result = run("run", Joint(steps=90, **FIVE), scheduler=schedulers.constant, learner=make(), **parts)
    losses = [row["loss"] for row in result.progress.history if row["split"] == "val"]
    assert result.progress.step == 90
    assert average(result.learner, parts["data"]["val"])["loss"] == min(losses) < losses[-1]


def test_an_improvement_below_min_delta_does_not_buy_more_patience(run, overfitting):
    parts, make = overfitting
    trainer = Joint(steps=1000, patience=2, min_delta=1e6, **FIVE)
    result = run("run", trainer, scheduler=schedulers.constant, learner=make(), **parts)
    assert result.progress.step == 5 + 2 * 5  # the first counts against infinity


def test_the_monitored_term_chooses_the_best_state(run, build_learner, toy):
    learner = build_learner((6,), 4, regularizers={"l2": DecoderL2(1e-3)})
    trainer = Joint(steps=20, batch_size=8, validate_every_steps=2, monitor="l2")
    result = run("run", trainer, functools.partial(torch.optim.SGD, lr=0.1), schedulers.constant, learner=learner)
    rows = [row for row in result.progress.history if row["split"] == "val"]
    by_term, by_loss = (min(rows, key=lambda row: row[name])["step"] for name in ("l2", "loss"))
    assert result.progress.best_step == by_term != by_loss
    assert average(result.learner, toy["val"])["l2"] == min(row["l2"] for row in rows)


def test_without_a_monitor_the_last_state_is_kept(run, overfitting):
    parts, make = overfitting
    chosen, last = (
        run(str(name), Joint(steps=90, monitor=name, **FIVE), scheduler=schedulers.constant, learner=make(), **parts)
        for name in ("loss", None)
    )
    losses = [row["loss"] for row in last.progress.history if row["split"] == "val"]
    assert losses == [row["loss"] for row in chosen.progress.history if row["split"] == "val"]
    assert chosen.progress.best == min(losses) < losses[-1] == last.progress.best
    assert last.progress.best_step == 90 > chosen.progress.best_step
    assert average(last.learner, parts["data"]["val"])["loss"] == losses[-1]


def test_a_monitor_that_is_no_term_is_refused_with_those_that_are(run, build_learner):
    learner = build_learner((6,), 4, regularizers={"l1": L1(0.1)})
    with pytest.raises(UsageError, match="^trainer.monitor=kl .*loss, reconstruction, l1"):
        run("run", Joint(steps=3, monitor="kl"), learner=learner)

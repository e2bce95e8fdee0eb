"""A run that was stopped or killed and goes on has the bits of the undisturbed one; seeds decide on all of them."""

from __future__ import annotations

import functools
import itertools
import math
from pathlib import Path

import pytest
import torch
from interrupted import files_of, same, stops_after
from representatives import few
from training import ADAM, EVERY, HEADER

from aeexp import files, schedulers
from aeexp.noises import Masking
from aeexp.randomness import mix, permutation
from aeexp.trainers.checkpoint import Store, Unreadable, load
from aeexp.trainers.joint import Joint

RESUMED = {
    "adam, ema, cosine": (ADAM, schedulers.cosine, "ema", EVERY),
    "dataset, warmup, accumulate": (ADAM, schedulers.warmup_cosine, "dataset", {**EVERY, "accumulate": 2, "steps": 9}),
    "sgd, batch, plateau, epochs": (
        functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9),
        functools.partial(schedulers.plateau, patience=1), "batch", dict(epochs=3, batch_size=8),
    ),
    "lbfgs, ema, step": (
        functools.partial(torch.optim.LBFGS, lr=0.5, max_iter=3), schedulers.step, "ema", {**EVERY, "steps": 7},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", few(RESUMED, "sgd, batch, plateau, epochs", "lbfgs, ema, step"))
def test_a_run_stopped_after_any_step_and_taken_up_again_ends_with_the_same_bits(case, run, noisy):
    optimizer, scheduler, estimate, keys = RESUMED[case]
    parts = (Joint(**keys), optimizer, scheduler)
    whole = run("whole", *parts, learner=noisy(estimate))
    for step in range(1, whole.progress.step + 1):
        folder = f"stopped-{step}"
        with pytest.raises(KeyboardInterrupt):
            run(folder, *parts, learner=noisy(estimate), stop=stops_after(step))
        assert load(whole.folder.parent / folder / "last.pt")["progress"]["step"] == step
        again = run(folder, *parts, learner=noisy(estimate, seed=99))
        assert same(again.learner.state_dict(), whole.learner.state_dict())
        assert again.progress.history == whole.progress.history
        assert same(files_of(again.folder), files_of(whole.folder))


def test_a_run_interrupted_at_every_single_step_ends_with_the_same_bits(run, noisy):
    trainer = Joint(**EVERY)
    whole = run("whole", trainer, learner=noisy())
    for _ in range(14):
        with pytest.raises(KeyboardInterrupt):
            run("cut", trainer, learner=noisy(), stop=lambda: True)
    again = run("cut", trainer, learner=noisy())
    assert same(files_of(again.folder), files_of(whole.folder))


@pytest.mark.parametrize("every_seconds", few([0.0, math.inf], 0.0))
def test_a_run_killed_at_any_word_to_the_tracker_ends_with_the_same_bits(every_seconds, run, noisy, quiet, killed):
    trainer = Joint(**EVERY)
    whole = run("whole", trainer, learner=noisy())
    assert whole.track.words > 10
    for word in range(1, whole.track.words + 1):
        with pytest.raises(killed):
            run(f"{word}", trainer, learner=noisy(), track=quiet(dies=word), every_seconds=every_seconds)
        again = run(f"{word}", trainer, learner=noisy(seed=99))
        assert same(again.learner.state_dict(), whole.learner.state_dict())
        assert same(files_of(again.folder), files_of(whole.folder))


@pytest.mark.parametrize("after", few([False, True], False), ids=["before", "after"])
def test_a_run_killed_around_any_write_ends_with_the_same_bits(after, run, noisy, killed, monkeypatch):
    trainer = Joint(**EVERY)
    real, countdown = files.os.replace, [math.inf]

    def replace(*names):
        countdown[0] -= 1
        if countdown[0] == 0 and not after:
            raise killed
        real(*names)
        if countdown[0] == 0:
            raise killed

    monkeypatch.setattr(files.os, "replace", replace)
    whole = run("whole", trainer, learner=noisy())
    for write in itertools.count(1):
        countdown[0] = write
        try:
            run(f"{write}", trainer, learner=noisy(), every_seconds=0.0)
        except killed:
            countdown[0] = math.inf
            again = run(f"{write}", trainer, learner=noisy(seed=99 if write > 1 else 0))
            assert same(again.learner.state_dict(), whole.learner.state_dict())
            assert same(files_of(again.folder), files_of(whole.folder))
        else:
            break
    assert write > 10  # the start, the logs and the end, two files each


def test_the_seed_decides_every_bit_and_the_process_none(run, noisy):
    one, two, other = (run(f"{i}", learner=noisy(), seed=seed) for i, seed in enumerate((0, 0, 1)))
    assert same(files_of(one.folder), files_of(two.folder))
    assert same(one.progress.history, two.progress.history)
    assert not same(one.learner.state_dict(), other.learner.state_dict())


def test_no_two_steps_share_noise_and_every_epoch_has_its_own_order_of_all_rows():
    seeds = {mix(seed, step) for seed in range(50) for step in range(1000)}
    assert len(seeds) == 50 * 1000
    device = torch.device("cpu")
    orders = [permutation(20, seed, epoch, device) for seed in range(3) for epoch in range(3)]
    assert all(order.sort().values.tolist() == list(range(20)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 9


def test_every_epoch_sees_every_row_once(run, build_learner, toy):
    seen = []
    learner = build_learner((6,), 4)
    learner.task.register_forward_pre_hook(lambda _, inputs: seen.append((learner.training, inputs[0].x)))
    result = run(learner=learner, trainer=Joint(epochs=2, batch_size=8))
    batches = [x for training, x in seen if training]
    assert [len(x) for x in batches] == [8, 8, 8, 2] * 2
    rows = toy["train"].x
    for epoch in (torch.cat(batches[:4]), torch.cat(batches[4:])):
        assert not torch.equal(epoch, rows)
        assert torch.equal(epoch[epoch[:, 0].argsort()], rows[rows[:, 0].argsort()])
    assert result.progress.samples == 2 * len(rows)


def test_every_step_of_every_seed_draws_noise_of_its_own(run, build_learner):
    masks = []

    def remember(encoder, inputs) -> None:
        if encoder.training:
            masks.append(tuple((inputs[0] == 0).flatten().tolist()))

    for seed in (0, 1):
        learner = build_learner((6,), 4, noises={"masking": Masking(0.5)})
        learner.model.encoder.register_forward_pre_hook(remember)
        run(f"{seed}", Joint(steps=10, batch_size=26), learner=learner, seed=seed)
    assert len(masks) == len(set(masks)) == 20  # two of 26 x 6 coins agree with probability 2^-156


def test_parts_that_keep_averages_see_each_step_before_and_after_it(run, noisy):
    learner, events = noisy("ema"), []
    before, observe = learner.before_step, learner.observe
    learner.before_step = lambda split, step: (events.append((len(split), step)), before(split, step))
    learner.observe = lambda out: (events.append("step"), observe(out))
    result = run(learner=learner, trainer=Joint(epochs=2, batch_size=8, validate_every_steps=3))
    assert events == [event for step in range(8) for event in ((26, step), "step")]
    assert load(result.folder / "last.pt")["learner"]["objective.regularizers.kl.seen"] == 8


# ---------------------------------------------------------------- from what is left of a damaged state


def spoil(path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [spoil, Path.unlink], ids=["damaged", "gone"])
@pytest.mark.parametrize("names", [["last.pt"], ["best.pt"]], ids=str)
@pytest.mark.parametrize("step", [3, 4, 7, 11])
def test_a_run_goes_on_from_the_state_that_is_left_with_the_same_bits(names, harm, step, run, noisy):
    """From best.pt where last.pt is lost; where the best state is lost, from the beginning, unless it was the last."""
    trainer = Joint(**EVERY)
    whole = run("whole", trainer, learner=noisy())
    with pytest.raises(KeyboardInterrupt):
        run("cut", trainer, learner=noisy(), stop=stops_after(step))
    for name in names:
        harm(whole.folder.parent / "cut" / name)
    again = run("cut", trainer, learner=noisy())
    assert same(again.learner.state_dict(), whole.learner.state_dict())
    assert again.progress.history == whole.progress.history
    assert same(files_of(again.folder), files_of(whole.folder))


def test_where_no_state_is_whole_it_is_said_in_one_line(run, noisy):
    folder = run("whole", Joint(**EVERY), learner=noisy()).folder
    for name in ("last.pt", "best.pt"):
        spoil(folder / name)
    with pytest.raises(Unreadable) as error:
        Store(folder, HEADER).resume(folder)
    assert str(error.value) == f"{folder / 'last.pt'} is no readable checkpoint: it is damaged: its checksum is another"

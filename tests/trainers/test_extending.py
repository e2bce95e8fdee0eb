"""A run that goes on for longer than it was to: as one that was to be so long, in weights, rates and history."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from interrupted import same, stops_after
from torch.optim.lr_scheduler import LRScheduler
from training import ADAM, layerwise

from aeexp import schedulers
from aeexp.errors import UsageError
from aeexp.trainers.checkpoint import Store, Unreadable, load
from aeexp.trainers.joint import Joint

OTHER = {"run_id": "longer"}
SCHEDULES = {
    "none": schedulers.constant, "cosine": schedulers.cosine, "step": schedulers.step,
    "warmup": functools.partial(schedulers.warmup_cosine, warmup=0.3),
}  # fmt: skip
OPTIMIZERS = {
    "adam": ADAM, "sgd": functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9),
    "lbfgs": functools.partial(torch.optim.LBFGS, lr=0.5, max_iter=2),
}  # fmt: skip


@pytest.fixture
def extend(build_learner, toy, quiet, tmp_path):
    """extend(folder, trainer, ...): goes on from the state in `folder`, into `folder`-on."""

    def start(folder, trainer, optimizer=ADAM, scheduler=schedulers.constant, *, learner, data=toy, stop=lambda: False):
        store = Store(tmp_path / f"{folder}-on", OTHER)
        (tmp_path / f"{folder}-on").mkdir(exist_ok=True)
        again = (tmp_path / f"{folder}-on" / "last.pt").is_file()
        store.resume(tmp_path / (f"{folder}-on" if again else folder), extends=not again)
        track = quiet()
        progress = trainer.fit(learner, data, optimizer, scheduler, store, track, 0, stop)
        return progress, learner, track

    return start


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_of_constant_rate_has_the_bits_of_one_in_one_go(optimizer, run, extend, noisy):
    """Two epochs and three more are five: 4 steps an epoch, validated at its end."""
    parts = (OPTIMIZERS[optimizer], schedulers.constant)
    whole = run("whole", Joint(epochs=5, batch_size=8), *parts, learner=noisy())
    run("short", Joint(epochs=2, batch_size=8), *parts, learner=noisy())
    progress, learner, _ = extend("short", Joint(epochs=5, batch_size=8), *parts, learner=noisy(seed=99))
    assert progress.history == whole.progress.history and progress.step == 20
    assert same(learner.state_dict(), whole.learner.state_dict())


def rates(scheduler, total: int) -> list[float]:
    """Of every step of a run of so many steps."""
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=0.05)
    schedule: LRScheduler = scheduler(optimizer, total)
    values = []
    for _ in range(total):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return values


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_rates_of_what_is_added_are_those_of_the_longer_run(name, run, extend, noisy):
    """Exactly: both sum up the same floats in the same order."""
    trainer = dict(batch_size=8, log_every_steps=1)
    run("short", Joint(steps=9, **trainer), ADAM, SCHEDULES[name], learner=noisy())
    _, _, track = extend("short", Joint(steps=23, **trainer), ADAM, SCHEDULES[name], learner=noisy())
    wanted = [*rates(SCHEDULES[name], 23)[10:], None]  # a line tells the rate of the next step
    assert [lr for _, _, lr in track.lines][:-1] == wanted[:-1]


def test_the_first_added_step_takes_the_rate_of_the_longer_run(run, extend, noisy):
    """After a cosine down to 0 nothing would move."""
    trainer = dict(batch_size=8)
    last = load(run("short", Joint(steps=8, **trainer), ADAM, schedulers.cosine, learner=noisy()).folder / "last.pt")
    assert last["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0, abs=1e-9)
    with pytest.raises(KeyboardInterrupt):
        extend("short", Joint(steps=16, **trainer), ADAM, schedulers.cosine, learner=noisy(), stop=stops_after(1))
    state = load(last_of("short-on", run))
    weight = "model.encoder.layers.0.weight"
    moved = (state["learner"][weight] - last["learner"][weight]).abs().max()
    assert moved > 0.05 * 0.5 / 10, "Adam's step is about the rate, of which half is left half-way"


def last_of(name, run) -> Path:
    return run("beside", Joint(steps=1)).folder.parent / name / "last.pt"


def test_plateaus_and_patience_go_on_counting(run, extend, noisy, overfitting):
    settings, learner = overfitting
    keys = dict(batch_size=4, patience=6)
    plateau = functools.partial(schedulers.plateau, patience=2)
    whole = run("whole", Joint(epochs=40, **keys), scheduler=plateau, learner=learner(), **settings)
    assert whole.progress.step < 120, "patience ends it"
    short = whole.progress.best_step // 3 + 2  # two validations after the best one
    run("short", Joint(epochs=short, **keys), scheduler=plateau, learner=learner(), **settings)
    progress, end, _ = extend(
        "short", Joint(epochs=40, **keys), settings["optimizer"], plateau, learner=learner(), data=settings["data"]
    )
    assert progress.history == whole.progress.history and progress.waited == 6
    assert same(end.state_dict(), whole.learner.state_dict())


def test_an_extended_run_that_is_cut_off_at_any_step_ends_with_the_same_bits(run, extend, noisy):
    trainer = Joint(steps=14, batch_size=8, validate_every_steps=3)
    run("short", Joint(steps=6, batch_size=8, validate_every_steps=3), ADAM, schedulers.cosine, learner=noisy())
    _, whole, _ = extend("short", trainer, ADAM, schedulers.cosine, learner=noisy())
    (last_of("short-on", run)).unlink()
    for _ in range(7):
        with pytest.raises(KeyboardInterrupt):
            extend("short", trainer, ADAM, schedulers.cosine, learner=noisy(), stop=lambda: True)
    _, again, _ = extend("short", trainer, ADAM, schedulers.cosine, learner=noisy(seed=99))
    assert same(again.state_dict(), whole.state_dict())


def test_layers_that_are_trained_are_not_trained_anew(run_layers, extend, deep):
    def trainer(epochs: int):
        finetune = Joint(epochs=epochs, batch_size=8)
        return layerwise(pretrain_epochs=1, pretrain_batch_size=8, noise=0.1, finetune=finetune)

    parts = (ADAM, schedulers.constant)
    whole = run_layers("whole", trainer(4), *parts)
    run_layers("short", trainer(2), *parts)
    progress, learner, _ = extend("short", trainer(4), *parts, learner=deep(seed=99))
    assert progress.history == whole.progress.history and same(learner.state_dict(), whole.learner.state_dict())


@pytest.mark.parametrize(("keys", "message"), [
    (dict(epochs=2), r"^trainer\.epochs=2: the run to go on from has taken 8 steps already: give more$"),
    (dict(steps=8), r"^trainer\.steps=8: the run to go on from has taken 8 steps already"),
])  # fmt: skip
def test_no_more_steps_than_there_are_is_refused(keys, message, run, extend, noisy):
    run("short", Joint(epochs=2, batch_size=8), learner=noisy())
    with pytest.raises(UsageError, match=message):
        extend("short", Joint(**keys, batch_size=8), scheduler=schedulers.cosine, learner=noisy())


def test_a_run_that_patience_ended_wants_more_of_it(run, extend, overfitting):
    settings, learner = overfitting
    short = run("short", Joint(epochs=40, batch_size=4, patience=2), learner=learner(), **settings)
    parts = dict(optimizer=settings["optimizer"], scheduler=schedulers.cosine, data=settings["data"])
    with pytest.raises(UsageError, match=rf"^trainer\.patience=2: .*step {short.progress.step}, after 2 .*give more"):
        extend("short", Joint(epochs=80, batch_size=4, patience=2), learner=learner(), **parts)
    progress, _, _ = extend("short", Joint(epochs=80, batch_size=4, patience=4), learner=learner(), **parts)
    assert progress.step > short.progress.step


def test_without_its_best_state_a_run_is_not_extended(run, noisy):
    with pytest.raises(KeyboardInterrupt):
        run("short", Joint(steps=14, batch_size=8, validate_every_steps=3), learner=noisy(), stop=stops_after(4))
    folder = last_of("short", run).parent
    (folder / "best.pt").unlink()  # of step 3
    with pytest.raises(Unreadable, match="without its best state"):
        Store(folder, OTHER).resume(folder, extends=True)
    with pytest.raises(UsageError, match="another configuration"):
        Store(folder, OTHER).resume(folder)

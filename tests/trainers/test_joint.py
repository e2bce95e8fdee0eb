"""The loop: the same bits after any interruption, the best state at the end, and a loss that means one thing."""

from __future__ import annotations

import functools
import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from interrupted import files_of, same, stops_after
from torch import nn

from aeexp import files, schedulers
from aeexp.errors import UsageError
from aeexp.latents.deterministic import Sigmoid
from aeexp.models.learner import average, means
from aeexp.noises import Gaussian, Masking
from aeexp.randomness import mix, permutation, reseed
from aeexp.regularizers.code import L1
from aeexp.regularizers.contractive import Contractive
from aeexp.regularizers.decoder import DecoderL2
from aeexp.regularizers.sparsity import KLSparsity
from aeexp.trainers.checkpoint import Store, load
from aeexp.trainers.joint import Joint
from aeexp.trainers.window import Diverged

ADAM = functools.partial(torch.optim.Adam, lr=0.05)
SGD = functools.partial(torch.optim.SGD, lr=0.01)
HEADER = {"run_id": "a1"}


@pytest.fixture
def toy(as_data):
    """26 rows: batches of 8, 8, 8 and 2."""
    generator = torch.Generator().manual_seed(3)
    return as_data(*(torch.rand(n, 6, generator=generator).numpy() for n in (26, 10)))


@pytest.fixture
def run(build_learner, toy, quiet, tmp_path):
    """run(folder, ...): what a command does with a fresh learner; goes on where the folder has a last.pt."""

    def start(
        folder="run", trainer=None, optimizer=ADAM, scheduler=schedulers.cosine, *, learner=None, data=toy, seed=0,
        every_seconds=math.inf, track=None, stop=lambda: False,
    ) -> SimpleNamespace:  # fmt: skip
        folder = tmp_path / folder
        learner = learner or build_learner((6,), 4)
        store = Store(folder, HEADER, every_seconds)
        if (folder / "last.pt").is_file():
            store.resume(folder)
        track = track or quiet()
        torch.manual_seed(torch.seed())  # whatever the process drew before must not matter
        trainer = trainer or Joint(steps=14, batch_size=8)
        progress = trainer.fit(learner, data, optimizer, scheduler, store, track, seed, stop)
        return SimpleNamespace(learner=learner, progress=progress, track=track, folder=folder, store=store)

    return start


# ---------------------------------------------------------------- the same bits


@pytest.fixture
def noisy(build_learner):
    """noisy(estimate, seed): noise, a random penalty, and a state beside the parameters."""

    def make(estimate="ema", seed=0):
        return build_learner(
            (6,), latent=Sigmoid(4), hidden_dims=[5], seed=seed,
            noises={"masking": Masking(0.3), "gaussian": Gaussian(0.1)},
            regularizers={"kl": KLSparsity(0.5, 0.2, estimate), "jacobian": Contractive(0.1, "hutchinson")},
        )  # fmt: skip

    return make


EVERY = dict(steps=14, batch_size=8, validate_every_steps=3, log_every_steps=2, clip_norm=1.0)
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


@pytest.mark.parametrize("case", RESUMED)
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


@pytest.mark.parametrize("every_seconds", [0.0, math.inf])
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


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
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


# ---------------------------------------------------------------- one step


def gradient(learner, batches, **keys) -> list[torch.Tensor]:
    """What one step of plain descent with rate 1 takes away from each parameter."""
    before = [p.detach().clone() for p in learner.parameters()]
    optimizer = torch.optim.SGD(learner.parameters(), lr=1.0)
    Joint(**keys).step(learner, optimizer, batches, noise_seed=0)
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
        Joint().step(learner, optimizer, [batch], noise_seed)
    first = [x for x in seen if torch.equal(x, seen[0])]
    second = [x for x in seen if torch.equal(x, seen[-1])]
    assert min(len(first), len(second)) > 1 and len(first) + len(second) == len(seen)
    assert not torch.equal(seen[0], batch.x)


def test_the_reported_terms_are_those_before_the_step(build_learner, toy):
    learner = build_learner((6,), 4, regularizers={"l1": L1(0.5)})
    batch = toy["train"].batch(slice(0, 8))
    before = means(learner(batch)[0]).detach()
    for optimizer in (torch.optim.SGD(learner.parameters(), lr=0.0), torch.optim.LBFGS(learner.parameters())):
        names, terms = Joint().step(learner, optimizer, [batch], 0)
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


@pytest.fixture
def overfitting(as_data, build_learner):
    """12 rows of rank two with noise, and a learner with room for the noise: validation falls, then rises."""
    generator = torch.Generator().manual_seed(0)
    plane = torch.tensor([[1.0, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]])

    def rows(n):
        noise = 0.7 * torch.randn(n, 8, generator=generator)
        return (torch.randn(n, 2, generator=generator) @ plane + noise).numpy()

    data = as_data(rows(12), rows(60))
    return {"data": data, "optimizer": functools.partial(torch.optim.Adam, lr=0.03)}, lambda: build_learner(
        (8,), 4, hidden_dims=[16]
    )


FIVE = dict(batch_size=12, validate_every_steps=5)


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


def test_a_monitor_that_is_no_term_is_refused_with_those_that_are(run, build_learner):
    learner = build_learner((6,), 4, regularizers={"l1": L1(0.1)})
    with pytest.raises(UsageError, match="^trainer.monitor=kl .*loss, reconstruction, l1"):
        run("run", Joint(steps=3, monitor="kl"), learner=learner)


@pytest.mark.parametrize(
    "keys",
    [
        {"epochs": 0}, {"steps": 0}, {"batch_size": 0}, {"accumulate": -1}, {"patience": 0}, {"clip_norm": 0},
        {"validate_every_epochs": 0}, {"validate_every_steps": 0}, {"log_every_steps": 0}, {"min_delta": -1},
    ],
)  # fmt: skip
def test_a_bad_number_is_refused_in_words_that_begin_with_key_and_value(keys):
    ((name, value),) = keys.items()
    with pytest.raises(UsageError, match=f"^{name}={value} "):
        Joint(**keys)


# ---------------------------------------------------------------- divergence


def poisoned_after(step, learner, bad):
    """A `stop` that never stops, and ruins one weight after that step."""
    count = itertools.count(1)

    def poison() -> bool:
        if next(count) == step:
            with torch.no_grad():
                learner.model.decoder.layers[0].weight[0, 0] = bad
        return False

    return poison


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("step", range(1, 13))
def test_divergence_names_the_first_step_whose_loss_is_not_finite(step, bad, run, build_learner):
    learner = build_learner((6,), 4)
    trainer = Joint(steps=14, batch_size=8, validate_every_steps=6, log_every_steps=4)
    with pytest.raises(Diverged, match=f"^the loss became (nan|inf) at step {step + 1}$"):
        run("run", trainer, SGD, learner=learner, stop=poisoned_after(step, learner, bad))


@pytest.mark.parametrize("step", range(1, 15))
def test_a_step_that_ruins_the_weights_is_not_saved(step, run, build_learner, tmp_path):
    """The loss of that step is finite still: it was taken before the weights moved."""
    trainer = Joint(steps=14, batch_size=8, validate_every_steps=6, log_every_steps=4)

    def ruinous(parameters):
        optimizer, count = SGD(parameters), itertools.count(1)

        def ruin(*_):
            if next(count) == step:
                with torch.no_grad():
                    optimizer.param_groups[0]["params"][0][0, 0] = math.nan

        optimizer.register_step_post_hook(ruin)
        return optimizer

    validated = step % 6 == 0 or step == 14
    word = (
        f"^the validation loss became nan at step {step}$" if validated else f"^the loss became nan at step {step + 1}$"
    )
    with pytest.raises(Diverged, match=word):
        run("run", trainer, ruinous, learner=build_learner((6,), 4), every_seconds=0.0)
    saved = load(tmp_path / "run" / "last.pt")
    assert all(tensor.isfinite().all() for tensor in saved["learner"].values())
    assert saved["progress"]["step"] == max(s for s in (0, 4, 6, 8, 12) if s < step)


@pytest.mark.parametrize("optimizer", [SGD.func, ADAM.func])
def test_a_rate_that_is_far_too_high_diverges_and_leaves_a_file_to_go_on_from(optimizer, run, tmp_path):
    trainer = Joint(steps=200, batch_size=8, log_every_steps=1)
    with pytest.raises(Diverged, match=r"^the (validation )?loss became (nan|inf) at step \d+$"):
        run("run", trainer, functools.partial(optimizer, lr=1e20), schedulers.constant, every_seconds=0.0)
    saved = load(tmp_path / "run" / "last.pt")
    assert all(tensor.isfinite().all() for tensor in saved["learner"].values())
    with pytest.raises(Diverged):  # goes on from there, to the same end
        run("run", trainer, functools.partial(optimizer, lr=1e20), schedulers.constant, every_seconds=0.0)


# ---------------------------------------------------------------- schedules and optimizers


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


@pytest.mark.parametrize(
    ("name", "value"), [("drops", 0), ("warmup", 0), ("warmup", 1), ("factor", 1.0), ("factor", 0)]
)
def test_a_schedule_that_makes_no_sense_is_refused(name, value):
    make = {"drops": schedulers.step, "warmup": schedulers.warmup_cosine, "factor": schedulers.plateau}[name]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(UsageError, match=f"^{name}={value} "):
        make(optimizer, 10, **{name: value})


def test_reseeding_repeats_the_noise():
    cpu = torch.device("cpu")
    reseed(5, cpu)
    first = torch.randn(4)
    reseed(5, cpu)
    assert torch.equal(first, torch.randn(4))
    reseed(6, cpu)
    assert not torch.equal(first, torch.randn(4))

"""Runs that are trained as one are the runs alone; what cannot be says why, in words that the code finds itself.

Of each part `tests/test_conformance.py` has the same.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import pytest
import torch
from composing import composed
from torch import Tensor, nn

from aeexp import schedulers
from aeexp.conditions import Unconditional
from aeexp.contracts import Noise
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.latents import Deterministic
from aeexp.likelihoods import Gaussian
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.models.nn.mlp import mlp
from aeexp.noises import Chain
from aeexp.noises import Gaussian as GaussianNoise
from aeexp.objectives import Additive
from aeexp.reference import options
from aeexp.runs.config import check, make
from aeexp.tasks import Reconstruct
from aeexp.testing.stacking import ADAM_WAY, WAY, check_stacking, compare_progress
from aeexp.testing.toy import make_pictures, stop_after
from aeexp.trainers.checkpoint import Progress, Store
from aeexp.trainers.contracts import Tracker, Training
from aeexp.trainers.joint import Joint
from aeexp.trainers.stacking import fit_together
from aeexp.trainers.stacking.draws import make_generators
from aeexp.trainers.stacking.stack import Stack, make_skeleton
from aeexp.trainers.window import Diverged

DATA = make_pictures()
TRAINER = {"steps": 6, "batch_size": 8, "validate_every_steps": 2, "log_every_steps": 1}


def build(seed: int, noise: Noise | None = None) -> Learner:
    torch.manual_seed(seed)
    encoder, decoder = mlp((1, 8, 8), 4, 4, 0, hidden_dims=[12], activation="tanh")
    model = Autoencoder(encoder, Deterministic(4), decoder, Gaussian(), Unconditional())
    return Learner(Reconstruct(), model, Additive(Chain({"noise": noise or GaussianNoise(0.3)}), {}))


def training(seed: int, *, rate: float = 1e-2, store: Store | None = None, track: Tracker | None = None,
             learner: Learner | None = None, **given) -> Training:  # fmt: skip
    maker = functools.partial(torch.optim.SGD, lr=rate, momentum=0.9)
    return Training(Joint(**{**TRAINER, **given}), learner or build(seed), DATA, maker, schedulers.constant,
                    store or Store(None, {}), track or Tracker(), seed)  # fmt: skip


def fit(trainings: list[Training], stop=lambda: False, most: int = 64, most_bytes: float = math.inf):
    said: list[tuple[list[int], str]] = []
    outcomes = fit_together(trainings, stop, lambda places, why: said.append((list(places), why)), most_bytes, most)
    return outcomes, said


def is_alone(training: Training, outcome) -> None:
    """The outcome is that of the run by itself."""
    compare_progress(outcome, training.fit())


@pytest.mark.parametrize("name", options.list_groups()["optimizer"])
def test_every_optimizer_moves_the_runs_of_a_stack_as_alone_or_says_why_not(name):
    makers = []
    for times in (1.0, 1.5):
        cfg = composed(f"optimizer={name}")
        cfg.optimizer.lr *= times
        check(cfg)
        makers.append(make(cfg, "optimizer"))
    reason = check_stacking(build, DATA, optimizers=makers, way=WAY if name == "sgd" else ADAM_WAY)
    assert reason == ("LBFGS is not known to move each number by its own gradient alone" if name == "lbfgs" else "")


@pytest.mark.parametrize("name", options.list_groups()["scheduler"])
def test_every_schedule_is_each_runs_own(name):
    cfg = composed(f"scheduler={name}")
    check(cfg)
    assert check_stacking(build, DATA, scheduler=make(cfg, "scheduler")) == ""


def test_a_plateau_of_one_run_lowers_its_own_rate_alone():
    plateau = functools.partial(schedulers.plateau, factor=0.1, patience=1)
    trainings = [training(seed, rate=rate)._replace(scheduler=plateau) for seed, rate in ((0, 1e-2), (1, 5.0))]
    rates = [[row["lr"] for row in outcome.history] for outcome in fit(trainings)[0]]
    assert len(set(rates[0])) == 1 < len(set(rates[1]))
    again = [training(seed, rate=rate)._replace(scheduler=plateau) for seed, rate in ((0, 1e-2), (1, 5.0))]
    assert [[row["lr"] for row in each.fit().history] for each in again] == rates


OFFERED = [
    {"accumulate": 2},
    {"labelled_batch_size": 4},
    {"clip_norm": 0.1},
    {"monitor": "reconstruction"},
    {"monitor": None},
]


@pytest.mark.parametrize("given", OFFERED, ids=str)
def test_what_the_loop_offers_it_offers_a_stack(given):
    assert check_stacking(build, DATA, trainer=Joint(**{**TRAINER, "clip_norm": 1.0, **given})) == ""


@pytest.mark.parametrize("name", options.list_groups()["trainer"])
def test_a_trainer_with_a_loop_of_its_own_says_so(name):
    cfg = composed(*options.read_option("trainer", name).requires, f"trainer={name}")
    check(cfg)
    trainings = [training(seed)._replace(trainer=make(cfg, "trainer")) for seed in range(2)]
    if name != "joint":
        outcomes, said = fit(trainings)
        assert outcomes == [None, None] and all("has a loop of its own" in why for _, why in said)


def test_runs_of_one_seed_see_the_same_noise_and_those_of_two_do_not():
    seen: dict[int, list[Tensor]] = {}

    class Follow(Tracker):
        def __init__(self, number: int):
            self.number = number

        def train(self, step, values, lr, split="train"):
            seen.setdefault(self.number, []).append(values["loss"])

    same = build(0)
    learners = [build(0), same, build(0)]
    fit([training(seed, learner=each, track=Follow(i), rate=1e-9)
         for i, (seed, each) in enumerate(zip((0, 0, 1), learners, strict=True))])  # fmt: skip
    assert seen[0] == seen[1] and not any(a == b for a, b in zip(seen[0], seen[2], strict=True))


class Coins(Noise):
    """Draws by a function whose numbers hang on its argument."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.bernoulli(torch.full_like(x, 0.5))


class Counting(Noise):
    """Keeps what is no tensor."""

    def __init__(self, level: float):
        super().__init__()
        self.strength = level

    def forward(self, x: Tensor) -> Tensor:
        return x * self.strength


class Grown(Noise):
    """Changes as it is used."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls


@pytest.mark.parametrize(("noises", "words"), [
    ([Coins(), Coins()], "draws by a function"),
    ([Counting(0.1), Counting(0.2)], "strength differs, which is no tensor"),
    ([Grown(), Grown()], "forward pass changes what it reads"),
])  # fmt: skip
def test_what_would_differ_is_refused_and_trained_alone(noises, words):
    outcomes, said = fit([training(seed, learner=build(seed, noise)) for seed, noise in enumerate(noises)])
    assert outcomes == [None, None] and any(words in why for _, why in said), said


@pytest.mark.parametrize("given", [{"precision": "bf16"}, {"compile": True}, {"channels_last": True}])
def test_runs_that_compute_their_steps_in_a_way_of_their_own_are_trained_alone(given):
    outcomes, said = fit([training(seed, **given) for seed in range(2)])
    assert outcomes == [None, None] and all("those of a run alone" in why for _, why in said)


class Deciding(Noise):
    """A weight of its own decides the way: no `if` over a stack."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight if self.weight > 0 else x


class Scaling(Noise):
    """A trained number of no dimension, of which an optimizer keeps numbers of no dimension."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.NAdam])
def test_what_an_optimizer_keeps_of_a_single_number_is_each_runs_own(kind, tmp_path):
    makers = [functools.partial(kind, lr=rate) for rate in (1e-3, 1e-3)]
    assert check_stacking(lambda seed: build(seed, Scaling()), DATA, optimizers=makers, way=ADAM_WAY) == ""

    def two(steps: int) -> list[Training]:
        trainings = []
        for seed, maker in enumerate(makers):
            store = Store(tmp_path / str(seed), {"run_id": "x"})
            if steps > 2:
                store.resume(tmp_path / str(seed), extends=True)
            trainings.append(training(seed, store=store, learner=build(seed, Scaling()), steps=steps)
                             ._replace(optimizer=maker))  # fmt: skip
        return trainings

    fit(two(2))
    for seed, outcome in enumerate(fit(two(4))[0]):
        alone = training(seed, learner=build(seed, Scaling()), steps=4)._replace(optimizer=makers[seed])
        is_alone(alone, outcome)


def test_gradients_lie_in_memory_as_what_they_move():
    learners = [build(seed) for seed in range(2)]
    stack = Stack(learners, make_skeleton(learners[0]))
    batch = next(iter(DATA["train"].batches(8)))
    terms = stack.forward(batch, False, make_generators([0, 1], DATA.device), torch.arange(2)).terms
    for gradient in torch.autograd.grad(terms.sum(), list(stack.parameters.values())):
        assert gradient.is_contiguous()


def test_a_stack_without_a_vmap_rule_is_refused():
    outcomes, said = fit([training(seed, learner=build(seed, Deciding())) for seed in range(2)])
    assert outcomes == [None, None] and "torch.vmap cannot run over it" in said[0][1]


def test_a_run_that_ends_early_leaves_the_others_as_they_are():
    def three() -> list[Training]:
        return [training(seed, rate=rate, patience=2, steps=12) for seed, rate in ((0, 1e-2), (1, 0.0), (2, 2e-2))]

    outcomes, said = fit(three())
    assert said == [([0, 1, 2], "")]
    assert outcomes[1].step == 6 < outcomes[0].step == 12  # the first of its validations is its best
    for one, outcome in zip(three(), outcomes, strict=True):
        is_alone(one, outcome)


def test_a_run_that_diverges_or_is_ended_leaves_the_others_as_they_are():
    class Ends(Tracker):
        def evaluation(self, progress: Progress) -> None:
            raise ValueError("enough")

    learners = [training(0), training(1, rate=1e30), training(2, track=Ends()), training(3)]
    outcomes, _ = fit(learners)
    assert isinstance(outcomes[1], Diverged) and str(outcomes[1]).startswith("the loss became")
    assert str(outcomes[2]) == "enough"
    for seed in (0, 3):
        is_alone(training(seed), outcomes[seed])


def test_a_stack_that_is_stopped_goes_on_together_alone_and_where_some_are_behind(tmp_path: Path):
    def prepare(name: str, seeds, **given) -> list[Training]:
        trainings = []
        for seed in seeds:
            store = Store(tmp_path / name / str(seed), {"run_id": str(seed)})
            if (tmp_path / name / str(seed) / "last.pt").is_file():
                store.resume(tmp_path / name / str(seed))
            trainings.append(training(seed, store=store, learner=build(seed if not store.resumed else 9), **given))
        return trainings

    whole = [each.fit() for each in prepare("whole", range(3))]
    outcomes, _ = fit(prepare("cut", range(3)), stop_after(3))
    assert all(isinstance(outcome, KeyboardInterrupt) for outcome in outcomes)
    with pytest.raises(KeyboardInterrupt):
        prepare("cut", [2])[0].fit(stop_after(1))  # one of them goes on alone, by one step
    mixed = prepare("cut", range(3))
    assert [each.store.resumed["progress"]["step"] for each in mixed] == [3, 3, 4]
    outcomes, said = fit(mixed)
    assert said == [([0, 1, 2], "")]
    for outcome, wanted, seed in zip(outcomes, whole, range(3), strict=True):
        compare_progress(outcome, wanted)
        states = [torch.load(tmp_path / name / str(seed) / "last.pt")["learner"] for name in ("cut", "whole")]
        for name, tensor in states[1].items():
            torch.testing.assert_close(states[0][name], tensor, rtol=1e-4, atol=1e-5)


def test_a_large_sweep_is_cut_by_number_and_by_memory():
    def five() -> list[Training]:
        return [training(seed) for seed in range(5)]

    wanted, said = fit(five())
    assert said == [([0, 1, 2, 3, 4], "")]
    outcomes, said = fit(five(), most=2)
    assert [places for places, _ in said] == [[0, 3], [1, 4], [2]]
    for outcome, other in zip(outcomes, wanted, strict=True):
        compare_progress(outcome, other)
    assert "more memory than they may" in fit(five(), most_bytes=10)[1][0][1]


def test_what_is_written_of_a_run_is_its_own_and_no_larger(tmp_path):
    stores = [Store(tmp_path / str(seed), {"run_id": "x"}) for seed in range(8)]
    fit([training(seed, store=store) for seed, store in enumerate(stores)])
    training(0, store=Store(tmp_path / "alone", {"run_id": "x"})).fit()
    sizes = {(tmp_path / name / "last.pt").stat().st_size for name in ("0", "7", "alone")}
    assert max(sizes) - min(sizes) < 1000


def test_what_is_written_in_the_middle_is_a_runs_own_and_no_larger(tmp_path):
    sizes: dict[str, list[int]] = {}

    class Weigh(Tracker):
        def __init__(self, name: str):
            self.name = name

        def evaluation(self, progress: Progress) -> None:
            sizes.setdefault(self.name, []).append((tmp_path / self.name / "last.pt").stat().st_size)

    def begin(seed: int, name: str) -> Training:
        return training(seed, store=Store(tmp_path / name, {"run_id": "x"}, every_seconds=0), track=Weigh(name))

    fit([begin(seed, str(seed)) for seed in range(8)])
    begin(0, "alone").fit()
    assert all(abs(a - b) < 1000 for name in ("0", "7") for a, b in zip(sizes[name], sizes["alone"], strict=True))


def test_frozen_parameters_stay_and_those_without_a_loss_have_no_state():
    def two() -> list[Training]:
        learners = [build(0), build(1)]
        for learner in learners:
            learner.register_parameter("idle", nn.Parameter(torch.ones(3)))
            learner.freeze([learner.model.encoder])
        return [training(seed, learner=learner) for seed, learner in enumerate(learners)]

    together = two()
    outcomes, said = fit(together)
    assert said == [([0, 1], "")]
    for one, other, outcome in zip(together, two(), outcomes, strict=True):
        before = {name: value.clone() for name, value in other.learner.state_dict().items() if "encoder" in name}
        is_alone(other, outcome)
        assert all(torch.equal(one.learner.state_dict()[name], value) for name, value in before.items())
        assert one.store.best is not None and other.store.best is not None
        assert one.store.best["optimizer"]["state"].keys() == other.store.best["optimizer"]["state"].keys()


def test_folds_of_as_many_rows_go_beside_each_other_and_others_say_why_not():
    generator = torch.Generator().manual_seed(5)
    rows = len(DATA["train"]), 12

    def draw(count: int) -> Split:
        return Split(Rows(torch.rand(count, 1, 8, 8, generator=generator).numpy()))

    folds = [Data(f"fold {i}", {**DATA.splits, "train": draw(rows[0]), "val": draw(rows[1])}) for i in range(2)]

    def three() -> list[Training]:
        return [training(seed)._replace(data=fold) for seed, fold in zip((0, 0, 1), [*folds, folds[0]], strict=True)]

    outcomes, said = fit(three())
    assert said == [([0, 1, 2], "")]
    for one, outcome in zip(three(), outcomes, strict=True):
        is_alone(one, outcome)
    fewer = Data("short", {**DATA.splits, "train": DATA["train"].sample(20)})
    _, said = fit([training(0), training(1)._replace(data=fewer)])
    assert said[1] == ([1], f"its data differ: 20 train rows beside {len(DATA['train'])}")

"""What a trainer offers a run, and what it is given: splits, partials, a place for its states, and a follower."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple, Protocol

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from aeexp.contracts import Examples
from aeexp.models.learner import Learner
from aeexp.trainers.checkpoint import Progress, Saved, Snapshot
from aeexp.trainers.ranks.group import ALONE, Group

MakeOptimizer = Callable[..., Optimizer]  # wants parameters, and may be given a rate: lr=
MakeScheduler = Callable[[Optimizer, int], LRScheduler]  # wants the optimizer and the number of steps


class Splits(Protocol):
    """Train and val, at least, by name."""

    def __getitem__(self, split: str, /) -> Examples: ...


class CheckpointStore(Protocol):
    """Where a trainer leaves its states, and finds that of the run to go on from."""

    @property
    def best(self) -> Saved | None:
        """The state that was kept last."""
        ...

    @property
    def resumed(self) -> Saved | None:
        """What to go on from; None for a fresh run."""
        ...

    @property
    def extends(self) -> bool:
        """Whether `resumed` is of a run that was to end earlier: schedules are those of the longer one."""
        ...

    def keep_best(self, state: Snapshot) -> None:
        """Remember this state as the best one so far."""
        ...

    def save(self, state: Snapshot, *, now: bool = False) -> None:
        """Write this state and the best one, now or where some time has passed since the last write."""
        ...


class Tracker:
    """Follows a run in training; as it is, it tells nobody."""

    def start(self, total: int, progress: Progress) -> None:
        """The loop begins: `total` steps, if nothing ends it early, of which those of `progress` are done."""

    def train(self, step: int, values: Mapping[str, float], lr: float, split: str = "train") -> None:
        """Means of loss and terms over the last steps; `split` is the head of the tags, layer_1/train in a stage."""

    def evaluation(self, progress: Progress) -> None:
        """A validation is done: the history's last two rows are those of training and validation. May raise to end
        the run."""

    def is_filmed(self, step: int, epoch: float) -> bool:
        """Whether `film` wants the learner as it is after this step, counted in its stage."""
        return False

    def film(self, step: int, epoch: float) -> None:
        """The learner stands where it is after this step: what is drawn of it later is kept."""

    def probe(self) -> Mapping[str, float]:
        """What a probe reads of the validation codes of the learner as it stands, by the keys of metrics.json."""
        return {}


class Trainer(ABC):
    """Brings a learner to its best state."""

    monitor: str = "loss"  # value of the validation split that says which state is best
    checkpoint_seconds: float = 10.0  # between two writes of the state: what a kill may cost
    steps_key: str = ""  # path of the number of steps, where it can be set
    probe_every_epochs: int | None = None  # between two calls of `Tracker.probe`; None: there are none
    takes_steps: ClassVar[bool] = True  # whether there is anything between beginning and end
    keeps_frozen: ClassVar[bool] = False  # whether parameters without gradient stay as they are
    starts_anew: ClassVar[bool] = False  # whether the weights that it begins with do not matter
    shares_batches: ClassVar[bool] = False  # whether several processes can take its steps together
    processes: int = 1  # that do so
    group: Group = ALONE  # which of them this is; set by whoever began them

    @abstractmethod
    def fit(
        self,
        learner: Learner,
        data: Splits,
        optimizer: MakeOptimizer,
        scheduler: MakeScheduler,
        store: CheckpointStore,
        track: Tracker,
        seed: int,
        stop: Callable[[], bool] = lambda: False,
    ) -> Progress:
        """Train; afterwards the learner holds the best state.

        Where `stop` answers true, the state is saved and KeyboardInterrupt raised. Raises `Diverged`.
        """


class Training(NamedTuple):
    """All that `fit` of a trainer wants: one run that is ready to be trained, alone or together with others."""

    trainer: Trainer
    learner: Learner
    data: Splits
    optimizer: MakeOptimizer
    scheduler: MakeScheduler
    store: CheckpointStore
    track: Tracker
    seed: int

    def fit(self, stop: Callable[[], bool] = lambda: False) -> Progress:
        """Train it alone, as `Trainer.fit` does."""
        return self.trainer.fit(*self[1:], stop)

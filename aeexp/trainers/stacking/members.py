"""A run in a stack, and the rows of all runs in their own orders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from aeexp.datasets.core.split import Split
from aeexp.trainers.beginning import begin
from aeexp.trainers.checkpoint import Progress
from aeexp.trainers.contracts import Training
from aeexp.trainers.joint import Joint
from aeexp.trainers.window import Window
from aeexp.types import ALL, Batch, Share

Outcome = Progress | BaseException  # what `fit` returned or raised


@final
class Member:
    """A run in a stack: what it brought, and where it stands."""

    def __init__(self, number: int, training: Training):
        self.number = number  # among the outcomes
        self.training = training
        assert isinstance(training.trainer, Joint)
        self.trainer = training.trainer
        self.total = self.trainer.count_steps(len(training.data["train"]))
        self.state = begin(training.learner, training.optimizer, training.scheduler, training.store, self.total)
        self.window = Window(self.state.progress)
        if training.store.extends:
            self.trainer.require_more(self.progress, self.total)
        training.track.start(self.total, self.progress)
        training.store.save(self.state, now=True)

    @property
    def progress(self) -> Progress:
        """The run's."""
        return self.state.progress

    def is_through(self) -> bool:
        """Whether the loop would end here if it were alone."""
        patience = self.trainer.patience
        return self.progress.step >= self.total or patience is not None and self.progress.waited >= patience

    def finish(self) -> Progress:
        """As `Joint.fit` ends."""
        self.training.store.save(self.state, now=True)
        if self.training.store.best is not None:
            self.training.learner.load_state_dict(self.training.store.best["learner"])
        return self.progress


@final
class Orders:
    """A split whose epochs are those of several seeds at once."""

    def __init__(self, split: Split, seeds: list[int]):
        self.split = split
        self.seeds = seeds
        self.shape, self.device, self.y = split.shape, split.device, split.y

    def __len__(self) -> int:
        return len(self.split)

    def batches(self, size: int, share: Share = ALL) -> Iterator[Batch]:
        """In their order, which is the same for all."""
        return self.split.batches(size, share)

    def epoch(self, seed: int, epoch: int, size: int, start: int = 0, share: Share = ALL) -> Iterator[Batch]:
        """(S, B, ...) of every field, of each of the seeds."""
        return self.split.epoch_of_each(self.seeds, epoch, size, start)

    def sample(self, rows: int, seed: int = 0) -> Split:
        """The split's."""
        return self.split.sample(rows, seed)

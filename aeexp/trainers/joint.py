"""The training loop: plain PyTorch, in the order in which things happen.

All randomness is a function of (seed, epoch) for the order of rows and of (seed, step) for noise, so a run that
goes on from a checkpoint repeats the undisturbed one bit for bit.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import ClassVar, final

from torch.optim.lr_scheduler import ReduceLROnPlateau

from aeexp.contracts import Examples
from aeexp.errors import UsageError
from aeexp.models.learner import Learner, average
from aeexp.randomness import mix
from aeexp.ranges import Count, NonNegative, Positive
from aeexp.trainers.arithmetic import Arithmetic, Forward, Precision
from aeexp.trainers.beginning import begin
from aeexp.trainers.checkpoint import Progress, State
from aeexp.trainers.contracts import CheckpointStore, MakeOptimizer, MakeScheduler, Splits, Tracker, Trainer
from aeexp.trainers.labelled import Labelled
from aeexp.trainers.ranks.trial import check_sharing
from aeexp.trainers.step import take_step
from aeexp.trainers.window import Diverged, Window, judge
from aeexp.types import ALL, Batch, Share

Measure = Callable[[Learner, Examples], dict[str, float]]  # loss and terms over a split, as `average` gives them
FEWEST = 4  # rows of a batch that stays large enough for a mean


@final
class Joint(Trainer):
    """Minimises the sum of all terms over the training split, all parameters at once.

    `steps` optimizer steps where it is set, else `epochs` passes. Validation takes the same objective with the
    same weights; kept is the state with the lowest validation `monitor` (loss or a term), under None the last.
    A batch holds `batch_size` rows, or as few (`FEWEST` at least) as give an epoch `min_steps_per_epoch` steps: few
    rows are trained as long as many. `accumulate` batches make one step. `labelled_batch_size` rows with a label join
    each batch, beyond the epoch's own rows, and rows are weighted so that each counts its share of the data
    (`Labelled`). `probe_every_epochs` measures metric=probe on the validation codes at the first validation after
    every so many epochs, and changes nothing else. `patience` counts validations without an improvement above
    `min_delta`. The state is written every `checkpoint_seconds`, where a validation or a log line is due, and at the
    end. `precision`, `compile` and `channels_last` say how a step is computed (`Arithmetic`); validation and
    evaluation are plain float32. `processes` share each batch (`ranks.Group`).
    """

    keeps_frozen: ClassVar[bool] = True
    shares_batches: ClassVar[bool] = True

    def __init__(
        self,
        *,
        epochs: Count = 30,
        steps: Count | None = None,
        batch_size: Count = 128,
        min_steps_per_epoch: Count = 1,
        accumulate: Count = 1,
        labelled_batch_size: Count | None = None,
        clip_norm: Positive | None = None,
        validate_every_epochs: Count = 1,
        validate_every_steps: Count | None = None,
        monitor: str | None = "loss",
        probe_every_epochs: Count | None = None,
        patience: Count | None = None,
        min_delta: NonNegative = 0.0,
        log_every_steps: Count = 50,
        checkpoint_seconds: NonNegative = 10.0,
        precision: Precision = "float32",
        compile: bool = False,
        channels_last: bool = False,
        processes: Count = 1,
    ):
        self.steps_key = "trainer.steps"
        self.epochs = epochs
        self.steps = steps
        self.batch_size = batch_size
        self.min_steps_per_epoch = min_steps_per_epoch
        self.accumulate = accumulate
        self.labelled_batch_size = labelled_batch_size
        self.clip_norm = clip_norm
        self.validate_every_epochs = validate_every_epochs
        self.validate_every_steps = validate_every_steps
        self.monitor, self.keeps_last = monitor or "loss", monitor is None
        self.probe_every_epochs = probe_every_epochs
        self.patience = patience
        self.min_delta = min_delta
        self.log_every_steps = log_every_steps
        self.checkpoint_seconds = checkpoint_seconds
        self.arithmetic = Arithmetic(precision, compile, channels_last)
        self.processes = processes

    def fit(
        self, learner: Learner, data: Splits, optimizer: MakeOptimizer, scheduler: MakeScheduler,
        store: CheckpointStore, track: Tracker, seed: int, stop: Callable[[], bool] = lambda: False,
    ) -> Progress:  # fmt: skip
        """Train; afterwards the learner holds the best state.

        `optimizer` and `scheduler` are partials that want parameters, and optimizer and steps. Where `stop`
        answers true, the state is saved and KeyboardInterrupt raised. Raises `Diverged`.
        """
        train = data["train"]
        total = self.count_steps(len(train))
        labelled = None if self.labelled_batch_size is None else Labelled(train, self.labelled_batch_size, seed)

        def example() -> Batch:
            return next(self.feed(train, labelled, seed, 0))[0]

        state = begin(learner, optimizer, scheduler, store, total)
        if self.group.size > 1:
            if self.arithmetic.compiled:
                raise UsageError("trainer.compile=true: not with several processes: take trainer.compile=false")
            steps = state.progress.step, max(state.progress.step, total - 1)
            check_sharing(learner, train, self.choose_batch_size(len(train)), steps, self.group.size, seed)
            self.group.require_alike(learner, state.progress.step)
        with self.arithmetic.prepare(learner, train.device, example, total) as forward:
            forward = self.group.share(forward, whole=learner.observes)
            self._take_steps(state, data, labelled, forward, store, track, seed, stop)
        if store.best is not None:
            learner.load_state_dict(store.best["learner"])
        return state.progress

    def _take_steps(
        self, state: State, data: Splits, labelled: Labelled | None, forward: Forward, store: CheckpointStore,
        track: Tracker, seed: int, stop: Callable[[], bool],
    ) -> None:  # fmt: skip
        """From where the state stands to the end; the last one is saved."""
        train, learner = data["train"], state.learner
        total = self.count_steps(len(train))
        progress, window = state.progress, Window(state.progress)
        if store.extends:
            self.require_more(progress, total)
        began = time.perf_counter() - progress.seconds
        track.start(total, progress)
        store.save(state, now=True)
        feed = self.feed(train, labelled, seed, progress.step, ALL if labelled or learner.observes else self.group.part)
        while progress.step < total and (self.patience is None or progress.waited < self.patience):
            learner.before_step(train, progress.step)
            batches = next(feed)
            names, terms = take_step(
                learner, state.optimizer, batches, mix(seed, progress.step), forward, self.clip_norm, self.group
            )
            self.check_monitor(names)
            window.add(names, terms)
            if not isinstance(state.scheduler, ReduceLROnPlateau):
                state.scheduler.step()
            progress.step += 1
            progress.samples += sum(batch.rows for batch in batches)
            progress.seconds = time.perf_counter() - began
            self.report(state, data, window, store, track, self.group.measure)
            if self.group.agree(stop()):
                window.read()
                store.save(state, now=True)
                raise KeyboardInterrupt
        store.save(state, now=True)

    def check_monitor(self, names: list[str]) -> None:
        """Raises UsageError where what is monitored is neither the loss nor one of these terms."""
        if self.monitor not in ("loss", *names):
            raise UsageError(
                f"trainer.monitor={self.monitor} is none of the terms: take one of {', '.join(['loss', *names])}"
            )

    def require_more(self, progress: Progress, total: int) -> None:
        """Raises UsageError where the run to go on from would take no further step."""
        keys = self.steps_key.removesuffix("steps")
        if progress.step >= total:
            given = f"{keys}epochs={self.epochs}" if self.steps is None else f"{keys}steps={self.steps}"
            raise UsageError(f"{given}: the run to go on from has taken {progress.step} steps already: give more")
        if self.patience is not None and progress.waited >= self.patience:
            raise UsageError(
                f"{keys}patience={self.patience}: the run to go on from ended by it at step {progress.step}, after "
                f"{progress.waited} validations without a better one: give more of it, or null"
            )

    def count_steps(self, rows: int) -> int:
        """Optimizer steps on so many training rows, if patience does not end them."""
        return self.steps or self.epochs * self._steps_per_epoch(rows)

    def choose_batch_size(self, rows: int) -> int:
        """Rows of a batch where there are so many to train on."""
        if self.min_steps_per_epoch == 1:
            return self.batch_size
        most = (math.ceil(rows / (self.min_steps_per_epoch - 1)) - 1) // self.accumulate
        return min(self.batch_size, max(FEWEST, most))

    def _steps_per_epoch(self, rows: int) -> int:
        return math.ceil(rows / (self.choose_batch_size(rows) * self.accumulate))

    def feed(self, train: Examples, labelled: Labelled | None, seed: int, step: int,
             share: Share = ALL) -> Iterator[list[Batch]]:  # fmt: skip
        """The batches of each step, from `step` on and without end; of each the rows of a share."""
        per_epoch, size = self._steps_per_epoch(len(train)), self.choose_batch_size(len(train))
        for epoch in itertools.count(step // per_epoch):
            first = max(step, epoch * per_epoch)
            batches = train.epoch(seed, epoch, size, (first - epoch * per_epoch) * self.accumulate, share)
            for now in range(first, (epoch + 1) * per_epoch):
                several = list(itertools.islice(batches, self.accumulate))
                if labelled is not None:
                    number = now * self.accumulate
                    several = [labelled.join(batch, number + i, epoch) for i, batch in enumerate(several)]
                yield several

    def is_validated(self, step: int, rows: int) -> bool:
        """Whether a validation follows this step, of so many training rows."""
        every = self.validate_every_steps or self.validate_every_epochs * self._steps_per_epoch(rows)
        return step % every == 0 or step == self.count_steps(rows)

    def is_filmed(self, step: int, rows: int, track: Tracker) -> bool:
        """Whether a frame follows this step, of so many training rows."""
        return track.is_filmed(step, step / self._steps_per_epoch(rows))

    def is_probed(self, progress: Progress, epoch: float) -> bool:
        """Whether codes are probed at this validation: the first one after every so many epochs."""
        every, before = self.probe_every_epochs, progress.history[-1]["epoch"] if progress.history else 0.0
        return every is not None and epoch // every > before // every

    def report(
        self, state: State, data: Splits, window: Window, store: CheckpointStore, track: Tracker,
        measure: Measure = average,
    ) -> None:  # fmt: skip
        """After a step: log, validate by `measure` and save where it is time."""
        progress, rows = state.progress, len(data["train"])
        validate, epoch = self.is_validated(progress.step, rows), progress.step / self._steps_per_epoch(rows)
        if validate or progress.step % self.log_every_steps == 0:
            readings = state.learner.readings()
            rate = state.optimizer.param_groups[0]["lr"]
            track.train(progress.step, {**window.read(), **readings}, rate)
            if validate:
                self.validate(state, data, {**window.restart(), **readings}, store, track, measure)
            store.save(state)
        if track.is_filmed(progress.step, epoch):
            track.film(progress.step, epoch)

    def validate(
        self, state: State, data: Splits, trained: dict[str, float], store: CheckpointStore, track: Tracker,
        measure: Measure = average,
    ) -> None:  # fmt: skip
        """Measure, write the history's two rows, keep the state if it is the best so far.

        `trained` has the means of the training terms since the last validation, and the readings.
        """
        progress = state.progress
        values = measure(state.learner, data["val"])
        if not math.isfinite(values["loss"]):
            raise Diverged(f"the validation loss became {values['loss']} at step {progress.step}")
        epoch = progress.step / self._steps_per_epoch(len(data["train"]))
        lr = state.optimizer.param_groups[0]["lr"]
        probed = track.probe() if self.is_probed(progress, epoch) else {}
        for split, terms in (("train", trained), ("val", {**values, **probed})):
            progress.history.append({"step": progress.step, "epoch": epoch, "split": split, "lr": lr, **terms})
        if isinstance(state.scheduler, ReduceLROnPlateau):
            state.scheduler.step(values[self.monitor])
        if judge(progress, values[self.monitor], self.min_delta, epoch, last=self.keeps_last):
            store.keep_best(state)
        track.evaluation(progress)

"""The loop over a stack: every run has its own order of rows, noise, schedule, early end and best state."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import final

import torch
from torch import Tensor

from aeexp.datasets.core.split import Split
from aeexp.models.learner import average
from aeexp.randomness import mix
from aeexp.trainers.checkpoint import Progress
from aeexp.trainers.contracts import Training
from aeexp.trainers.labelled import Labelled
from aeexp.trainers.stacking.blocks import Block, clip_rows, key_of
from aeexp.trainers.stacking.draws import adopt, make_generators
from aeexp.trainers.stacking.members import Member, Orders, Outcome
from aeexp.trainers.stacking.passes import join
from aeexp.trainers.stacking.stack import Stack, Step, make_skeleton
from aeexp.types import Batch


@final
class Fitting:
    """Trains runs that are alike. A run that ends, whatever its end, leaves the others as they are.

    Those that are behind, as after a kill, catch up first: a stack has its runs at the same step.
    """

    def __init__(self, trainings: dict[int, Training], unused: Sequence[str], stop: Callable[[], bool]):
        self.trainings = trainings
        self.unused = unused
        self.stop = stop
        self.skeleton = make_skeleton(next(iter(trainings.values())).learner)
        self.outcomes: dict[int, Outcome] = {}
        self.live: list[Member] = []
        self.group: list[Member] = []
        self.keys: dict[int, str] = {}
        self._clock = time.perf_counter()

    def run(self) -> dict[int, Outcome]:
        """What became of each, by its number."""
        for number, training in self.trainings.items():
            try:
                self.live.append(Member(number, training))
            except Exception as error:  # its own alone, as in a sweep without stacks
                self.outcomes[number] = error
        try:
            while self._leave():
                step = min(member.progress.step for member in self.live)
                group = [member for member in self.live if member.progress.step == step]
                if {member.number for member in group} != {member.number for member in self.group}:
                    self._put_together(group)
                self._advance()
                if self.stop():
                    self._interrupt()
        except Exception as error:  # of all of them: what none of them can go on from
            self.outcomes |= {member.number: error for member in self.live}
        return self.outcomes

    def _leave(self) -> bool:
        """Whether any is left, once those that are through have gone."""
        through = [member for member in self.live if member.is_through()]
        if through:
            self._take_apart()
        for member in through:
            self._guard(member, member.finish)
        return bool(self.live)

    def _guard(self, member: Member, act: Callable[[], Progress | None]) -> None:
        """Do something for one run; what it raises, or a result that it gives, is its end."""
        try:
            result = act()
        except Exception as error:  # Diverged, Pruned, a full disk: the others go on
            result = error
        if result is not None:
            self.outcomes[member.number] = result
            self.live.remove(member)

    def _put_together(self, group: list[Member]) -> None:
        self._take_apart()
        keys = {member.number: key_of(member.training, member.state) for member in group}
        self.group = sorted(group, key=lambda member: keys[member.number])
        self.stack = Stack([member.training.learner for member in self.group], self.skeleton, self.unused)
        self.blocks, start = [], 0
        for _, several in groupby(self.group, key=lambda member: keys[member.number]):
            members = list(several)
            rows = slice(start, start := start + len(members))
            given = [member.training for member in members], [member.state for member in members]
            self.blocks.append(Block(self.stack, rows, *given, members[0].total))
        step, train = self.group[0].progress.step, self.group[0].training.data["train"]
        # runs of one seed see the same rows in the same order, and draw the same, if they are trained on the same data
        sources = {(id(member.training.data), member.training.seed): member.training for member in self.group}
        self.sources = list(sources.values())
        self.feed = self._feed(step)
        order = list(sources)
        places = [order.index((id(member.training.data), member.training.seed)) for member in self.group]
        self.in_order = places == list(range(len(order)))
        self.which = torch.tensor(places, device=train.device)
        first = self.group[0].training.learner
        self.surveys, self.observes = first.surveys, first.observes
        self.stack.lend()  # what parts do beside the gradient, and what is read of a run, is in the stack itself
        self._set_mode()

    def _set_mode(self) -> None:
        """As after a step, since readings may ask for it, or where parts look at the training set before each, for
        that: to walk all modules of all runs twice a step takes longer than the step."""
        for member in self.group:
            member.training.learner.train(self.observes or not self.surveys)

    def _feed(self, step: int) -> Iterator[list[Batch]]:
        """The batches of each step, every field with the sources in front."""
        trainer = self.group[0].trainer
        given = [(each.data["train"], each.seed) for each in self.sources]
        train, size = given[0][0], trainer.labelled_batch_size
        if size is None and isinstance(train, Split) and all(other is train for other, _ in given):
            return trainer.feed(Orders(train, [seed for _, seed in given]), None, 0, step)
        feeds = [
            trainer.feed(train, size if size is None else Labelled(train, size, seed), seed, step)
            for train, seed in given
        ]
        return ([join(batches) for batches in zip(*several, strict=True)] for several in zip(*feeds, strict=True))

    def _take_apart(self) -> None:
        """Each run has its own numbers again."""
        for row in range(len(self.group)):
            self.stack.give_back(row)
        for block in self.blocks if self.group else ():
            for place, member in enumerate(self.group[block.rows]):
                block.give_back(place, member.state)
        self.group = []

    def _advance(self) -> None:
        """One step of every run in the stack."""
        step, trainer = self.group[0].progress.step, self.group[0].trainer
        if self.surveys:
            for member in self.group:
                member.training.learner.before_step(member.training.data["train"], step)
        given = next(self.feed)
        generators = make_generators([mix(each.seed, step) for each in self.sources], self.stack.device)
        names, terms, gradients, steps = self._differentiate(given, generators)
        trainer.check_monitor(names)
        gradients = clip_rows(gradients, trainer.clip_norm)
        for block in self.blocks:
            block.step(gradients)
        if self.observes:
            self._observe(steps, generators)
        samples = sum(batch.x.shape[1] for batch in given)
        now = time.perf_counter()
        share, self._clock = (now - self._clock) / len(self.group), now
        for member, own in zip(self.group, terms.unbind(), strict=True):
            member.window.add(names, own)
            member.progress.step += 1
            member.progress.samples += samples
            member.progress.seconds += share
        rows, step = len(self.group[0].training.data["train"]), step + 1
        filmed = any(trainer.is_filmed(step, rows, member.training.track) for member in self.group)
        if filmed or trainer.is_validated(step, rows) or step % trainer.log_every_steps == 0:
            self._report(trainer.is_validated(step, rows))

    def _differentiate(
        self, given: list[Batch], generators: list[torch.Generator]
    ) -> tuple[list[str], Tensor, Sequence[Tensor], list[Step]]:
        """Names and means (K, T) of the terms, gradients (K, *shape), and the passes where parts observe them."""
        rows = sum(batch.x.shape[1] for batch in given)
        leaves = list(self.stack.parameters.values())
        names, terms, gradients, steps = [], [], [], []
        for batch in given:
            mine = batch.change(self._deal_out)
            step = self.stack.forward(mine, len(self.sources) > 1, generators, self.which, self.observes)
            values = step.terms * (batch.x.shape[1] / rows)
            gradients.append(torch.autograd.grad(values.sum(), leaves))
            terms.append(values.detach())
            names = step.names
            steps.append(step)
        summed = [functools.reduce(torch.add, parts) for parts in zip(*gradients, strict=True)]
        return names, sum(terms[1:], terms[0]), summed, steps

    def _deal_out(self, field: Tensor) -> Tensor:
        """Of a field with the sources in front each run's: (K, B, ...), or (B, ...) where all have the same."""
        if len(self.sources) == 1:
            return field[0]
        return field if self.in_order else field[self.which]

    def _observe(self, steps: list[Step], generators: list[torch.Generator]) -> None:
        """What parts draw there follows what the run's passes drew."""
        for row, (member, number) in enumerate(zip(self.group, self.which.tolist(), strict=True)):
            adopt(generators[number], self.stack.device)
            for step in steps:
                member.training.learner.observe(step.pass_of(row))

    def _report(self, validate: bool) -> None:
        """Log, validate and save, each run as alone."""
        values = self.stack.measure([member.training.data["val"] for member in self.group]) if validate else []
        group, blocks, rates = self.group, self.blocks, {}
        for block in blocks:
            for place, member in enumerate(group[block.rows]):
                block.lend(place, member.state)
                rates[member.number] = member.state.optimizer.param_groups[0]["lr"]
        for row, member in enumerate(group):
            training = member.training
            measure = average if not values else _give(values[row])
            if not training.learner.training:
                training.learner.train()
            self._guard(member, lambda m=member, t=training, by=measure: m.trainer.report(
                m.state, t.data, m.window, t.store, t.track, by))  # fmt: skip
        moved = any(m.state.optimizer.param_groups[0]["lr"] != rates[m.number] for m in group)
        if moved or any(member not in self.live for member in group):
            self._take_apart()
        else:  # a sketch may have left a learner in evaluation
            self._set_mode()
        self._clock = time.perf_counter()

    def _interrupt(self) -> None:
        """Save what every run has. Each of them ends with KeyboardInterrupt."""
        self._take_apart()
        for member in list(self.live):

            def save(member: Member = member) -> None:
                member.window.read()
                member.training.store.save(member.state, now=True)

            self._guard(member, save)
        self.outcomes |= {member.number: KeyboardInterrupt() for member in self.live}
        self.live = []


def _give(values: dict[str, float]) -> Callable[..., dict[str, float]]:
    return lambda learner, split: values

"""The learners of several runs as one: one forward pass, one backward pass, one validation for all."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.contracts import Examples
from aeexp.models.learner import VALUES, Learner, choose_batch_size, means
from aeexp.trainers.stacking.draws import Draws, Untouched
from aeexp.trainers.stacking.passes import Rebuild, join, take_apart
from aeexp.types import Batch, Pass

Slot = tuple[dict[str, Any], str]  # of a module's parameters or buffers, and the name there
WIDE = 4 * VALUES  # of rows times runs that are evaluated at a time


class Unstackable(RuntimeError):
    """Why these runs cannot be one, found by trying."""


class Step(NamedTuple):
    """What a forward pass of all runs gave."""

    names: list[str]  # of the terms
    terms: Tensor  # (K, T) their means over the rows
    tensors: tuple[Tensor, ...]  # of the passes, each with the runs in front; () unless asked for
    rebuild: Rebuild | None

    def pass_of(self, row: int) -> Pass:
        """That of one run."""
        if self.rebuild is None:
            raise RuntimeError("no passes were asked for")
        return self.rebuild([tensor[row] for tensor in self.tensors])


@final
class Stack:
    """K learners alike: each of their tensors lies with the runs in front, (K, *shape), and is lent to its learner:
    what changes one changes the other. `parameters` are those that are trained, `rest` all others.

    Plain autograd goes round `torch.vmap`, which turns the linear layers of all runs into one `bmm`: a `grad` inside
    would cost more than the products of a small net. `unused` are parameters that no loss reads.
    """

    def __init__(self, learners: Sequence[Learner], skeleton: Learner, unused: Sequence[str] = ()):
        self.learners = list(learners)
        self.skeleton = skeleton
        self.device = next(learners[0].parameters()).device
        given = [dict(learner.named_parameters()) for learner in learners]
        moved = [name for name, p in given[0].items() if p.requires_grad and name not in unused]
        self._tensors = [own | dict(learner.named_buffers()) for own, learner in zip(given, learners, strict=True)]
        together = {name: torch.stack([own[name].detach() for own in self._tensors]) for name in self._tensors[0]}
        self.parameters = {name: together[name].requires_grad_() for name in moved}
        self.rest = {name: tensor for name, tensor in together.items() if name not in self.parameters}
        self.moved = [[own[name] for name in moved] for own in given]
        self._slots = find_slots(learners[0], skeleton)
        self._draws: bool | None = None  # whether a forward pass draws; None: not yet known

    def lend(self) -> None:
        """From now on the tensors of each learner are its own part of the stack."""
        for row, tensors in enumerate(self._tensors):
            for name, tensor in tensors.items():
                tensor.data = self._find(name)[row]

    def give_back(self, row: int) -> None:
        """The tensors of one learner are its own again, as they stand now."""
        for name, tensor in self._tensors[row].items():
            tensor.data = self._find(name)[row].clone(memory_format=torch.contiguous_format)

    def _find(self, name: str, detached: bool = True) -> Tensor:
        tensor = self.parameters[name] if name in self.parameters else self.rest[name]
        return tensor.detach() if detached else tensor

    @contextmanager
    def _filled(self, tensors: Sequence[Tensor]) -> Iterator[None]:
        """Inside, the skeleton has these, in the order of its slots: `functional_call` finds its way anew each time,
        which takes a fifth of a small net's step."""
        places = [place for several in self._slots.values() for place in several]
        before = [own[key] for own, key in places]
        try:
            for several, tensor in zip(self._slots.values(), tensors, strict=True):
                for own, key in several:
                    own[key] = tensor
            yield
        finally:
            for (own, key), tensor in zip(places, before, strict=True):
                own[key] = tensor

    def forward(
        self, batch: Batch, own: bool, generators: Sequence[torch.Generator], which: Tensor, passes: bool = False
    ) -> Step:
        """One pass in training mode. `own`: the fields of the batch have the runs in front, else all see the same rows.
        `which` (K,) is each run's generator. Raises `Unstackable`."""
        self.skeleton.train()
        if self._draws is False:
            untouched = Untouched(self.device)
            step = self._vectorise(batch, own, None, which, passes)
            if untouched.holds():
                return step
            self._draws = True  # it did not before; nothing has changed since
        untouched = Untouched(self.device)
        step = self._vectorise(batch, own, generators, which, passes)
        if not untouched.holds():
            raise Unstackable("it draws by a function whose numbers cannot be told apart by run")
        return step

    def _vectorise(
        self, batch: Batch, own: bool, generators: Sequence[torch.Generator] | None, which: Tensor, passes: bool
    ) -> Step:
        names: list[str] = []
        rebuilt: list[Rebuild] = []
        fields, build = take_apart(batch)
        own_tensors = [self._find(name, detached=False) for name in self._slots]

        def run_one(tensors: list[Tensor], given: list[Tensor], run: Tensor) -> Any:
            rows = build(given)
            with ExitStack() as stack:
                stack.enter_context(self._filled(tensors))
                draws = None if generators is None else stack.enter_context(Draws(generators, run))
                terms, out = self.skeleton(rows)
            if draws is not None:
                self._draws = bool(self._draws) or draws.used
            names[:] = terms
            tensors, rebuild = take_apart(out) if passes else ([], None)
            rebuilt[:] = [rebuild] if rebuild is not None else []
            return means(terms, rows.weight), tuple(tensor.detach() for tensor in tensors)

        mapped = torch.vmap(run_one, in_dims=(0, 0 if own else None, 0), randomness="same")
        values, tensors = _explain(lambda: mapped(own_tensors, fields, which))
        return Step(names, values, tensors, rebuilt[0] if rebuilt else None)

    @torch.no_grad()
    def measure(self, splits: Sequence[Examples]) -> list[dict[str, float]]:
        """`learner.average` of each run on its split, which has as many rows as the others."""
        self.skeleton.eval()
        split = splits[0]
        rows = max(1, choose_batch_size(split.shape) // self.skeleton.objective.copies)
        most = max(1, WIDE // (rows * math.prod(split.shape)))
        parts = [self._measure(splits, rows, slice(i, i + most)) for i in range(0, len(self.learners), most)]
        names = parts[0][0]
        values = (torch.cat([part for _, part in parts]) / len(split)).tolist()
        return [{"loss": sum(each), **dict(zip(names, each, strict=True))} for each in values]

    def _measure(self, splits: Sequence[Examples], rows: int, runs: slice) -> tuple[list[str], Tensor]:
        names: list[str] = []
        shared = all(split is splits[0] for split in splits)
        mine = [self._find(name)[runs] for name in self._slots]
        sums = []
        with torch.random.fork_rng():
            torch.manual_seed(0)  # as `average` has it: every run, every time
            several = splits[:1] if shared else splits[runs]
            for batches in zip(*(split.batches(rows) for split in several), strict=True):
                fields, build = take_apart(batches[0] if shared else join(batches))

                def run_one(tensors: list[Tensor], given: list[Tensor], build: Rebuild = build) -> Tensor:
                    with self._filled(tensors):
                        terms, _ = self.skeleton(build(given))
                    names[:] = terms
                    return means(terms)

                mapped = torch.vmap(run_one, in_dims=(0, None if shared else 0), randomness="same")
                sums.append(_explain(functools.partial(mapped, mine, fields)) * len(batches[0].x))
        return names, torch.stack(sums).cpu().double().sum(0)


def find_slots(learner: Learner, skeleton: Learner) -> dict[str, list[Slot]]:
    """Where the skeleton of a learner holds each of its tensors, by the first of its names: a tied one at several."""
    names: dict[int, str] = {}
    slots: dict[str, list[Slot]] = {}
    for path, module in learner.named_modules():
        twin = skeleton.get_submodule(path)
        for own, others in ((module._parameters, twin._parameters), (module._buffers, twin._buffers)):
            for key, tensor in own.items():
                if tensor is not None:
                    name = names.setdefault(id(tensor), f"{path}.{key}".strip("."))
                    slots.setdefault(name, []).append((others, key))
    return slots


def make_skeleton(learner: Learner) -> Learner:
    """What is called in place of each: without memory, so that nothing of one run stands for another."""
    skeleton = copy.deepcopy(learner).to("meta")
    for module in skeleton.modules():
        if type(module) is nn.Linear:
            module.forward = functools.partial(apply_linear, module)
    return skeleton


def apply_linear(layer: nn.Linear, input: Tensor) -> Tensor:
    """(B, inputs) to (B, outputs), which lie in memory as (outputs, B): so the gradient of the weight lies as the
    weight does, and is moved by as it comes. That of `F.linear` is a transpose, which would be copied at each step."""
    if input.dim() != 2:
        return F.linear(input, layer.weight, layer.bias)
    product = torch.mm(layer.weight, input.t())
    return (product if layer.bias is None else product + layer.bias[:, None]).t()


def _explain(call: Callable[[], Any]) -> Any:
    """What it gives. Raises `Unstackable` where `torch.vmap` has no rule."""
    try:
        return call()
    except (RuntimeError, NotImplementedError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise Unstackable(f"torch.vmap cannot run over it: {str(error).splitlines()[0]}") from error

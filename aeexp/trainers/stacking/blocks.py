"""The optimizers of a stack: runs whose numbers are the same are one block of rows, which a real one of torch moves."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from aeexp.trainers.checkpoint import State
from aeexp.trainers.contracts import Training
from aeexp.trainers.stacking.stack import Stack

COUNTS = {"step", "mu_product"}  # what torch's optimizers keep one of for a whole parameter (`alike.ELEMENTWISE`)


def key_of(training: Training, state: State) -> str:
    """Runs of one key move alike from here on: the same rates and momenta, at the same place of the same schedule."""
    scalars = {name: value for name, value in state.optimizer.param_groups[0].items() if name != "params"}
    counts = [
        {name: value for name, value in kept.items() if not _is_elementwise(name, value)}
        for kept in state.optimizer.state.values()
    ]
    return repr((training.optimizer, training.scheduler, scalars, counts, state.scheduler.state_dict()))


def _is_elementwise(name: str, value: Any) -> bool:
    return isinstance(value, Tensor) and name not in COUNTS


@final
class Block:
    """Some neighbouring rows of a stack with the optimizer and the schedule that they share.

    The numbers of `states` are taken over, and given back in the end.
    """

    def __init__(self, stack: Stack, rows: slice, trainings: Sequence[Training], states: Sequence[State], total: int):
        self.stack = stack
        self.rows = rows
        self.parameters = [tensor.detach()[rows].requires_grad_() for tensor in stack.parameters.values()]
        first, state = trainings[0], states[0]
        self.optimizer: Optimizer = first.optimizer(self.parameters)
        self.scheduler = None  # a plateau is found in validations, by each run's own
        if not isinstance(state.scheduler, ReduceLROnPlateau):
            self.scheduler = first.scheduler(self.optimizer, total)
            self.scheduler.load_state_dict(copy.deepcopy(state.scheduler.state_dict()))
        self.optimizer.param_groups[0] |= _list_scalars(state.optimizer)
        for parameter, several in zip(self.parameters, zip(*stack.moved[rows], strict=True), strict=True):
            kept = [each.optimizer.state.get(own, {}) for each, own in zip(states, several, strict=True)]
            if kept[0]:
                self.optimizer.state[parameter] = _collect(kept)

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Take one, by the gradients (K, *shape) of all runs."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient[self.rows].contiguous()  # torch's fused kernels go through memory as it lies
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()

    def lend(self, place: int, state: State) -> None:
        """Optimizer and schedule of the run at this place of the block stand where they would alone. Their tensors are
        parts of the block's."""
        for parameter, own in zip(self.parameters, self.stack.moved[self.rows][place], strict=True):
            kept = self.optimizer.state.get(parameter, {})
            state.optimizer.state[own] = {
                key: value[place] if _is_elementwise(key, value) else value for key, value in kept.items()
            }
        if self.scheduler is not None:
            state.optimizer.param_groups[0] |= _list_scalars(self.optimizer)
            state.scheduler.load_state_dict(copy.deepcopy(self.scheduler.state_dict()))

    def give_back(self, place: int, state: State) -> None:
        """The same, of tensors that are the run's own."""
        self.lend(place, state)
        for kept in state.optimizer.state.values():
            for key, value in kept.items():
                own = isinstance(value, Tensor)
                kept[key] = value.clone(memory_format=torch.contiguous_format) if own else copy.deepcopy(value)


def _collect(several: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the optimizers of several runs keep of one parameter, with the runs in front."""
    collected: dict[str, Any] = {}
    for name, value in several[0].items():
        if _is_elementwise(name, value):
            collected[name] = torch.stack([each[name] for each in several])
        else:  # alike in all of them (`key_of`)
            collected[name] = copy.deepcopy(value)
    return collected


def _list_scalars(optimizer: Optimizer) -> dict[str, Any]:
    return {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}


def clip_rows(gradients: Sequence[Tensor], most: float | None) -> list[Tensor]:
    """(K, *shape) gradients, of each run scaled down to this norm where they are longer, as `clip_grad_norm_` does."""
    if most is None:
        return list(gradients)
    norms = torch.stack([gradient.reshape(len(gradient), -1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    factors = (most / (norms + 1e-6)).clamp(max=1)
    return [gradient * factors.view(-1, *[1] * (gradient.dim() - 1)) for gradient in gradients]

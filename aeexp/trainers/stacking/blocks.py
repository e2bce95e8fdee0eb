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
from aeexp.trainers.stacking.stack import Stack, Unstackable


def key_of(training: Training, state: State) -> str:
    """Runs of one key move alike from here on: the same rates and momenta, at the same place of the same schedule."""
    scalars = {name: value for name, value in state.optimizer.param_groups[0].items() if name != "params"}
    counts = {name: value for name, value in _read_state(state).items() if not _is_elementwise(value)}
    return repr((training.optimizer, training.scheduler, scalars, counts, state.scheduler.state_dict()))


def _is_elementwise(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0


def _read_state(state: State) -> dict[str, Any]:
    """What the optimizer keeps of its first parameter; {} before the first step."""
    return next(iter(state.optimizer.state.values()), {})


@final
class Block:
    """Some neighbouring rows of a stack with the optimizer and the schedule that they share.

    The numbers of `states` are taken over, and given back by `hand_out`.
    """

    def __init__(self, stack: Stack, rows: slice, trainings: Sequence[Training], states: Sequence[State], total: int):
        self.stack = stack
        self.rows = rows
        self.parameter = stack.flat[rows].requires_grad_()
        first, state = trainings[0], states[0]
        self.optimizer: Optimizer = first.optimizer([self.parameter])
        self.scheduler = None  # a plateau is found in validations, by each run's own
        if not isinstance(state.scheduler, ReduceLROnPlateau):
            self.scheduler = first.scheduler(self.optimizer, total)
            self.scheduler.load_state_dict(copy.deepcopy(state.scheduler.state_dict()))
        self.optimizer.param_groups[0] |= _list_scalars(state.optimizer)
        if _read_state(state):
            self.optimizer.state[self.parameter] = self._collect(states)

    def _collect(self, states: Sequence[State]) -> dict[str, Any]:
        """State of the optimizers, (rows, N) of what each parameter has one of."""
        moved = self.stack.moved[self.rows]
        several = [
            [state.optimizer.state[parameter] for parameter in own] for state, own in zip(states, moved, strict=True)
        ]
        collected = {}
        for name, value in several[0][0].items():
            if _is_elementwise(value):
                rows = [torch.cat([each[name].flatten() for each in one]) for one in several]
                collected[name] = torch.stack(rows)
            elif len({repr(each[name]) for one in several for each in one}) > 1:
                raise Unstackable(f"its optimizer counts {name} apart for some parameters")
            else:
                collected[name] = copy.deepcopy(value)
        return collected

    def step(self, gradient: Tensor) -> None:
        """Take one, by the gradients (K, N) of all runs."""
        self.parameter.grad = gradient[self.rows]
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()

    def hand_out(self, place: int, state: State) -> None:
        """Bring optimizer and schedule of the run at this place of the block to where they would be alone."""
        kept: Mapping[str, Any] = self.optimizer.state.get(self.parameter, {})
        parts = {name: self.stack.view(value[place]) for name, value in kept.items() if _is_elementwise(value)}
        for name, parameter in zip(self.stack.sizes, self.stack.moved[self.rows][place], strict=True):
            state.optimizer.state[parameter] = {
                key: parts[key][name].clone(memory_format=torch.contiguous_format) if key in parts
                else copy.deepcopy(value)
                for key, value in kept.items()
            }  # fmt: skip
        if self.scheduler is not None:
            state.optimizer.param_groups[0] |= _list_scalars(self.optimizer)
            state.scheduler.load_state_dict(copy.deepcopy(self.scheduler.state_dict()))


def _list_scalars(optimizer: Optimizer) -> dict[str, Any]:
    return {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}


def clip_rows(gradient: Tensor, most: float | None) -> Tensor:
    """(K, N) gradients, each row scaled down to this norm where it is longer, as `clip_grad_norm_` does for a run."""
    if most is None:
        return gradient
    return gradient * (most / (gradient.norm(dim=1, keepdim=True) + 1e-6)).clamp(max=1)

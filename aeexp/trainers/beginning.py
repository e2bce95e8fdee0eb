"""The state that training starts from: a fresh one, or that of a run to go on from."""

from __future__ import annotations

import warnings

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from aeexp.errors import UsageError
from aeexp.models.learner import Learner
from aeexp.trainers.checkpoint import Progress, State
from aeexp.trainers.contracts import CheckpointStore, MakeOptimizer, MakeScheduler


def begin(
    learner: Learner, optimizer: MakeOptimizer, scheduler: MakeScheduler, store: CheckpointStore, total: int
) -> State:
    """The state that training starts from: fresh, or that of the run to go on from."""
    try:
        stepper = optimizer([parameter for parameter in learner.parameters() if parameter.requires_grad])
    except ValueError as error:  # torch checks rates and momenta itself
        raise UsageError(f"optimizer: {error}; change that value") from error
    state = State(learner, stepper, scheduler(stepper, total), Progress())
    if store.resumed:
        state.load(store.resumed)
        if store.extends and not isinstance(state.scheduler, ReduceLROnPlateau):
            reschedule(state, optimizer, scheduler, total)
    return state


def reschedule(state: State, optimizer: MakeOptimizer, scheduler: MakeScheduler, total: int) -> None:
    """Bring rate and schedule to where a run of `total` steps would have them by now: a checkpoint of a shorter run
    holds the length of its own, beyond which half a cosine would rise again."""
    stand_in = optimizer([torch.zeros(1, requires_grad=True)])
    schedule = scheduler(stand_in, total)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")  # the stand-in takes no steps
        for _ in range(state.progress.step):
            schedule.step()
    state.scheduler.load_state_dict(schedule.state_dict())
    for group, wanted in zip(state.optimizer.param_groups, stand_in.param_groups, strict=True):
        group |= {key: value for key, value in wanted.items() if key != "params"}

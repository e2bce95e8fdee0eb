"""One step of an optimizer."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from aeexp.errors import UsageError
from aeexp.models.learner import Learner
from aeexp.randomness import reseed
from aeexp.trainers.arithmetic import Forward, forward_of
from aeexp.trainers.ranks.group import ALONE, Group
from aeexp.types import Batch, Pass


def take_step(
    learner: Learner, optimizer: Optimizer, batches: list[Batch], noise_seed: int,
    forward: Forward | None = None, clip_norm: float | None = None, group: Group = ALONE,
) -> tuple[list[str], Tensor]:  # fmt: skip
    """One optimizer step on the mean over all rows; returns names and means (T,) of the terms, before the step.

    `forward` is the learner's own where it is None; `group` are the processes that take the step together.
    """
    forward = forward_of(learner) if forward is None else forward
    rows = sum(batch.rows for batch in batches)
    device = batches[0].x.device
    if not learner.training:  # to walk all modules takes a tenth of a small net's step
        learner.train()
    passes: list[Pass] = []
    evaluations: list[tuple[list[str], Tensor]] = []

    def closure() -> Any:  # torch's optimizers ask for a float: a tensor stays on the device
        # An optimizer may evaluate several times (L-BFGS): the same noise makes it one function.
        reseed(noise_seed, device)
        optimizer.zero_grad(set_to_none=True)
        names: list[str] = []
        parts: list[Tensor] = []
        passes.clear()
        for batch in batches:
            names, values, out = forward(batch)
            if len(batches) > 1:
                values = values * (batch.rows / rows)
            values.sum().backward()
            parts.append(values.detach())
            passes.append(out)
        total = functools.reduce(torch.add, parts)
        group.sum_step(learner.parameters(), total)
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(learner.parameters(), clip_norm)
        evaluations.append((names, total))
        return total.sum()

    optimizer.step(closure)
    if not evaluations:
        raise UsageError("optimizer: its step(closure) must call closure, which computes loss and gradients")
    for out in passes:
        learner.observe(out)
    return evaluations[0]

"""Whether a model's terms are means over rows, so that several processes can share a batch: tried before training."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from aeexp.errors import UsageError
from aeexp.models.learner import Learner
from aeexp.randomness import reseed
from aeexp.trainers.arithmetic import forward_of
from aeexp.trainers.ranks.group import Group
from aeexp.types import Batch

# Sums of shares are added in another order than the sum of a batch: 1e-12 of it in double precision, and more where a
# gradient jumps; float32 where there is no double. What reads the whole batch is off by some percent.
CLOSE = {torch.float64: 1e-6, torch.float32: 2e-2}


def require_rows(learner: Learner, batch: Batch, size: int, seed: int, key: str) -> None:
    """Raises UsageError where shares of this batch give other terms or gradients than the whole, and says which."""
    for kind in (torch.float64, torch.float32):
        try:
            whole, shared = (_run(learner, batch, count, seed, kind) for count in (1, size))
        except (RuntimeError, TypeError):
            if kind == torch.float32:
                raise
            continue
        wrong = [name for name in whole if not _is_near(whole[name], shared[name], CLOSE[kind])]
        if wrong:
            raise UsageError(
                f"{key}={size}: {wrong[0]} is made of a whole batch, not row by row, and processes share batches: take "
                f"{key}=1, or leave that part out"
            )
        return


def _run(learner: Learner, batch: Batch, size: int, seed: int, kind: torch.dtype) -> dict[str, Tensor]:
    """Terms by name, and behind them gradients, of a step by so many ranks."""
    terms: dict[str, Tensor] = {}
    with torch.random.fork_rng():
        copied = copy.deepcopy(learner).to(kind).train()
        rows = batch.change(lambda field: field.to(kind) if field.is_floating_point() else field)
        for rank in range(size):
            reseed(seed, batch.x.device)
            names, values, _ = Group(rank, size).share(forward_of(copied), whole=False)(rows)
            values.sum().backward()
            for name, value in zip(names, values.detach(), strict=True):
                terms[name] = terms.get(name, torch.zeros_like(value)) + value
    gradients = {name: p.grad for name, p in copied.named_parameters() if p.grad is not None}
    return {**terms, **{f"the gradient of {name}": gradient for name, gradient in gradients.items()}}


def _is_near(one: Tensor, other: Tensor, close: float) -> bool:
    if not bool(one.isfinite().all()):
        return True  # of a model that diverges, which training says
    return float((one - other).norm()) <= close * (float(one.norm()) + 1)

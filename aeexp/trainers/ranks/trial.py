"""Whether a model's terms are means over rows, so that several processes can share a batch: tried before training."""

from __future__ import annotations

import copy
from collections.abc import Collection
from contextlib import nullcontext
from typing import Any, final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from aeexp.contracts import Examples, Part
from aeexp.errors import UsageError
from aeexp.models.learner import Learner
from aeexp.randomness import mix, reseed
from aeexp.tensors import whole_mean, whole_rows
from aeexp.trainers.arithmetic import forward_of
from aeexp.trainers.ranks.group import Group
from aeexp.types import Batch

# Sums of shares are added in another order than the sum of a batch: 1e-12 of it in double precision, and more where a
# gradient jumps; float32 where there is no double. What reads the whole batch is off by some percent.
TINY = 1e-7  # of a gradient that is 0 but for rounding
CLOSE = {torch.float64: 1e-6, torch.float32: 2e-2}


KEY = "trainer.processes"


def check_sharing(
    learner: Learner, train: Examples, batch_size: int, steps: Collection[int], size: int, seed: int
) -> None:  # fmt: skip
    """Raises UsageError where so many processes cannot share the batches of a run: tried before these steps, with a
    whole batch and with the last of an epoch, which may be shorter."""
    for name, part in learner.named_modules():
        if isinstance(part, Part) and part.mixes_rows:
            refuse_sharing(name.rpartition(".")[2], size)
    batch = next(iter(train.batches(batch_size)))
    short = len(train) % len(batch.x) or len(batch.x)
    for step in set(steps):
        tried = copy.deepcopy(learner)
        with torch.random.fork_rng():
            tried.before_step(train, step)
        for rows in {len(batch.x), short}:
            require_rows(tried, batch.change(lambda field, rows=rows: field[:rows]), size, mix(seed, step))


def require_rows(learner: Learner, batch: Batch, size: int, seed: int) -> None:
    """Raises UsageError where shares of this batch give other terms or gradients than the whole, and says which."""
    for kind in (torch.float64, torch.float32):
        means: list[Tensor] = []
        try:
            whole, shared = (_run(learner, batch, count, seed, kind, means) for count in (1, size))
        except (RuntimeError, TypeError):
            if kind == torch.float32:
                raise
            continue
        wrong = [name for name in whole if not _is_near(whole[name], shared[name], CLOSE[kind])]
        if wrong:
            refuse_sharing(wrong[0], size)
        return


def refuse_sharing(name: str, size: int) -> None:
    """Raises UsageError on a term, or a gradient, of this name."""
    raise UsageError(
        f"{KEY}={size}: {name} is made of a whole batch, not row by row, and processes share batches: take {KEY}=1, or "
        "leave that part out"
    )


@final
class _NotingMeans(TorchFunctionMode):
    """Inside, what is to be the mean, or the rows, of a whole batch is noted."""

    def __init__(self, found: list[Tensor]):
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """torch's call for each of its functions."""
        result = func(*args, **(kwargs or {}))
        if func in (whole_mean, whole_rows):
            self.found.append(result.detach())
        return result


def _run(
    learner: Learner, batch: Batch, size: int, seed: int, kind: torch.dtype, means: list[Tensor]
) -> dict[str, Tensor]:
    """Terms by name, and behind them gradients, of a step by so many ranks, one after another. By one of them `means`
    is filled with those of the whole batch, which several have from each other."""
    terms: dict[str, Tensor] = {}
    with torch.random.fork_rng(), _NotingMeans(means) if size == 1 else nullcontext():
        copied = copy.deepcopy(learner).to(kind).train()
        rows = batch.change(lambda field: field.to(kind) if field.is_floating_point() else field)
        for rank in range(size):
            reseed(seed, batch.x.device)
            known = iter(means)
            group = Group(rank, size, add=lambda part, known=known: next(known))
            names, values, _ = group.share(forward_of(copied), whole=False)(rows)
            values.sum().backward()
            for name, value in zip(names, values.detach(), strict=True):
                terms[name] = terms.get(name, torch.zeros_like(value)) + value
    gradients = {name: p.grad for name, p in copied.named_parameters() if p.grad is not None}
    return {**terms, **{f"the gradient of {name}": gradient for name, gradient in gradients.items()}}


def _is_near(one: Tensor, other: Tensor, close: float) -> bool:
    if not bool(one.isfinite().all()):
        return True  # of a model that diverges, which training says
    return float((one - other).norm()) <= close * float(one.norm()) + TINY

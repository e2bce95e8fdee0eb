"""Task, model and objective as one module, and the means of its terms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aeexp.models.autoencoder import Autoencoder
from aeexp.types import Batch, Pass, Terms

VALUES = 2**22  # of rows that are evaluated at a time


class Learner(nn.Module):
    """Task, model and objective as one module: one state, one `functional_call`, one `vmap` over a stack."""

    def __init__(self, task: nn.Module, model: Autoencoder, objective: nn.Module):
        super().__init__()
        self.task = task
        self.model = model
        self.objective = objective
        self._observers = [part for part in self.modules() if hasattr(part, "observe") and part is not self]
        self._surveyors = [part for part in self.modules() if hasattr(part, "before_step") and part is not self]
        self._readers = [part for part in self.modules() if hasattr(part, "readings") and part is not self]

    def forward(self, batch: Batch) -> tuple[Terms, Pass]:
        return self.objective(self.model, self.task(batch))

    def context(self, batch: Batch) -> Tensor | None:
        """(B, C) side information after training: where the objective finds labels itself, by those, never the true."""
        inferred = getattr(self.objective, "inferred", None)
        return self.model.condition(batch if inferred is None else inferred(batch))

    @torch.no_grad()
    def observe(self, out: Pass) -> None:
        """After a step: parts that keep averages beside the gradient take this pass in."""
        for part in self._observers:
            part.observe(out)

    @torch.no_grad()
    def before_step(self, split, step: int) -> None:
        """Parts that need the whole training set may look at it, in evaluation mode."""
        if not self._surveyors:
            return
        was_training = self.training
        self.eval()
        for part in self._surveyors:
            part.before_step(self.model, split, step)
        self.train(was_training)

    @torch.no_grad()
    def readings(self) -> dict[str, float]:
        """What parts want logged beside the terms and is none of them: one transfer from the device."""
        found = {name: value for part in self._readers for name, value in part.readings().items()}
        return dict(zip(found, torch.stack([v.float() for v in found.values()]).tolist(), strict=True)) if found else {}


def means(terms: Terms) -> Tensor:
    """(T,) mean of each term over the rows, in the dict's order; their sum is the loss."""
    return torch.stack([term.mean() for term in terms.values()])


def at_once(shape: Sequence[int]) -> int:
    """Rows in one forward pass without gradient: of large pictures fewer, whose maps take far more than they do."""
    return max(1, min(1024, VALUES // math.prod(shape)))


@torch.no_grad()
def average(learner: Learner, split, rows: int | None = None) -> dict[str, float]:
    """Loss and each of its terms over a whole split, in evaluation mode: the training objective without noise.

    Terms that draw (Hutchinson's directions) draw the same at every call, and leave the generators as they were.
    """
    was_training = learner.training
    learner.eval()
    sums, names = [], []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for batch in split.batches(rows or max(1, at_once(split.shape) // getattr(learner.objective, "copies", 1))):
            terms, _ = learner(batch)
            names = list(terms)
            sums.append(means(terms) * len(batch.x))
    learner.train(was_training)
    values = (torch.stack(sums).cpu().double().sum(0) / len(split)).tolist()
    return {"loss": sum(values), **dict(zip(names, values, strict=True))}

"""Task, model and objective as one module, and the means of its terms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor, nn

from aeexp.contracts import Examples, Latent, Objective, Part, Task
from aeexp.models.autoencoder import Autoencoder
from aeexp.types import ALL, Batch, Pass, Share, Terms

VALUES = 2**22  # of rows that are evaluated at a time


@final
class Learner(nn.Module):
    """Task, model and objective as one module: one state, one `functional_call`, one `vmap` over a stack."""

    def __init__(self, task: Task, model: Autoencoder, objective: Objective):
        super().__init__()
        self.task = task
        self.model = model
        self.objective = objective
        parts = [part for part in self.modules() if isinstance(part, Part)]
        # those that do something at a hook
        self._observers = [part for part in parts if part.observing and type(part).observe is not Part.observe]
        self._beginners = [part for part in parts if type(part).begin is not Part.begin]
        self._surveyors = [part for part in parts if type(part).before_step is not Part.before_step]
        self._readers = [part for part in parts if type(part).readings is not Part.readings]
        self._frozen: list[nn.Module] = []

    def forward(self, batch: Batch) -> tuple[Terms, Pass]:
        """The objective's terms of a batch, and the pass that they were measured on."""
        return self.objective(self.model, self.task(batch))

    def keep(self, modules: Sequence[nn.Module]) -> None:
        """These modules have the weights of another run: no part of them begins anew."""
        held = {id(part) for module in modules for part in module.modules()}
        self._beginners = [part for part in self._beginners if id(part) not in held]

    def freeze(self, modules: Sequence[nn.Module]) -> None:
        """From now on these modules stay as they are: no gradient, no hook that moves a buffer, and of networks the
        evaluation mode, in which a norm keeps its averages and nothing is dropped out. A latent and an objective keep
        the mode of the learner, by which they know whether a code is to be drawn and noise to be added."""
        self._frozen = [module for module in modules if not isinstance(module, Latent | Objective)]
        held = {id(part) for module in modules for part in module.modules()}
        self._observers = [part for part in self._observers if id(part) not in held]
        self._surveyors = [part for part in self._surveyors if id(part) not in held]
        for module in modules:
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Learner:
        """As ever, but for what is frozen."""
        super().train(mode)
        for module in (module for frozen in self._frozen for module in frozen.modules()):
            # cuDNN derives nothing through a recurrent layer in evaluation mode; these drop nothing out
            module.training = mode and isinstance(module, nn.RNNBase)
        return self

    def context(self, batch: Batch) -> Tensor | None:
        """(B, C) side information after training: where the objective finds labels itself, by those, never the true."""
        return self.model.condition(self.objective.infer_labels(batch))

    @property
    def observes(self) -> bool:
        """Whether a part does anything in `observe`."""
        return bool(self._observers)

    @property
    def surveys(self) -> bool:
        """Whether a part does anything in `begin` or `before_step`."""
        return bool(self._beginners or self._surveyors)

    @torch.no_grad()
    def observe(self, out: Pass) -> None:
        """After a step: parts that keep averages beside the gradient take this pass in."""
        for part in self._observers:
            part.observe(out)

    @torch.no_grad()
    def before_step(self, split: Examples, step: int) -> None:
        """Parts that need the whole training set may look at it, in evaluation mode."""
        beginners = self._beginners if step == 0 else []
        if not beginners and not self._surveyors:
            return
        was_training = self.training
        if was_training:
            self.eval()
        for part in beginners:
            part.begin(self.model, split)
        for part in self._surveyors:
            part.before_step(self.model, split, step)
        if was_training:
            self.train()

    @torch.no_grad()
    def readings(self) -> dict[str, float]:
        """What parts want logged beside the terms and is none of them: one transfer from the device."""
        values = {name: value for part in self._readers for name, value in part.readings().items()}
        if not values:
            return {}
        return dict(zip(values, torch.stack([value.float() for value in values.values()]).tolist(), strict=True))


def means(terms: Terms, weight: Tensor | None = None) -> Tensor:
    """(T,) mean of each term over the rows, in the dict's order; their sum is the loss.

    `weight` (B,) is what a row counts, 1 on average (`Batch.weight`); a term of the whole batch is what it is.
    """
    if weight is not None:
        return torch.stack([(term * weight if term.dim() else term).mean() for term in terms.values()])
    return torch.stack([term.mean() for term in terms.values()])


def choose_batch_size(shape: Sequence[int]) -> int:
    """Rows in one forward pass without gradient: of large pictures fewer, whose maps take far more than they do."""
    return max(1, min(1024, VALUES // math.prod(shape)))


@final
class Means:
    """Loss and terms over batches that come one by one."""

    def __init__(self):
        self.rows = 0
        self._names: list[str] = []
        self._sums: list[Tensor] = []

    def add(self, terms: Terms | None, rows: int) -> None:
        """The terms of so many rows; None: nobody knows them, and the rows are not counted."""
        if terms is not None:
            self._names = list(terms)
            self._sums.append(means(terms) * rows)
            self.rows += rows

    def compute(self) -> dict[str, float]:
        """Means over all rows; their sum is the loss."""
        values = (torch.stack(self._sums).cpu().double().sum(0) / self.rows).tolist()
        return {"loss": sum(values), **dict(zip(self._names, values, strict=True))}


@torch.no_grad()
def average(
    learner: Learner, split: Examples, rows: int | None = None,
    forward: Callable[[Batch], tuple[Terms, Pass]] | None = None, share: Share = ALL,
) -> dict[str, float]:  # fmt: skip
    """Loss and each of its terms over a whole split, in evaluation mode: the training objective without noise.

    Terms that draw (Hutchinson's directions) draw the same at every call, and leave the generators as they were.
    `forward` gives the terms where the learner's own pass is not what is measured, and `share` the rows of each batch
    that it sees, of whose terms it gives what they are of the batch's means.
    """
    was_training = learner.training
    learner.eval()
    sums = Means()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for batch in split.batches(rows or max(1, choose_batch_size(split.shape) // learner.objective.copies), share):
            sums.add((forward or learner)(batch)[0], batch.rows)
    learner.train(was_training)
    return sums.compute()

"""One of the processes that train a model together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import final

import torch
from torch import Tensor, distributed

from aeexp.contracts import Examples
from aeexp.errors import UsageError
from aeexp.models.learner import Learner, average
from aeexp.trainers.arithmetic import Forward, forward_of
from aeexp.trainers.ranks.draws import Add, ShareOfDraws
from aeexp.types import Batch, Pass, Share, Terms


def add_over_ranks(part: Tensor) -> Tensor:
    """Of each process's part the sum; all call it with what is of one shape."""
    whole = part.clone()
    distributed.all_reduce(whole)
    return whole


@final
class Group:
    """Process `rank` of `size`, with what it does together with the others; of one process nothing is left to do.

    Batches are those of one process. A rank takes its share of the rows of each, with the noise that they would have
    there; gradients and terms are summed, so that all take the same step, and so are the means that a term is a
    function of. Parts that keep averages beside the gradient see the whole batch.
    """

    def __init__(self, rank: int = 0, size: int = 1, add: Add = add_over_ranks):
        self.rank = rank
        self.size = size
        self.part = Share(rank, size)  # of each batch, which a split reads alone
        self.add = add
        self._told = False  # this process to end
        self._agreed = False  # any of them, by the last step's sum

    def find_share(self, rows: int) -> tuple[int, int]:
        """Of so many rows this rank's first, and the one behind its last; the first ranks have one row more."""
        return self.part.find(rows)

    def share(self, forward: Forward, whole: bool) -> Forward:
        """A forward pass of this rank's rows of batches: the sum of its terms over the ranks is their mean over the
        batch. It takes them of a whole batch, or gets them alone (`Batch.whole`). With `whole` its pass is that of all
        rows, without gradient, and batches are whole."""
        if self.size == 1:
            return forward

        def run(batch: Batch) -> tuple[list[str], Tensor, Pass]:
            rows = batch.rows
            first, last = self.find_share(rows)
            before = _read_generators(batch.x.device) if whole else []
            taken = self.part.take(rows)
            mine = batch if batch.whole else batch.change(lambda field: field[taken[0] : taken[1]])
            with ShareOfDraws(rows, *taken, (last - first) / rows, self.add):
                names, values, out = forward(mine)
            if whole:
                _set_generators(batch.x.device, before)
                with torch.no_grad():
                    out = forward(batch)[2]
            return names, values * ((last - first) / rows), out

        return run

    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Over all ranks, in place."""
        if self.size == 1:
            return
        parts = list(tensors)
        flat = torch.cat([part.reshape(-1).to(parts[0].dtype) for part in parts])
        distributed.all_reduce(flat)
        for part, summed in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
            part.copy_(summed.view_as(part))

    def sum_step(self, parameters: Iterable[Tensor], terms: Tensor) -> None:
        """Gradients and terms of a step: a parameter that one rank had no use for counts 0 there."""
        if self.size == 1:
            return
        moved = [parameter for parameter in parameters if parameter.requires_grad]
        used = torch.tensor([float(parameter.grad is not None) for parameter in moved], device=terms.device)
        told = torch.tensor([float(self._told)], device=terms.device)
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in moved]
        self.sum([*gradients, terms, used, told])
        self._agreed = bool(told > 0)
        for parameter, gradient, count in zip(moved, gradients, used.tolist(), strict=True):
            parameter.grad = gradient if count else None  # what no rank had a use for stays as it is

    def require_alike(self, learner: Learner, step: int) -> None:
        """Raises UsageError where the processes do not stand at the same step of the same model, as where one does not
        see the run folder, or has other data or code."""
        digest = hashlib.blake2b(digest_size=8)
        for name, value in learner.state_dict().items():
            content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(name.encode() + content.numpy().tobytes())
        mine, all_of_them = (step, digest.hexdigest()), [None] * self.size
        distributed.all_gather_object(all_of_them, mine)
        if any(each != mine for each in all_of_them):
            steps = sorted({each[0] for each in all_of_them if each})
            raise UsageError(
                f"trainer.processes: {self.size} processes that are to train one model begin at steps {steps} of "
                "unlike ones: all need to see the same run folder, and the same code"
            )

    def agree(self, told: bool) -> bool:
        """After a step: whether all are to end, for this process or another was told so. What one says now goes along
        with the sums of the next step, in which all hear it."""
        if self.size == 1:
            return told
        self._told = told
        return self._agreed

    def measure(self, learner: Learner, split: Examples) -> dict[str, float]:
        """`average` over a split, of whose batches each rank reads its rows."""
        if self.size == 1:
            return average(learner, split)
        share = self.share(forward_of(learner), whole=False)

        def forward(batch: Batch) -> tuple[Terms, Pass]:
            names, values, out = share(batch)
            return dict(zip(names, values, strict=True)), out

        values = average(learner, split, forward=forward, share=self.part)
        sums = torch.tensor(list(values.values()), device=split.device, dtype=torch.float64)
        distributed.all_reduce(sums)
        return dict(zip(values, sums.tolist(), strict=True))


ALONE = Group()


def _read_generators(device: torch.device) -> list[Tensor]:
    states = [torch.default_generator.get_state()]
    return states if device.type == "cpu" else [*states, torch.get_device_module(device).get_rng_state()]


def _set_generators(device: torch.device, states: list[Tensor]) -> None:
    torch.default_generator.set_state(states[0])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states[1])

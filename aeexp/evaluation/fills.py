"""What a hole is filled with, by a model and without one: rows (B, *shape) that are right about what is visible."""

from __future__ import annotations

import torch
from torch import Tensor

from aeexp.evaluation.run import Run
from aeexp.models.pca import average_row
from aeexp.types import Batch

CHUNK = 2**24  # numbers of training rows that are compared at a time


def make_holes(run: Run, split: str, rows: int, seed: int = 0) -> Batch | None:
    """At most `rows` drawn rows with their holes, in evaluation; None where the task makes none."""
    queries = run.rows(split).sample(rows, seed)
    batch = run.learner.task(queries.batch(slice(0, len(queries))))
    return None if batch.hole is None else batch


def hole_of(batch: Batch) -> Tensor:
    """(B, *shape) bool of a batch that `holed` gave."""
    if batch.hole is None:
        raise ValueError("a batch without holes came where they are filled")
    return batch.hole


@torch.no_grad()
def fill_by_model(run: Run, batch: Batch, rows: int = 1024) -> Tensor:
    """The decoded mean code of what is visible, inside the hole."""
    model, context = run.model, run.learner.context(batch)
    parts = []
    with torch.random.fork_rng():  # encoding draws codes: others' draws stay as they were
        for start in range(0, len(batch.x), rows):
            at = slice(start, start + rows)
            mask, side = (field if field is None else field[at] for field in (batch.mask, context))
            parts.append(model.reconstruct(batch.x[at], side, mask))
    return torch.where(hole_of(batch), torch.cat(parts), batch.targets)


def fill_by_pca(run: Run, batch: Batch) -> Tensor | None:
    """PCA, which is given the mean fill: a hole of zeros would be reproduced as such; None where there is none."""
    if (pca := run.pca()) is None:
        return None
    return fill_by_model(pca, batch._replace(x=fill_by_mean(run, batch)))


def fill_by_mean(run: Run, batch: Batch) -> Tensor:
    """The mean of each feature over the training rows that have it."""
    mean = run.compute_once("mean row", lambda: average_row(run.rows("train")))
    return torch.where(hole_of(batch), mean.to(batch.targets), batch.targets)


def fill_by_neighbour(run: Run, batch: Batch, rows: int, seed: int = 0) -> Tensor:
    """The features of the nearest of `rows` training rows, by squared distance over what is visible.

    sum m (x - t)^2 = sum m x^2 - 2 (m x) t + m t^2: products of matrices, whatever hole each row has.
    """
    train = run.rows("train").sample(rows, seed)
    hole, target = hole_of(batch), batch.targets
    known = ~hole if batch.mask is None else ~hole & batch.mask.unsqueeze(-1)
    seen = known.flatten(1).cpu().double()
    x = target.flatten(1).cpu().double() * seen
    least, nearest = torch.full((len(x),), torch.inf, dtype=torch.float64), torch.zeros_like(x)
    for part in train.batches(max(1, CHUNK // x.shape[1])):
        t = part.x.flatten(1).cpu().double()
        distance = seen @ t.square().T - 2 * x @ t.T
        value, place = distance.min(1)
        nearest = torch.where((value < least)[:, None], t[place], nearest)
        least = torch.minimum(value, least)
    return torch.where(hole, nearest.view_as(target).to(target), target)

"""What a trained learner makes of rows up to the code, without the decoder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aeexp.contracts import Noise
from aeexp.models.learner import Learner
from aeexp.types import Batch, Code

# Of the posterior's variance: a mean code that varies by less drowns in its noise. (`latent/active_units`, Burda et al.
# 2016, is relative to the prior's.)
HIDDEN = 0.01


class Encoded(NamedTuple):
    """A batch as the task gives it, and its codes."""

    batch: Batch
    x: Tensor  # what the encoder saw
    context: Tensor | None
    code: Code


@torch.no_grad()
def encode(learner: Learner, batch: Batch, noise: Noise | None = None) -> Encoded:
    """The row's own label, if encoder and decoder are told one, unless the objective infers it: then the label that it
    finds itself, under noise from the row under noise."""
    batch = learner.task(batch)
    x = batch.x if noise is None else noise.corrupt(batch)
    context = learner.context(batch._replace(x=x))
    return Encoded(batch, x, context, learner.model.encode(x, context, batch.mask))


def mean_codes(learner: Learner, batches: Iterable[Batch]) -> np.ndarray:
    """(N, D) float32."""
    return np.concatenate([encode(learner, batch).code.mean.cpu().numpy() for batch in batches])


@torch.no_grad()
def draw_codes(learner: Learner, batches: Iterable[Batch]) -> tuple[np.ndarray, np.ndarray]:
    """Mean codes and one drawn from each posterior, (N, D) float32: the same draws at every call; without noise the
    mean."""
    means, draws = [], []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for batch in batches:
            code = encode(learner, batch).code
            means.append(code.mean.cpu().numpy())
            drawn = learner.model.latent.prior is not None
            draws.append(code.posterior.sample().cpu().numpy() if drawn else means[-1])
    return np.concatenate(means), np.concatenate(draws)


def find_visible(learner: Learner, batches: Iterable[Batch]) -> np.ndarray:
    """(D,) bool: units whose mean codes vary by more than a little of the posterior's noise; all of a code without."""
    if learner.model.latent.prior is None:
        return np.ones(learner.model.latent.dim, bool)
    means, draws = (codes.astype(np.float64) for codes in draw_codes(learner, batches))
    return means.var(0) > HIDDEN * ((draws - means) ** 2).mean(0)


@torch.no_grad()
def mean_rate(learner: Learner, batches: Iterable[Batch]) -> np.ndarray | None:
    """Mean KL from the prior in nats: (D,) by unit, (1,) where it does not fall into units; None without a prior.

    Where the KL has no closed form it is that of one drawn code a row: at the mean code the ratio is far too large.
    """
    prior = learner.model.latent.prior
    if prior is None:
        return None
    parts = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for batch in batches:
            posterior = encode(learner, batch).code.posterior
            parts.append(prior.kl(posterior, posterior.sample(), learner.model).cpu().numpy())
    return np.concatenate(parts).mean(0, dtype=np.float64)

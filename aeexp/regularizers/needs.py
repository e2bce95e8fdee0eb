"""What penalties need of a model, in the words that a user gets where it is not there."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aeexp.contracts import Model, Prior
from aeexp.errors import UsageError


def need_prior(name: str, model: Model) -> Prior:
    """The prior of the model's code. Raises UsageError where the code is not stochastic."""
    if model.latent.prior is None:
        raise UsageError(
            f"{name} needs a stochastic code, which this latent does not give: take latent=gaussian, or drop {name}"
        )
    return model.latent.prior


def need_unbounded(name: str, model: Model) -> None:
    """Codes can be held against N(0, I) only where they may lie anywhere: else raises UsageError."""
    latent = model.latent
    free = latent.range == (-math.inf, math.inf) and not latent.constrained
    if not free and latent.prior is None:
        raise UsageError(
            f"{name} holds codes against N(0, I), where those of this latent cannot lie: take latent=deterministic or "
            "latent=gaussian"
        )


def draw_prior(model: Model, like: Tensor) -> Tensor:
    """(B, D) codes from the latent's prior, of N(0, I) where it has none, as many as `like` (B, D) has."""
    prior = model.latent.prior
    return torch.randn_like(like) if prior is None else prior.sample(len(like), model)


def need_rows_decoded(name: str, model: Model) -> None:
    """Raises UsageError where what is decoded are masks, which no network has seen that reads rows."""
    if model.masks:
        raise UsageError(
            f"{name} holds what is decoded against rows of the data, and task=segment decodes masks: drop {name}"
        )

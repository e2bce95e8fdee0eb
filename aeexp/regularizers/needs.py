"""What penalties need of a model, in the words that a user gets where it is not there."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from aeexp.errors import UsageError


def need_posterior(name: str, model: Any) -> None:
    if not hasattr(model.latent, "prior"):
        raise UsageError(
            f"{name} needs a stochastic code, which this latent does not give: take latent=gaussian, or drop {name}"
        )


def need_unbounded(name: str, model: Any) -> None:
    """Codes can be held against N(0, I) only where they may lie anywhere."""
    latent = model.latent
    free = latent.range == (-math.inf, math.inf) and not hasattr(latent, "project")
    if not free and not hasattr(latent, "prior"):
        raise UsageError(
            f"{name} holds codes against N(0, I), where those of this latent cannot lie: take latent=deterministic or "
            "latent=gaussian"
        )


def weight_of(value: float) -> Tensor:
    """() a penalty's weight, for its buffer. Raises UsageError on one below 0."""
    if not value >= 0:
        raise UsageError(f"weight={value} must not be negative")
    return torch.tensor(float(value))

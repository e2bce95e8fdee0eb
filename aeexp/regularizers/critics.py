"""A critic trained in the same backward pass as the model, and the codes that it reads."""

from __future__ import annotations

from torch import Tensor


def taught(view: Tensor, lesson: Tensor, weight: Tensor) -> Tensor:
    """`view`, what the encoder minimises, with the gradient of `lesson`, what the critic minimises, added.

    The objective multiplies by `weight`: the critic learns at full rate whatever it is. The value is that of `view`
    alone, so that a loss that the critic wins is no better loss of the model.
    """
    return view + (lesson - lesson.detach()) / weight.clamp(min=1e-12)


def standardised(z: Tensor) -> Tensor:
    """Codes (N, D) with mean 0 and variance 1 over the rows; a unit that does not vary is 0."""
    centred = z - z.mean(0)
    return centred / centred.square().mean(0).clamp(min=1e-12).sqrt()

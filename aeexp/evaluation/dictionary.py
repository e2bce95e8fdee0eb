"""The columns of a decoder: what each unit of a code paints."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aeexp.contracts import Model

AT_ONCE = 2**24  # decoded numbers at a time


@torch.no_grad()
def find_columns(model: Model, shape: torch.Size, about: Tensor) -> Tensor:
    """(D, *shape) what is added to the mean output when a unit grows by 1, beginning at the code `about` (D,).

    Of one linear layer these are its columns, wherever it begins.
    """
    context = about.new_zeros(1, model.condition.size) if model.condition.size else None
    size = max(1, AT_ONCE // math.prod(model.likelihood.output(tuple(shape))))

    def decode(z: Tensor) -> Tensor:
        given = None if context is None else context.expand(len(z), -1)
        return model.likelihood.mean(model.parameters_of(z, given))

    units = torch.eye(len(about), dtype=about.dtype, device=about.device)
    return torch.cat([decode(about + part) for part in units.split(size)]) - decode(about[None])


def find_dictionary(model: Model, shape: torch.Size) -> Tensor | None:
    """(D, features) the columns of a decoder of one linear layer; None of a deeper one, whose units have none."""
    weight = model.decoder.reading_weight() if len(list(model.decoder.parameters())) <= 2 else None
    features = math.prod(shape)
    plain = weight is not None and weight.shape == (features, model.latent.dim + model.condition.size)
    return weight.detach()[:, : model.latent.dim].T if plain and weight is not None else None

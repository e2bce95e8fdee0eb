"""A linear decoder, and the code by which it explains a row best: what factorisations encode by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from aeexp import contracts
from aeexp.errors import UsageError
from aeexp.ranges import Count, NonNegative


@final
class Encoder(contracts.Encoder):
    """The code of least squared error under an L1 penalty, by some steps of FISTA (Beck and Teboulle 2009).

    z = argmin ½ |x - b - W z|² + sparsity |z|_1, over z >= 0 where `positive`. W and b are the decoder's.
    """

    def __init__(self, layer: nn.Linear, sparsity: float, positive: bool, iterations: int):
        super().__init__()
        self.layer = layer
        self.register_buffer("sparsity", torch.tensor(float(sparsity)))
        self.positive = positive
        self.iterations = iterations

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """(B, *shape) to (B, dim)."""
        weight, penalty = self.layer.weight, self.get_buffer("sparsity")
        pull = (x.flatten(1) - self.layer.bias) @ weight  # (B, D)
        gram = weight.T @ weight
        step = 1 / gram.detach().abs().sum(1).max().clamp(min=1e-12)  # the largest eigenvalue is no larger
        z = ahead = torch.zeros_like(pull)
        speed = 1.0
        for _ in range(self.iterations):
            before, h = z, ahead - step * (ahead @ gram - pull)
            z = (h - step * penalty).relu() if self.positive else h.sign() * (h.abs() - step * penalty).relu()
            faster = (1 + math.sqrt(1 + 4 * speed**2)) / 2
            ahead = z + (speed - 1) / faster * (z - before)
            speed = faster
        return z


@final
class Decoder(contracts.Decoder):
    """One linear layer: (B, D) to (B, *shape)."""

    def __init__(self, layer: nn.Linear, shape: Sequence[int]):
        super().__init__()
        self.layer = layer
        self.shape = tuple(shape)

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """(B, D) to (B, *shape)."""
        return self.layer(z).unflatten(1, self.shape)


def dictionary(
    shape: Sequence[int],
    params: int,
    dim: int,
    context: int,
    output: Sequence[int] | None = None,
    told: int | None = None,
    *,
    sparsity: NonNegative = 1.0,
    positive: bool = False,
    iterations: Count = 100,
) -> tuple[Encoder, Decoder]:
    """A decoder of one layer and the search for the code that it needs, which has no weights of its own.

    Under trainer=closed_form it is what scikit-learn factorises into; under trainer=joint the dictionary is learned
    through the search (Gregor and LeCun 2010).
    """
    output = tuple(shape if output is None else output)
    if params != dim or context != 0 or output != tuple(shape):
        raise UsageError(
            "model=dictionary needs a latent that takes as many numbers as it gives, no condition, and a likelihood of "
            "one number a value: take latent=deterministic, condition=none and likelihood=gaussian"
        )
    layer = nn.Linear(dim, math.prod(output))
    nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.out_features))  # columns of about length 1
    nn.init.zeros_(layer.bias)
    return Encoder(layer, sparsity, positive, iterations), Decoder(layer, output)

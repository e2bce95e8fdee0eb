"""The autoencoder that has learnt its rows by heart: a code of one number, which is the number of a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from aeexp.contracts import Decoder, Encoder, Examples
from aeexp.errors import UsageError
from aeexp.ranges import Count


def memoriser(
    shape: Sequence[int],
    params: int,
    dim: int,
    context: int,
    output: Sequence[int] | None = None,
    told: int | None = None,
    *,
    rows: Count = 5000,
) -> tuple[Lookup, Recall]:
    """Encoder and decoder that share up to `rows` rows, empty until `learn`. Raises UsageError on a wider code."""
    if (params, dim) != (1, 1):
        raise UsageError(
            f"latent.dim={dim}: model=memoriser writes the number of a row in one unit: take latent.dim=1 and "
            "latent=deterministic"
        )
    if context or told:
        raise UsageError("model=memoriser knows no side information: take condition=none")
    if output is not None and tuple(output) != tuple(shape):
        raise UsageError("model=memoriser gives one number a value: take likelihood=gaussian and task=reconstruct")
    memory = Memory(shape, rows)
    return Lookup(memory), Recall(memory)


@final
class Memory(torch.nn.Module):
    """`rows` (N, *shape) of which the first `known` are learnt."""

    def __init__(self, shape: Sequence[int], rows: int):
        super().__init__()
        self.known: Tensor
        self.rows = torch.nn.Parameter(torch.zeros(rows, *shape))  # what it has learnt are its parameters
        self.register_buffer("known", torch.zeros((), dtype=torch.int64))

    def to_code(self, number: Tensor) -> Tensor:
        """(B, 1) of numbers (B,): even steps, mean 0 and variance 1 over all that are known."""
        known = self.known.clamp(min=2)
        return ((number.float() - (known - 1) / 2) * math.sqrt(12) / (known.square() - 1).sqrt())[:, None]

    def to_number(self, z: Tensor) -> Tensor:
        """(B,) the nearest number of a code (B, 1)."""
        known = self.known.clamp(min=2)
        number = z[:, 0] * (known.square() - 1).sqrt() / math.sqrt(12) + (known - 1) / 2
        return number.round().long().clamp(min=0).minimum((self.known - 1).clamp(min=0))


@final
class Lookup(Encoder):
    """(B, *shape) to (B, 1): the number of the nearest row that is known."""

    def __init__(self, memory: Memory):
        super().__init__()
        self.memory = memory

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        rows = self.memory.rows.flatten(1)
        far = rows.square().sum(1) - 2 * x.flatten(1) @ rows.T  # squared distances but for what a row of x adds to all
        empty = torch.arange(len(rows), device=rows.device) >= self.memory.known
        return self.memory.to_code(far.masked_fill(empty, torch.inf).argmin(1))

    @torch.no_grad()
    def learn(self, split: Examples) -> None:
        """Keep the rows of a split. Raises UsageError on more than there is room for."""
        room = len(self.memory.rows)
        if len(split) > room:
            raise UsageError(f"model.rows={room} must not be below the {len(split)} training rows: raise it")
        batches = list(split.batches(4096))
        if any(batch.mask is not None for batch in batches):
            raise UsageError("model=memoriser takes rows of one length: take another dataset")
        self.memory.rows[: len(split)] = torch.cat([batch.x for batch in batches]).to(self.memory.rows)
        self.memory.known.fill_(len(split))


@final
class Recall(Decoder):
    """(B, 1) to (B, *shape): the row whose number is nearest."""

    def __init__(self, memory: Memory):
        super().__init__()
        self.memory = memory

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        return self.memory.rows[self.memory.to_number(z)]

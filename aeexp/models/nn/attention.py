"""Blocks of a transformer (Vaswani et al. 2017), written so that a stack of models can be trained at once."""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.errors import UsageError

Past = tuple[Tensor, Tensor]  # keys and values (B, heads, T, width / heads) of the steps so far


@final
class Block(nn.Module):
    """Attention, then a layer of four times the width, each behind a norm and beside a way around (pre-norm)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.read = nn.Linear(width, 3 * width)
        self.write = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, h: Tensor, allowed: Tensor | None = None) -> Tensor:
        """(B, T, width) to the same; `allowed`, (B, 1, T) or (T, T), says which steps a step may look at."""
        query, key, value = self._split(h)
        return self._attend(h, query, key, value, allowed)

    def extend(self, h: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """What `forward` gives for one more step (B, 1, width) that looks at itself and at those before it, whose keys
        and values are `past`; and these with its own."""
        query, key, value = self._split(h)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        return self._attend(h, query, key, value, None), (key, value)

    def _split(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = self.read(self.before(h)).unflatten(-1, (3 * self.heads, -1)).transpose(1, 2).chunk(3, 1)
        return query, key, value

    def _attend(self, h: Tensor, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None) -> Tensor:
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
        if allowed is not None:
            scores = torch.where(allowed.unsqueeze(-3), scores, torch.full_like(scores, -torch.inf))
        h = h + self.write((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
        return h + self.narrow(F.gelu(self.widen(self.between(h))))


def make_blocks(layers: int, width: int, heads: int) -> nn.ModuleList:
    """So many of them. Raises UsageError where the heads do not share the width evenly."""
    if width % heads:
        fitting = heads * -(-width // heads)
        raise UsageError(f"width={width} must be a multiple of heads={heads}: take model.width={fitting}")
    return nn.ModuleList(Block(width, heads) for _ in range(layers))


def find_places(count: int, width: int) -> Tensor:
    """(count, width) sines and cosines that say where a step stands (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(-math.log(10_000) * torch.arange(0, width, 2) / width)
    angles = torch.arange(count)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :width]


def begin(network: nn.Module) -> None:
    """Xavier's uniform weights and zeros, as transformers start; what a block adds is small at first."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if isinstance(module, Block):
            with torch.no_grad():
                module.write.weight.mul_(0.5)
                module.narrow.weight.mul_(0.5)

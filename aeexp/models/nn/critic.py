"""A fully connected network on codes: critics and classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.errors import UsageError


@final
class Critic(nn.Module):
    """Codes (B, D) to scores (B, outputs), fully connected with leaky rectifiers."""

    def __init__(self, inputs: int, hidden_dims: Sequence[int], outputs: int):
        super().__init__()
        if any(width < 1 for width in hidden_dims):
            raise UsageError(f"hidden_dims={list(hidden_dims)}: every layer needs at least 1 unit")
        widths = [inputs, *hidden_dims, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))

    def forward(self, z: Tensor, frozen: bool = False) -> Tensor:
        """`frozen`: gradients reach the codes and not the weights."""
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            z = z if number == 0 else F.leaky_relu(z, 0.2)
            weight, bias = layer.weight, layer.bias
            z = F.linear(z, weight.detach(), bias.detach()) if frozen else F.linear(z, weight, bias)
        return z

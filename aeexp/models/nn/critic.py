"""A fully connected network on codes: critics and classifiers."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.errors import UsageError


class Critic(nn.Module):
    """Codes (B, D) to scores (B, outputs), fully connected with leaky rectifiers."""

    def __init__(self, inputs: int, hidden_dims: Sequence[int], outputs: int):
        super().__init__()
        if not all(w >= 1 for w in hidden_dims):
            raise UsageError(f"hidden_dims={list(hidden_dims)}: every layer needs at least 1 unit")
        widths = [inputs, *hidden_dims, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))

    def forward(self, z: Tensor, frozen: bool = False) -> Tensor:
        """`frozen`: gradients reach the codes and not the weights."""
        for layer in self.layers:
            z = z if layer is self.layers[0] else F.leaky_relu(z, 0.2)
            weights = (layer.weight.detach(), layer.bias.detach()) if frozen else (layer.weight, layer.bias)
            z = F.linear(z, *weights)
        return z

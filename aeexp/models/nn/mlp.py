"""Fully connected encoder and decoder, each other's mirror."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp import contracts
from aeexp.errors import UsageError
from aeexp.models.nn.activations import Activation, activation
from aeexp.models.nn.initial import glorot
from aeexp.ranges import Count


@final
class Encoder(contracts.Encoder):
    """Flattens (B, *shape), joins the context, and maps through the hidden layers to (B, outputs)."""

    def __init__(
        self, inputs: int, hidden_dims: Sequence[int], outputs: int, name: Activation, log_inputs: bool = False
    ):  # fmt: skip
        super().__init__()
        self.log_inputs = log_inputs
        widths = [inputs, *hidden_dims, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.activation = activation(name)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """(B, *shape) to (B, outputs)."""
        x = x.flatten(1)
        return _through(self.layers, self.activation, x.clamp(min=0).log1p() if self.log_inputs else x, context)

    def linears(self) -> list[nn.Linear]:
        """The layers, from the input on."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]


@final
class Decoder(contracts.Decoder):
    """The encoder's mirror: (B, D) and context to (B, *shape)."""

    def __init__(self, layers: Sequence[nn.Linear | Transposed], shape: Sequence[int], name: Activation):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.activation = activation(name)
        self.shape = tuple(shape)

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """(B, D) to (B, *shape)."""
        return _through(self.layers, self.activation, z, context).unflatten(1, self.shape)

    def reading_weight(self) -> Tensor:
        """(H, D + C); of a tied decoder the transpose of the encoder's last weight."""
        return self.linears()[0].weight

    def linears(self) -> list[nn.Linear | Transposed]:
        """The layers, from the code on."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear | Transposed)]


@final
class Transposed(nn.Module):
    """A linear layer whose weight is the transpose of another's; only the bias is its own."""

    def __init__(self, source: nn.Linear):
        super().__init__()
        self.source = source
        self.bias = nn.Parameter(torch.zeros(source.in_features))

    @property
    def weight(self) -> Tensor:
        """(outputs, inputs), as that of nn.Linear."""
        return self.source.weight.t()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) to (B, outputs)."""
        return F.linear(x, self.weight, self.bias)


def mlp(
    shape: Sequence[int],
    params: int,
    dim: int,
    context: int,
    output: Sequence[int] | None = None,
    told: int | None = None,
    *,
    hidden_dims: list[Count],
    activation: Activation = "relu",
    tied: bool = False,
    log_inputs: bool = False,
) -> tuple[Encoder, Decoder]:
    """Encoder to `params` numbers and decoder from `dim` for rows of this shape; no hidden layer: both linear.

    The decoder gives rows of shape `output`, the encoder's where it is None. Of side information the decoder gets
    `context` numbers and the encoder `told`, as many where it is None.

    `tied` makes each decoder weight the transpose of its encoder weight (Vincent et al. 2010). Under `log_inputs` the
    encoder sees log(1 + x): counts have a long tail.
    """
    output = tuple(shape if output is None else output)
    features = math.prod(shape)
    encoder = Encoder(features + (context if told is None else told), hidden_dims, params, activation, log_inputs)
    if tied:
        if params != dim or context != 0 or output != tuple(shape):
            raise UsageError(
                "tied=true needs a latent that takes as many numbers as it gives, no condition, and a likelihood of "
                "one number a value: set model.tied=false, or latent=deterministic and condition=none"
            )
        layers: list[nn.Linear | Transposed] = [Transposed(layer) for layer in reversed(encoder.linears())]
    else:
        widths = [dim + context, *reversed(hidden_dims), math.prod(output)]
        layers = [nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)]
    decoder = Decoder(layers, output, activation)
    glorot(encoder, decoder)
    return encoder, decoder


def _through(layers: nn.ModuleList, between: nn.Module, h: Tensor, context: Tensor | None) -> Tensor:
    if context is not None:
        h = torch.cat([h, context], 1)
    for layer in layers[:-1]:
        h = between(layer(h))
    return layers[-1](h)

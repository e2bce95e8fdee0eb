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
from aeexp.types import Pass


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

    def __init__(self, layers: Sequence[Reading], shape: Sequence[int], name: Activation):
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

    def linears(self) -> list[Reading]:
        """The layers, from the code on."""
        return [layer for layer in self.layers if isinstance(layer, Reading)]


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


@final
class UnitColumns(contracts.Part):
    """A linear layer whose first `units` columns have length 1: what a unit paints, its value alone makes larger.

    Columns are divided by their length on the way forward, which takes the part along the column from their gradient,
    and brought back to length 1 after each step (Bricken et al. 2023). Those of the context stay as they are.
    """

    def __init__(self, units: int, context: int, outputs: int):
        super().__init__()
        self.units = units
        self.weight = nn.Parameter(torch.randn(outputs, units + context))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, units + context) to (B, outputs)."""
        return F.linear(x, self._normalise(), self.bias)

    def observe(self, out: Pass) -> None:
        """After a step: the columns have length 1 again."""
        self.start()

    @torch.no_grad()
    def start(self) -> None:
        """Bring the columns to length 1."""
        self.weight.copy_(self._normalise())

    def _normalise(self) -> Tensor:
        columns, rest = self.weight[:, : self.units], self.weight[:, self.units :]
        return torch.cat([F.normalize(columns, dim=0), rest], 1)


Reading = nn.Linear | Transposed | UnitColumns


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
    unit_norm: bool = False,
    log_inputs: bool = False,
) -> tuple[Encoder, Decoder]:
    """Encoder to `params` numbers and decoder from `dim` for rows of this shape; no hidden layer: both linear.

    The decoder gives rows of shape `output`, the encoder's where it is None. Of side information the decoder gets
    `context` numbers and the encoder `told`, as many where it is None.

    `tied` makes each decoder weight the transpose of its encoder weight (Vincent et al. 2010). `unit_norm` holds the
    columns by which the decoder reads the code at length 1. Under `log_inputs` the encoder sees log(1 + x): counts have
    a long tail.
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
        if unit_norm:
            raise UsageError("unit_norm=true holds the decoder's columns alone: take model.tied=false beside it")
        layers: list[Reading] = [Transposed(layer) for layer in reversed(encoder.linears())]
    else:
        widths = [dim + context, *reversed(hidden_dims), math.prod(output)]
        layers = [nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)]
        if unit_norm:
            layers[0] = UnitColumns(dim, context, widths[1])
    decoder = Decoder(layers, output, activation)
    glorot(encoder, decoder)
    for layer in layers:
        if isinstance(layer, UnitColumns):
            layer.start()
    return encoder, decoder


def _through(layers: nn.ModuleList, between: nn.Module, h: Tensor, context: Tensor | None) -> Tensor:
    if context is not None:
        h = torch.cat([h, context], 1)
    for layer in layers[:-1]:
        h = between(layer(h))
    return layers[-1](h)

"""Transformer encoder and decoder for sequences (B, T, F) of any lengths, of numbers or of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from aeexp import contracts
from aeexp.contracts import Likelihood
from aeexp.errors import UsageError
from aeexp.models.nn.attention import Block, Past, begin, find_places, make_blocks
from aeexp.ranges import Count, Depth, Several


@final
class Embedding(nn.Module):
    """Steps (..., F) to (..., width): of numbers by a linear layer, of tokens, k of K as k / (K - 1), by a table."""

    def __init__(self, features: int, width: int, tokens: int | None):
        super().__init__()
        self.tokens = tokens
        self.layer = nn.Linear(features if tokens is None else tokens, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., F) to (..., width)."""
        if self.tokens is None:
            return self.layer(x)
        # as a product with one-hot rows: an index has no gradient, and a table no rule for a stack of models
        number = (x * (self.tokens - 1)).round()
        return self.layer((number == torch.arange(self.tokens, device=x.device)).to(self.layer.weight.dtype))


@final
class Encoder(contracts.Encoder):
    """Blocks in which each step looks at all real steps, then the mean over them to (B, outputs)."""

    places: Tensor

    def __init__(self, steps: int, embedding: Embedding, told: int, blocks: nn.ModuleList, width: int, outputs: int):
        super().__init__()
        self.embedding = embedding
        self.side = nn.Linear(told, width) if told else None
        self.blocks = blocks
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)
        self.register_buffer("places", find_places(steps, width), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """(B, T, F) to (B, outputs)."""
        h = self.embedding(x) + self.places[: x.shape[1]]
        if context is not None and self.side is not None:
            h = h + self.side(context).unsqueeze(1)
        allowed = None if mask is None else mask.unsqueeze(1)
        for block in self.blocks:
            h = block(h, allowed)
        h = self.norm(h)
        if mask is None:
            return self.head(h.mean(1))
        shares = mask.to(h.dtype) / mask.sum(1, keepdim=True).clamp(min=1)
        return self.head((h * shares.unsqueeze(-1)).sum(1))


@final
class Decoder(contracts.Decoder):
    """The code at every step and where the step stands: (B, D) to (B, T, outputs) in one go, each looks at all."""

    places: Tensor

    def __init__(self, steps: int, code: int, blocks: nn.ModuleList, width: int, outputs: int):
        super().__init__()
        self.stem = nn.Linear(code, width)
        self.blocks = blocks
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)
        self.register_buffer("places", find_places(steps, width), persistent=False)

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """(B, D) to (B, T, outputs)."""
        z = z if context is None else torch.cat([z, context], 1)
        h = self.stem(z).unsqueeze(1) + self.places
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


@final
class Causal(contracts.Decoder):
    """p(x_t | x_<t, z): the code at every step, and each step looks at those before it (as in Li et al. 2020, Optimus).

    `force` takes the past from the data. From a code alone the past is what was given so far: the likelihood's mean, of
    tokens its mode.
    """

    autoregressive: ClassVar = True
    places: Tensor
    allowed: Tensor

    def __init__(
        self, steps: int, features: int, embedding: Embedding, code: int, blocks: nn.ModuleList, width: int,
        outputs: int,
    ):  # fmt: skip
        super().__init__()
        self.steps = steps
        self.features = features
        self.embedding = embedding
        self.start = nn.Parameter(torch.zeros(width))
        self.stem = nn.Linear(code, width)
        self.blocks = blocks
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)
        self.register_buffer("places", find_places(steps, width), persistent=False)
        self.register_buffer("allowed", torch.ones(steps, steps, dtype=torch.bool).tril(), persistent=False)

    def force(self, z: Tensor, context: Tensor | None, target: Tensor, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """(B, T, outputs), of which step t depends on the steps of `target` (B, T, F) before it alone."""
        return self._read(z, context, target[:, :-1])

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """What was given so far is taken for the past as it is: for a likelihood whose mean is the output."""
        return self._unroll(z, context, lambda output: output)

    def run_free(self, z: Tensor, context: Tensor | None, skips: tuple[Tensor, ...], likelihood: Likelihood) -> Tensor:
        """The past is what the likelihood makes of what was given so far."""
        return self._unroll(z, context, likelihood.mean if self.embedding.tokens is None else likelihood.mode)

    def _read(self, z: Tensor, context: Tensor | None, past: Tensor) -> Tensor:
        """(B, t + 1, outputs) behind t steps (B, t, F)."""
        z = z if context is None else torch.cat([z, context], 1)
        steps = past.shape[1] + 1
        first = self.start.expand(past.shape[0], 1, -1)
        h = torch.cat([first, self.embedding(past)], 1) + self.places[:steps] + self.stem(z).unsqueeze(1)
        for block in self.blocks:
            h = block(h, self.allowed[:steps, :steps])
        return self.head(self.norm(h))

    def _unroll(self, z: Tensor, context: Tensor | None, feedback: Callable[[Tensor], Tensor]) -> Tensor:
        z = z if context is None else torch.cat([z, context], 1)
        told = self.stem(z).unsqueeze(1)
        step = self.start.expand(z.shape[0], 1, -1)
        pasts: list[Past | None] = [None] * len(self.blocks)
        outputs: list[Tensor] = []
        for place in self.places:
            h = step + place + told
            for number, block in enumerate(self.blocks):
                assert isinstance(block, Block)
                h, pasts[number] = block.extend(h, pasts[number])
            outputs.append(self.head(self.norm(h)))
            step = self.embedding(feedback(outputs[-1]))
        return torch.cat(outputs, 1)


def transformer(
    shape: Sequence[int],
    params: int,
    dim: int,
    context: int,
    output: Sequence[int] | None = None,
    told: int | None = None,
    *,
    width: Count = 64,
    layers: Depth = 2,
    heads: Count = 4,
    causal: bool = True,
    tokens: Several | None = None,
) -> tuple[Encoder, Decoder | Causal]:
    """Encoder to `params` numbers and decoder from `dim` for sequences (T, F); the decoder always gives T steps.

    `causal` makes the decoder autoregressive. `tokens` says that a step is one of so many, k as k / (tokens - 1).
    """
    if len(shape) != 2:
        raise UsageError(
            f"model=transformer needs sequences (steps, features), but a row of this dataset has shape {tuple(shape)}: "
            "take dataset=sine_waves, dataset.offsets or dataset.sequences of dataset=npz, or model=mlp"
        )
    (steps, features), output = shape, tuple(shape if output is None else output)
    if len(output) != 2 or output[0] != steps:
        raise UsageError(
            f"model=transformer gives numbers for each of {steps} steps, but this likelihood wants them in shape "
            f"{output}: take likelihood=gaussian or likelihood=bernoulli"
        )
    if tokens is not None and features != 1:
        raise UsageError(f"tokens={tokens}: a step of this dataset has {features} numbers, and a token is one")
    told = context if told is None else told
    reading = Embedding(features, width, tokens)
    encoder = Encoder(steps, reading, told, make_blocks(layers, width, heads), width, params)
    blocks, code = make_blocks(layers, width, heads), dim + context
    if causal:
        decoder = Causal(steps, features, Embedding(features, width, tokens), code, blocks, width, output[1])
    else:
        decoder = Decoder(steps, code, blocks, width, output[1])
    begin(encoder)
    begin(decoder)
    return encoder, decoder

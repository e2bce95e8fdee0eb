"""One layer of a deep autoencoder as an autoencoder of its own, made of the deep one's layers, and what it learns from.

Nothing is copied: what a shallow autoencoder learns, the deep one has learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from aeexp.conditions import Unconditional
from aeexp.contracts import Decoder, Encoder, Examples, Latent
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.datasets.core.stream import Stream
from aeexp.errors import UsageError
from aeexp.latents.deterministic import Sigmoid
from aeexp.likelihoods.bernoulli import Bernoulli
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.models.nn import mlp
from aeexp.types import ALL, Batch, Code, Share

KEPT = 2**31  # bytes of codes that are kept; a number of its own, so that a run goes on as it began


@final
class Stack(NamedTuple):
    """The layers of a deep autoencoder, from the input up."""

    encoder: list[nn.Linear]
    decoder: list[mlp.Reading]  # the mirror of each encoder layer, in the order of these
    activation: nn.Module
    shape: tuple[int, ...]  # of what the first layer's mirror gives


def stack_of(model: Autoencoder) -> Stack:
    """Raises UsageError unless every layer of the encoder has its mirror in the decoder, with a code between them."""
    encoder, decoder = model.encoder, model.decoder
    if not (isinstance(encoder, mlp.Encoder) and isinstance(decoder, mlp.Decoder)):
        raise UsageError("trainer=layerwise trains model=mlp layer by layer: take model=mlp, or trainer=joint")
    if encoder.log_inputs:
        raise UsageError(
            "trainer=layerwise restores what a layer sees, and the first would see logarithms: take "
            "model.log_inputs=false, or trainer=joint"
        )
    if model.condition.size != 0:
        raise UsageError("trainer=layerwise has no place for side information: take condition=none, or trainer=joint")
    if model.latent.params != model.latent.dim or model.latent.prior is not None:
        raise UsageError(
            "trainer=layerwise needs a code that is not drawn: take latent=deterministic or latent=sigmoid, or "
            "trainer=joint"
        )
    return Stack(encoder.linears(), decoder.linears()[::-1], encoder.activation, decoder.shape)


def shallow_autoencoder(model: Autoencoder, place: int) -> Autoencoder:
    """Encoder layer `place` (0 at the input) with its activation, and the decoder layer that mirrors it.

    The first one explains the input as the deep model does. The others reconstruct the codes below: by cross-entropy
    where these lie in (0, 1), else by squared error through the activation that the deep decoder has there.
    """
    stack = stack_of(model)
    below, above, activation = stack.encoder[place], stack.decoder[place], stack.activation
    sigmoid = isinstance(activation, nn.Sigmoid)
    latent: Latent = model.latent
    if place < len(stack.encoder) - 1:
        latent = Sigmoid(below.out_features) if sigmoid else _Activated(below.out_features, activation)
    likelihood, shape, link = model.likelihood, stack.shape, nn.Identity()
    if place > 0:
        shape = (below.in_features,)
        likelihood, link = (Bernoulli(), nn.Identity()) if sigmoid else (Gaussian(), activation)
    return Autoencoder(_Below(below), latent, _Above(above, link, shape), likelihood, Unconditional())


@final
class _Below(Encoder):
    """One layer: rows (B, *shape) to (B, units)."""

    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return self.layer(x.flatten(1))


@final
class _Above(Decoder):
    """Its mirror: codes (B, units) to (B, *shape)."""

    def __init__(self, layer: mlp.Reading, link: nn.Module, shape: tuple[int, ...]):
        super().__init__()
        self.layer = layer
        self.link = link
        self.shape = shape

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        return self.link(self.layer(z)).unflatten(1, self.shape)

    def reading_weight(self) -> Tensor:
        """(width below, D); of a tied decoder the transpose of the encoder's weight."""
        return self.layer.weight


@final
class _Activated(Latent):
    """The code of a hidden layer, (B, dim)."""

    def __init__(self, dim: int, activation: nn.Module):
        super().__init__(dim)
        self.activation = activation

    def forward(self, h: Tensor) -> Code:
        z = self.activation(h)
        return Code(z=z, mean=z)


def codes_below(learner: Learner, place: int) -> Callable[[Batch], Tensor]:
    """(B, width) of clean rows, as encoder layer `place` gets them."""
    stack = stack_of(learner.model)

    @torch.no_grad()
    def code(batch: Batch) -> Tensor:
        h = learner.task(batch).x.flatten(1)
        for layer in stack.encoder[:place]:
            h = stack.activation(layer(h))
        return h

    return code


def encode_split(split: Examples, code: Callable[[Batch], Tensor], width: int) -> Split | Coded:
    """The split's codes: computed once where they take less than `KEPT` bytes and are the same at every epoch."""
    codes = Coded(split, code, width)
    drawn = isinstance(split, Split | Stream) and split.preprocessing.binarise == "per_epoch"
    if drawn or 4 * len(split) * width > KEPT:
        return codes
    x = torch.cat([batch.x.cpu() for batch in codes.batches(1024)])
    return Split(Rows(x.numpy()), device=split.device).to(split.device)


@final
class Coded:
    """A split of codes that are computed anew for every batch: nothing is kept."""

    def __init__(self, split: Examples, code: Callable[[Batch], Tensor], width: int):
        self.split = split
        self.code = code
        self.shape = torch.Size([width])
        self.device = split.device

    def __len__(self) -> int:
        return len(self.split)

    @property
    def y(self) -> Tensor | None:
        """None: a layer learns without labels."""
        return None

    def sample(self, rows: int, seed: int = 0) -> Coded:
        """At most that many rows, drawn."""
        return Coded(self.split.sample(rows, seed), self.code, self.shape[0])

    def batches(self, size: int, share: Share = ALL) -> Iterator[Batch]:
        """All rows in their order, `size` at a time."""
        return map(self._encode, self.split.batches(size, share))

    def epoch(self, seed: int, epoch: int, size: int, start: int = 0, share: Share = ALL) -> Iterator[Batch]:
        """All rows once in the order of this epoch, from its batch `start` on."""
        return map(self._encode, self.split.epoch(seed, epoch, size, start, share))

    def _encode(self, batch: Batch) -> Batch:
        return Batch(self.code(batch), ids=batch.ids, whole=batch.whole)

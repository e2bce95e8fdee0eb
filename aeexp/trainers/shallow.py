"""One layer of a deep autoencoder as an autoencoder of its own, made of the deep one's layers, and what it learns from.

Nothing is copied: what a shallow autoencoder learns, the deep one has learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import final

import torch
from torch import Tensor, nn

from aeexp.conditions import Unconditional
from aeexp.contracts import Decoder, Encoder, Latent
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
from aeexp.types import Batch, Code

HELD = 2**31  # bytes of codes that are kept; a number of its own, so that a run goes on as it began


def check(model: Autoencoder) -> None:
    """Raise UsageError unless every layer of the encoder has its mirror in the decoder, with a code between them."""
    whole = isinstance(model.encoder, mlp.Encoder) and isinstance(model.decoder, mlp.Decoder)
    if not whole:
        raise UsageError("trainer=layerwise trains model=mlp layer by layer: take model=mlp, or trainer=joint")
    if model.condition.size != 0:
        raise UsageError("trainer=layerwise has no place for side information: take condition=none, or trainer=joint")
    plain = model.latent.params == model.latent.dim and model.latent.prior is None
    words = "trainer=layerwise needs a code that is not drawn: take latent=deterministic or latent=sigmoid, or "
    if not plain:
        raise UsageError(f"{words}trainer=joint")


def shallow(model: Autoencoder, place: int) -> Autoencoder:
    """Encoder layer `place` (0 at the input) with its activation, and the decoder layer that mirrors it.

    The first one explains the input as the deep model does. The others reconstruct the codes below: by cross-entropy
    where these lie in (0, 1), else by squared error through the activation that the deep decoder has there.
    """
    last = len(model.encoder.layers) - 1
    below, above = model.encoder.layers[place], model.decoder.layers[last - place]
    activation = model.encoder.activation
    latent = model.latent
    if place < last:
        units = below.out_features
        latent = Sigmoid(units) if isinstance(activation, nn.Sigmoid) else _Activated(units, activation)
    likelihood, shape, link = model.likelihood, model.decoder.shape, nn.Identity()
    if place > 0:
        shape = (below.in_features,)
        sigmoid = isinstance(activation, nn.Sigmoid)
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

    def __init__(self, layer: nn.Module, link: nn.Module, shape: tuple[int, ...]):
        super().__init__()
        self.layer = layer
        self.link = link
        self.shape = shape

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        return self.link(self.layer(z)).unflatten(1, self.shape)


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
    layers, activation = learner.model.encoder.layers[:place], learner.model.encoder.activation

    @torch.no_grad()
    def code(batch: Batch) -> Tensor:
        h = learner.task(batch).x.flatten(1)
        for layer in layers:
            h = activation(layer(h))
        return h

    return code


def coded(split: Split | Stream, code: Callable[[Batch], Tensor], width: int) -> Split | Coded:
    """The split's codes: computed once where they take less than `HELD` bytes and are the same at every epoch."""
    made = Coded(split, code, width)
    if 4 * len(split) * width > HELD or split.preprocessing.binarise == "per_epoch":
        return made
    x = torch.cat([batch.x.cpu() for batch in made.batches(1024)])
    return Split(Rows(x.numpy()), device=split.device).to(split.device)


class Coded:
    """A split of codes that are computed anew for every batch: nothing is held."""

    def __init__(self, split: Split | Stream, code: Callable[[Batch], Tensor], width: int):
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

    def batches(self, size: int) -> Iterator[Batch]:
        """All rows in their order, `size` at a time."""
        return map(self._coded, self.split.batches(size))

    def epoch(self, seed: int, epoch: int, size: int, start: int = 0) -> Iterator[Batch]:
        """All rows once in the order of this epoch, from its batch `start` on."""
        return map(self._coded, self.split.epoch(seed, epoch, size, start))

    def _coded(self, batch: Batch) -> Batch:
        return Batch(self.code(batch), ids=batch.ids)

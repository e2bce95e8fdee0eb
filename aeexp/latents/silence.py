"""Units of a sparse code that have not spoken for long, and how they start anew."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from aeexp.contracts import Capacity, Examples, Model, Part
from aeexp.errors import UsageError
from aeexp.types import Pass

ROWS = 1024  # of the training split, among which a unit finds what it starts anew as
DECAY = 0.99  # of the mean number of units that speak
FRACTION = 0.2  # of the mean length of the live units' encoder rows


@final
class Silence(Part):
    """Counts for how many steps each unit was 0 in all rows of the batch; dead is one that was so for `dead_after`.

    Every `resample_every` steps dead units start anew as rows that are reconstructed badly, drawn by their squared
    error (Bricken et al. 2023, appendix): the decoder's column is the row about the decoder's bias, of length 1, and
    the encoder's row the same direction, a fifth as long as those of live units, about the same bias: else it would
    speak in nearly every row. The optimizer's averages stay: those of a unit without gradient have faded by then. That
    takes one linear layer each way; null: never.
    """

    steps: Tensor
    spoken: Tensor
    seen: Tensor

    def __init__(self, dim: int, dead_after: int, resample_every: int | None):
        super().__init__()
        self.dead_after = dead_after
        self.resample_every = resample_every
        self.register_buffer("steps", torch.zeros(dim, dtype=torch.int64))
        self.register_buffer("spoken", torch.tensor(0.0))  # units of a row that are not 0, a running mean
        self.register_buffer("seen", torch.tensor(0.0))  # batches in it

    def find_dead(self) -> Tensor:
        """(D,) bool."""
        return self.steps >= self.dead_after

    def observe(self, out: Pass) -> None:
        """A unit that spoke in any row begins to count anew; how many speak in a row is averaged."""
        speaks = out.code.z != 0
        self.steps.copy_(torch.where(speaks.any(0), 0, self.steps + 1))
        self.seen.add_(1)
        rate = torch.maximum(1 / self.seen, torch.full_like(self.seen, 1 - DECAY))
        self.spoken.add_(rate * (speaks.sum(1).to(self.spoken).mean() - self.spoken))

    def capacity(self) -> Capacity:
        """As many units as spoke in a row at the end of training, on average; all of them before."""
        dim = len(self.steps)
        return Capacity(dim, min(dim, max(1, round(float(self.spoken)))), shared=True) if self.seen else Capacity(dim)

    def readings(self) -> dict[str, Tensor]:
        """Share of the units that are dead."""
        return {"dead_share": self.find_dead().float().mean()}

    def before_step(self, model: Model, split: Examples, step: int) -> None:
        """Dead units start anew where it is time."""
        if self.resample_every is None:
            return
        if step == 0:
            _find_layers(model, split)  # which raises before time is spent
        elif step % self.resample_every == 0 and bool(self.find_dead().any()):
            self.resample(model, split, step)

    def resample(self, model: Model, split: Examples, step: int) -> None:
        """Dead units become rows drawn by their squared error: the same of the same step and model."""
        layer, columns = _find_layers(model, split)
        batch = next(iter(split.sample(ROWS, seed=step).batches(ROWS)))
        context = model.condition(batch)
        code = model.encode(batch.x, context, batch.mask)
        rows = batch.x.flatten(1)
        error = (model.likelihood.mean(model.parameters_of(code.mean, context)).flatten(1) - rows).square().sum(1)
        dead = self.find_dead()
        chances = error.double().cpu().clamp(min=1e-12)
        generator = torch.Generator().manual_seed(step)
        drawn = torch.multinomial(chances, len(dead), replacement=True, generator=generator).to(rows.device)
        origin = model.parameters_of(torch.zeros_like(code.mean[:1]), None if context is None else context[:1])
        middle = model.likelihood.mean(origin).flatten(1)
        direction = nn.functional.normalize(rows[drawn] - middle, dim=1)
        lengths = layer.weight.norm(dim=1)
        live = ~dead
        length = FRACTION * torch.where(live.any(), (lengths * live).sum() / live.sum().clamp(min=1), lengths.mean())
        columns.copy_(torch.where(dead, direction.T, columns))
        layer.weight.copy_(torch.where(dead[:, None], length * direction, layer.weight))
        if layer.bias is not None:
            layer.bias.copy_(torch.where(dead, -length * (direction * middle).sum(1), layer.bias))
        self.steps.masked_fill_(dead, 0)


def _find_layers(model: Model, split: Examples) -> tuple[nn.Linear, Tensor]:
    """The encoder's only layer and the columns (features, D) of the decoder's. Raises UsageError where there are more,
    or others."""
    layer, columns, features = model.encoder.writing_layer(), model.decoder.reading_weight(), math.prod(split.shape)
    dim = model.latent.dim
    plain = layer is not None and layer.weight.shape == (dim, features) and columns.shape == (features, dim)
    if layer is None or not plain or len(list(model.encoder.parameters())) > 2:
        raise UsageError(
            "latent.resample_every: a unit starts anew as a row where encoder and decoder are one linear layer each: "
            "take model=linear, or latent.resample_every=null"
        )
    return layer, columns

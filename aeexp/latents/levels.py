"""Codes on a fixed grid: nothing is looked up, and nothing of the grid is learned."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, ClassVar, final

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor

from aeexp.contracts import Alphabet, Capacity, Latent, Moves
from aeexp.errors import UsageError
from aeexp.latents.books import Nearest, tell_usage
from aeexp.latents.spread import Spread
from aeexp.ranges import Count, NonNegative, Positive, Several
from aeexp.tensors import whole_mean
from aeexp.types import Code, Pass

OUTSIDE = 1e-3  # by which the bounded range goes beyond the outer levels, so that they can be reached
MOST = 1 << 24  # values of a token that are counted


@final
class FSQ(Latent):
    """Each unit rounded to one of a few levels (finite scalar quantisation, Mentzer et al. 2023).

    `levels` are those of neighbouring units, which together are a token of as many values as their product: a book that
    is full from the start, with nothing that could die. The gradient of rounding is that of the identity (section 3.1).
    Units are standardised by running averages, as the paper's are not: of a fresh encoder all rows may round to one
    level.

    Formula: z_j = round(f((h_j - m_j) / s_j)) / ⌊L_j / 2⌋, f a tanh onto L_j levels, m and s of training rows

    Look at: latent/codebook_use and latent/bits beside those of latent=vq at an equal error.
    """

    range: ClassVar = (-1.0, 1.0)
    constrained: ClassVar = True
    levels: Tensor

    def __init__(self, dim: Count, levels: list[Several]):
        super().__init__(dim)
        levels = list(levels)
        self.width = len(levels)
        if self.width == 0 or dim % self.width != 0:
            raise UsageError(
                f"levels={levels} must be of as many units as divide latent.dim={dim}: take "
                f"latent.dim={max(1, self.width) * math.ceil(dim / max(1, self.width))}"
            )
        if math.prod(levels) > MOST:
            raise UsageError(f"levels={levels} make {math.prod(levels):,} values of a token, of {MOST:,} at most")
        self.sizes = levels
        self.spread = Spread(self.width)
        self.register_buffer("levels", torch.tensor(levels * (dim // self.width), dtype=torch.float32))

    def forward(self, h: Tensor) -> Code:
        """The nearest level of each unit of h (B, dim)."""
        bounded, half = self._bound(self.spread(h)), self._half()
        # of a thousand levels and more the range goes beyond the outer ones by half a level: it ends with them
        whole = bounded.detach().round().clamp(min=-half, max=self.levels - 1 - half)
        z = (whole + (bounded - bounded.detach())) / half
        digits = (whole + half).long()
        return Code(z=z, mean=z, posterior=Nearest(h.unflatten(-1, (-1, self.width)), self._join(digits)))

    def project(self, z: Tensor) -> Tensor:
        """(..., D) the nearest levels."""
        half = self._half()
        digits = (z * half + half).round().clamp(min=torch.zeros_like(half), max=self.levels - 1)
        return (digits - half) / half

    def capacity(self) -> Capacity:
        """The level of each unit, in bits that are rounded up."""
        return Capacity(self.dim, bits=math.ceil(self._tokens() * math.log2(math.prod(self.sizes)) - 1e-9))

    def alphabet(self) -> Alphabet:
        """A token each group of units."""
        return Alphabet(self._tokens(), math.prod(self.sizes))

    def spell(self, tokens: Tensor) -> Tensor:
        """(B, D) the levels of the units."""
        sizes, bases = self._bases(tokens)
        digits = (tokens.unsqueeze(-1) // bases % sizes).flatten(-2)
        half = self._half()
        return (digits - half) / half

    def usage(self, passes: Iterable[Pass]) -> dict[str, float]:
        """Perplexity of the tokens over these passes, and how many of their values are used."""
        return tell_usage(count_tokens(passes, math.prod(self.sizes)), self._tokens())

    def moves(self, codes: Tensor, steps: int) -> Moves:
        """Each group is set to those `steps` values that the training codes (N, D) take most."""
        half = self._half().to(codes)
        tokens = self._join((codes * half + half).round().long().to(self.levels.device))
        return choose_common(self, tokens, steps)

    def _tokens(self) -> int:
        return self.dim // self.width

    def _half(self) -> Tensor:
        return (self.levels / 2).floor()

    def _bound(self, h: Tensor) -> Tensor:
        half = (self.levels - 1) * (1 + OUTSIDE) / 2
        offset = 0.5 * (self.levels % 2 == 0)
        return torch.tanh(h + torch.atanh(offset / half)) * half - offset

    def _bases(self, like: Tensor) -> tuple[Tensor, Tensor]:
        sizes = torch.tensor(self.sizes, device=like.device)
        return sizes, torch.cat([torch.ones_like(sizes[:1]), sizes.cumprod(0)[:-1]])

    def _join(self, digits: Tensor) -> Tensor:
        """(..., T) tokens of whole levels (..., D) from 0 on."""
        return (digits.unflatten(-1, (-1, self.width)) * self._bases(digits)[1]).sum(-1)


@final
class LFQ(Latent):
    """Each unit its sign: the book is all corners of a cube, and nobody looks up (lookup-free, Yu et al. 2023).

    `width` neighbouring units are a token of 2^width values. `entropy` has each row choose surely and all rows
    together choose evenly (equation 7), by the chances that a softmax over the corners gives at `temperature`;
    `commitment` keeps units near their signs. The gradient of the sign is that of the identity. Units are standardised
    by running averages, as the paper's are not: each sign comes from the start.

    Formula: u = (h - m) / s; z_j = sign(u_j); loss + commitment |u - z|² + entropy Σ_g (E H(q_g) - H(q̄)), q_g(c) ∝
    exp(-|u_g - c|² / T), q̄ the mean over rows and groups, m and s of training rows

    Look at: latent/codebook_use over latent.entropy; latent/bits beside the error.
    """

    range: ClassVar = (-1.0, 1.0)
    constrained: ClassVar = True
    terms: ClassVar = ("commitment", "entropy")
    commitment: Tensor
    entropy: Tensor
    temperature: Tensor

    def __init__(
        self,
        dim: Count,
        width: Annotated[int, Interval(ge=1, le=14)] = 8,
        entropy: NonNegative = 1.0,
        commitment: NonNegative = 0.25,
        temperature: Positive = 1.0,
    ):
        super().__init__(dim)
        if dim % width != 0:
            raise UsageError(
                f"width={width} must divide latent.dim={dim}: take latent.dim={width * math.ceil(dim / width)}"
            )
        self.width = width
        self.spread = Spread(width)
        self.register_buffer("entropy", torch.tensor(float(entropy)))
        self.register_buffer("commitment", torch.tensor(float(commitment)))
        self.register_buffer("temperature", torch.tensor(float(temperature)))

    def forward(self, h: Tensor) -> Code:
        """The signs of h (B, dim)."""
        units = self.spread(h)
        bits = (units > 0).detach()
        signs = torch.where(bits, 1.0, -1.0).to(units)
        z = signs + (units - units.detach())
        losses = {
            "commitment": self.commitment * (units - signs).square().sum(-1),
            "entropy": self.entropy * self.uncertainty(units),
        }
        before = h.unflatten(-1, (-1, self.width))
        return Code(z=z, mean=z, posterior=Nearest(before, self._join(bits)), losses=losses)

    def uncertainty(self, h: Tensor) -> Tensor:
        """() nats of units (B, dim), summed over tokens: the mean entropy of a row's choice less that of all rows'."""
        chance = 4 * h.unflatten(-1, (-1, self.width)) / self.temperature  # log-odds of +1
        yes, no = F.logsigmoid(chance), F.logsigmoid(-chance)
        corners = self._corners(h)  # (2^width, width) of 0 and 1
        log_q = yes @ corners.T + no @ (1 - corners).T  # (B, T, 2^width)
        each = -(yes.exp() * yes + no.exp() * no).sum((-2, -1)).mean()
        together = whole_mean(log_q.exp().mean(0)).mean(0)
        return each - (self.dim // self.width) * torch.special.entr(together).sum()

    def project(self, z: Tensor) -> Tensor:
        """(..., D) the nearest signs."""
        return torch.where(z > 0, 1.0, -1.0).to(z)

    def capacity(self) -> Capacity:
        """A bit each unit."""
        return Capacity(self.dim, bits=self.dim)

    def alphabet(self) -> Alphabet:
        """A token each group of units."""
        return Alphabet(self.dim // self.width, 1 << self.width)

    def spell(self, tokens: Tensor) -> Tensor:
        """(B, D) the signs of the units."""
        return (2.0 * self._digits(tokens) - 1).flatten(-2)

    def usage(self, passes: Iterable[Pass]) -> dict[str, float]:
        """Perplexity of the tokens over these passes, and how many of their values are used."""
        return tell_usage(count_tokens(passes, 1 << self.width), self.dim // self.width)

    def moves(self, codes: Tensor, steps: int) -> Moves:
        """Each group is set to those `steps` values that the training codes (N, D) take most."""
        return choose_common(self, self._join(codes > 0), steps)

    def _corners(self, like: Tensor) -> Tensor:
        return self._digits(torch.arange(1 << self.width, device=like.device)).to(like)

    def _join(self, bits: Tensor) -> Tensor:
        """(..., T) tokens of bits (..., D)."""
        return (bits.unflatten(-1, (-1, self.width)).long() * self._powers(bits)).sum(-1)

    def _digits(self, tokens: Tensor) -> Tensor:
        """(..., width) of 0 and 1, the first counts 1. No shift of bits, for which ONNX has no word."""
        return tokens.unsqueeze(-1) // self._powers(tokens) % 2

    def _powers(self, like: Tensor) -> Tensor:
        return torch.tensor([1 << place for place in range(self.width)], device=like.device)


def count_tokens(passes: Iterable[Pass], values: int) -> Tensor:
    """(1, values) how often each value of a token came."""
    counts = torch.zeros(values)
    for out in passes:
        counts += torch.bincount(out.code.posterior.entries.flatten().cpu(), minlength=values)
    return counts[None]


def choose_common(latent: FSQ | LFQ, tokens: Tensor, steps: int) -> Moves:
    """Each group is set to the values that these tokens (N, T) take most."""
    counts = np.bincount(tokens.flatten().cpu().numpy())
    most = np.argsort(-counts, kind="stable")[:steps]
    most = most[counts[most] > 0]
    alphabet = latent.alphabet()
    values = latent.spell(torch.from_numpy(most)[:, None].expand(-1, alphabet.tokens).to(tokens.device))
    caption = f"value of the group: of {alphabet.values} those that training codes take most"
    return Moves(latent.width, "group", values[:, : latent.width].cpu(), tuple(str(v + 1) for v in most), caption)

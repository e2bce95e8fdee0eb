"""A code of vectors out of learned books."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import ClassVar, Literal, NamedTuple, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.contracts import Alphabet, Capacity, Examples, Latent, Model, Moves
from aeexp.errors import UsageError
from aeexp.latents.books import Book, Move, Nearest, perplexity, tell_usage
from aeexp.ranges import Count, Decay, Depth, NonNegative
from aeexp.types import Code, Pass


class _Found(NamedTuple):
    """What each book, one behind another, made of what the ones before had left."""

    left: list[Tensor]  # (G, M, width) what it was given
    numbers: list[Tensor]  # (G, M) which entries it took
    chosen: list[Tensor]  # (G, M, width) those


@final
class VQ(Latent):
    """dim / width vectors, each replaced by the nearest of `codes` learned ones (van den Oord et al. 2017).

    `gradient` says what the encoder learns through that: `straight_through` as if nothing had been replaced (section
    3.2), `rotation` as if its vector had been turned and stretched onto the learned one (Fifty et al. 2024, section 4),
    so that the angle between the two is that of their gradients. `commitment` draws the encoder to its codes (equation
    3). `codebook` says how these move: `gradient` by the second term of equation 3, `ema` to the running mean of the
    vectors that they stand for (appendix A.1, with the decay `decay`), `simvq` as a learned linear map of fixed vectors
    (Zhu et al. 2024), by which all move with each. They start as encoder outputs of training rows. One that is unused
    for `restart_after` steps becomes a random encoder output of the batch (as in Dhariwal et al. 2020); null: never.

    `depth` books one behind another each quantise what those before have left, and a vector is their sum (residual VQ,
    Zeghidour et al. 2021). With `books` of places each vector has its own (product VQ, Jegou et al. 2011).

    Formula: z_g = e_k, k = argmin_k |h_g - e_k|²; loss + commitment Σ_g |h_g - sg(z_g)|², and unless `ema` |sg(h_g) -
    z_g|²

    Look at: perplexity of the codebook in history.csv: how many codes are in use; latent/bits beside the error.
    """

    constrained: ClassVar = True
    terms: ClassVar = ("commitment", "codebook")
    commitment: Tensor

    def __init__(
        self,
        dim: Count,
        codes: Count = 64,
        width: Count = 8,
        codebook: Move = "ema",
        decay: Decay = 0.99,
        commitment: NonNegative = 0.25,
        restart_after: Count | None = 100,
        gradient: Literal["straight_through", "rotation"] = "straight_through",
        depth: Depth = 1,
        books: Literal["shared", "places"] = "shared",
    ):
        super().__init__(dim)
        if dim % width != 0:
            raise UsageError(
                f"width={width} must divide latent.dim={dim}: take latent.dim={width * math.ceil(dim / width)}"
            )
        self.codes = codes
        self.width = width
        self.places = dim // width
        self.depth = depth
        self.rotates = gradient == "rotation"
        self.averages = codebook == "ema"
        self.register_buffer("commitment", torch.tensor(float(commitment)))
        groups = 1 if books == "shared" else self.places
        self.books = nn.ModuleList(Book(groups, codes, width, codebook, decay, restart_after) for _ in range(depth))

    def forward(self, h: Tensor) -> Code:
        """Each vector of h (B, dim) replaced by the nearest of the book; `losses` move the two towards each other."""
        before = h.unflatten(-1, (-1, self.width))
        found = self._find(self._group(before))
        chosen = self._ungroup(functools.reduce(torch.add, found.chosen), h.shape[0])
        pairs = list(zip(found.left, found.chosen, strict=True))
        losses = {
            "commitment": self.commitment * self._measure([(left, one.detach()) for left, one in pairs], h.shape[0])
        }
        if not self.averages:
            losses["codebook"] = self._measure([(left.detach(), one) for left, one in pairs], h.shape[0])
        path = turn(before, chosen.detach()) if self.rotates else before
        # The value of the chosen vectors, to the last bit, with the gradient of the way from those before.
        z = (chosen.detach() + (path - path.detach())).flatten(-2)
        numbers = [self._ungroup(each.unsqueeze(-1), h.shape[0]) for each in found.numbers]
        return Code(z=z, mean=z, posterior=Nearest(before, torch.cat(numbers, -1).flatten(-2)), losses=losses)

    def project(self, z: Tensor) -> Tensor:
        """(..., D) the valid code near to a made-up one (..., D): of one book the nearest."""
        vectors = z.reshape(-1, self.places, self.width)
        chosen = functools.reduce(torch.add, self._find(self._group(vectors)).chosen)
        return self._ungroup(chosen, vectors.shape[0]).reshape(z.shape)

    def alphabet(self) -> Alphabet:
        """Numbers of entries: the places in turn, the books of each one behind another."""
        return Alphabet(self.places * self.depth, self.codes)

    def spell(self, tokens: Tensor) -> Tensor:
        """(B, D) the sums of the entries."""
        numbers = tokens.unflatten(-1, (self.places, self.depth))
        parts = [book.look_up(self._group(numbers[..., at : at + 1])[..., 0]) for at, book in enumerate(self._books())]
        return self._ungroup(functools.reduce(torch.add, parts), tokens.shape[0]).flatten(-2)

    def capacity(self) -> Capacity:
        """The number of an entry at each place and in each book, in bits that are rounded up."""
        return Capacity(self.dim, bits=math.ceil(self.places * self.depth * math.log2(self.codes)))

    def begin(self, model: Model, split: Examples) -> None:
        """Before the first step the books become encoder outputs of training rows, and what is left of them."""
        rows = split.sample(self.codes * self.depth)
        codes = (model.encode(batch.x, model.condition(batch), batch.mask) for batch in rows.batches(1024))
        before = torch.cat([code.posterior.before for code in codes])  # (R, N, width)
        if self._books()[0].groups == 1:  # one vector of each row, the places in turn
            number = torch.arange(self.codes * self.depth, device=before.device)
            left = before[number % len(before), number % self.places].unsqueeze(0)
        else:
            left = before.transpose(0, 1)
        for book in self._books():
            book.begin(left)
            # of its own vectors a book leaves nothing: the next one begins as what is left of others
            left = (left - book.look_up(book.nearest(left))).roll(-self.codes, 1)

    def observe(self, out: Pass) -> None:
        """Each book counts which of its entries were used, and moves them."""
        before, entries = out.code.posterior
        left, tokens = self._group(before), entries.unflatten(-1, (self.places, self.depth))
        for at, book in enumerate(self._books()):
            numbers = self._group(tokens[..., at : at + 1])[..., 0]
            chosen = book.look_up(numbers)
            book.observe(left, numbers)
            left = left - chosen

    def usage(self, passes: Iterable[Pass]) -> dict[str, float]:
        """Perplexity of the entries' use over these passes, how many entries are used at all, and bits a row."""
        book = self._books()[0]
        counts = torch.zeros(self.depth, book.groups, self.codes, device=book.use_counts.device)
        for out in passes:
            tokens = out.code.posterior.entries.unflatten(-1, (self.places, self.depth))
            used = book.one_hot(tokens).sum(0).transpose(0, 1)  # (depth, N, codes)
            counts = counts + (used.sum(1, keepdim=True) if book.groups == 1 else used)
        return tell_usage(counts.flatten(0, 1), self.places * self.depth)

    def moves(self, codes: Tensor, steps: int) -> Moves:
        """Each place is set to those `steps` vectors of the book that the training codes (N, D) use most."""
        book = self._books()[0]
        if self.depth > 1 or book.groups > 1:
            return Moves(self.width, "place", *self._choose_common(codes, steps))
        vectors = codes.reshape(1, -1, self.width).to(book.vectors.device)
        entries = book.nearest(vectors)[0].cpu().numpy()
        most = np.argsort(-np.bincount(entries, minlength=self.codes), kind="stable")[:steps]
        values = book.entries().detach().cpu()[0][torch.from_numpy(most)]
        caption = f"vector of the book: of {self.codes} those that training codes use most"
        return Moves(self.width, "place", values, tuple(str(entry + 1) for entry in most), caption)

    def readings(self) -> dict[str, Tensor]:
        """Perplexity of the running usage, and how many entries were used within the last 1 / (1 - decay) steps; of
        several books their means."""
        books = self._books()
        each = torch.stack([perplexity(book.use_counts).mean() for book in books])
        recent = torch.stack([book.recent() / book.groups for book in books])
        return {"perplexity": each.mean(), "codes_used": recent.mean()}

    def _books(self) -> list[Book]:
        return [book for book in self.books if isinstance(book, Book)]

    def _find(self, vectors: Tensor) -> _Found:
        found = _Found([], [], [])
        for book in self._books():
            numbers = book.nearest(vectors)
            chosen = book.look_up(numbers)
            for kept, value in zip(found, (vectors, numbers, chosen), strict=True):
                kept.append(value)
            vectors = vectors - chosen.detach()
        return found

    def _group(self, vectors: Tensor) -> Tensor:
        """(B, N, width) as (G, M, width)."""
        shared = self._books()[0].groups == 1
        return vectors.flatten(0, 1).unsqueeze(0) if shared else vectors.transpose(0, 1)

    def _ungroup(self, vectors: Tensor, rows: int) -> Tensor:
        """(G, M, width) as (B, N, width)."""
        shared = self._books()[0].groups == 1
        return vectors.reshape(rows, self.places, vectors.shape[-1]) if shared else vectors.transpose(0, 1)

    def _measure(self, pairs: list[tuple[Tensor, Tensor]], rows: int) -> Tensor:
        """(B,) squared distances, summed over places and books."""
        parts = [self._ungroup((one - other).square(), rows).sum((-2, -1)) for one, other in pairs]
        return functools.reduce(torch.add, parts)

    def _choose_common(self, codes: Tensor, steps: int) -> tuple[Tensor, tuple[str, ...], str]:
        """Of vectors that are sums, or have books of their own, those of training codes at even steps by length."""
        vectors = codes.reshape(-1, self.width)
        order = vectors.norm(dim=1).argsort()
        chosen = order[torch.linspace(0, len(order) - 1, min(steps, len(order))).long()]
        names = tuple(str(number + 1) for number in range(len(chosen)))
        return vectors[chosen].cpu(), names, "vectors of training codes, the shortest first"


def turn(vectors: Tensor, onto: Tensor) -> Tensor:
    """Vectors (..., width) turned and stretched onto others by a map that is held fixed: its gradient alone is theirs.

    The rotation in the plane of the two is R = I - 2 r rᵀ + 2 ê ĥᵀ, r the direction between them (Fifty et al. 2024,
    section 4.2); a vector of length 0 is left as it is.
    """
    h = vectors.detach()
    length, wanted = h.norm(dim=-1, keepdim=True), onto.norm(dim=-1, keepdim=True)
    unit, target = F.normalize(h, dim=-1), F.normalize(onto, dim=-1)
    middle = F.normalize(unit + target, dim=-1)
    turned = (
        vectors
        - 2 * (vectors * middle).sum(-1, keepdim=True) * middle
        + 2 * (vectors * unit).sum(-1, keepdim=True) * target
    )
    stretch = wanted / length.clamp(min=1e-12)
    return torch.where((length > 0) & (wanted > 0), stretch * turned, vectors)

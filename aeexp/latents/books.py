"""Learned vectors that stand for those of the encoder, and how they move: what quantised codes are made of."""

from __future__ import annotations

from typing import Literal, NamedTuple, final

import torch
from torch import Tensor, nn

Move = Literal["gradient", "ema", "simvq"]
SMOOTHING = 1e-5  # of the counts, as in the authors' code


@final
class Nearest(NamedTuple):
    """The one-hot posterior of a quantised code, and what it stands for."""

    before: Tensor  # (B, N, width) vectors of the encoder
    entries: Tensor  # (B, T) int64: the token at each place; of a residual code a place has several, one behind another


@final
class Book(nn.Module):
    """`codes` vectors for each of `groups` of places: one group shares a book among all, else each has its own.

    `gradient`: they are parameters. `ema`: they go to the running mean of the vectors that they stand for (van den Oord
    et al. 2017, appendix A.1). `simvq`: fixed vectors through a learned linear map, which moves all of them at once
    (Zhu et al. 2024). Vectors come as (G, M, width): those of a group side by side.
    """

    vectors: Tensor
    sums: Tensor | None
    use_counts: Tensor
    unused: Tensor

    def __init__(self, groups: int, codes: int, width: int, move: Move, decay: float, restart_after: int | None):
        super().__init__()
        self.groups = groups
        self.codes = codes
        self.decay = decay
        self.restart_after = restart_after if move != "simvq" else None
        self.averages = move == "ema"
        start = torch.randn(groups, codes, width)
        if move == "gradient":
            self.vectors = nn.Parameter(start)
        else:
            self.register_buffer("vectors", start)
        self.turn = nn.Parameter(torch.eye(width).repeat(groups, 1, 1)) if move == "simvq" else None
        self.register_buffer("sums", torch.zeros(groups, codes, width) if self.averages else None)
        # vectors assigned, each step counting `decay` of the next
        self.register_buffer("use_counts", torch.zeros(groups, codes))
        self.register_buffer("unused", torch.zeros(groups, codes, dtype=torch.int64))  # steps since the last use

    def entries(self) -> Tensor:
        """(G, codes, width) the vectors that stand for others."""
        return self.vectors if self.turn is None else self.vectors @ self.turn

    def nearest(self, vectors: Tensor) -> Tensor:
        """(G, M) int64: the entry nearest to each of (G, M, width)."""
        book = self.entries().detach()
        return (book.square().sum(-1).unsqueeze(-2) - 2 * vectors.detach() @ book.mT).argmin(-1)

    def look_up(self, numbers: Tensor) -> Tensor:
        """(G, M, width) the entries of these numbers (G, M)."""
        book = self.entries()
        flat = numbers + self.codes * torch.arange(self.groups, device=numbers.device)[:, None]
        return book.flatten(0, 1)[flat]

    def begin(self, vectors: Tensor) -> None:
        """The entries become vectors (G, M, width) of the encoder, in turn."""
        places = torch.arange(self.codes, device=vectors.device) % vectors.shape[1]
        self.vectors.copy_(vectors[:, places])

    def observe(self, vectors: Tensor, numbers: Tensor) -> None:
        """Count which entries were used by (G, M, width); move the averages, and start dead entries anew."""
        assigned = self.one_hot(numbers)  # (G, M, codes)
        counts = assigned.sum(1)
        self.use_counts.mul_(self.decay).add_(counts)
        self.unused.copy_(torch.where(counts > 0, 0, self.unused + 1))
        if self.sums is not None:
            self.sums.mul_(self.decay).add_(assigned.mT @ vectors)
            total = self.use_counts.sum(1, keepdim=True)
            smoothed = (self.use_counts + SMOOTHING) * total / (total + self.codes * SMOOTHING)
            # An entry without use stays: the smoothing would draw it to 0 as its count fades.
            used = counts.unsqueeze(-1) > 0
            self.vectors.copy_(torch.where(used, self.sums / smoothed.unsqueeze(-1), self.vectors))
        if self.restart_after is not None:
            self.restart(vectors, self.unused >= self.restart_after)

    def restart(self, vectors: Tensor, dead: Tensor) -> None:
        """Dead entries (G, codes) start anew, without a past, as one of (G, M, width)."""
        chosen = torch.randint(vectors.shape[1], (self.codes,), device=vectors.device)
        self.vectors.copy_(torch.where(dead.unsqueeze(-1), vectors[:, chosen], self.vectors))
        self.use_counts.masked_fill_(dead, 0)
        self.unused.masked_fill_(dead, 0)
        if self.sums is not None:
            self.sums.masked_fill_(dead.unsqueeze(-1), 0)

    def one_hot(self, numbers: Tensor) -> Tensor:
        """(..., codes) float."""
        return (numbers.unsqueeze(-1) == torch.arange(self.codes, device=numbers.device)).to(self.use_counts.dtype)

    def recent(self) -> Tensor:
        """() how many entries were used within the last 1 / (1 - decay) steps; one that just started anew is not."""
        return ((self.use_counts > 0) & (self.unused < 1 / (1 - self.decay))).sum()


def perplexity(counts: Tensor) -> Tensor:
    """(...) exp of the entropy of the shares (..., K): K where all are used alike, 1 where one does everything."""
    shares = counts / counts.sum(-1, keepdim=True).clamp(min=1e-12)
    return torch.special.entr(shares).sum(-1).exp()


def tell_usage(counts: Tensor, tokens: int) -> dict[str, float]:
    """Of how often each token (G, K) came, in G books that share `tokens` places of a row: perplexity and use."""
    each = perplexity(counts)
    groups, size = counts.shape
    return {
        "perplexity": float(each.mean()),
        "codes_used": float((counts > 0).sum() / groups),
        "codebook_use": float((counts > 0).float().mean()),
        "bits_entropy": float(each.log2().sum() * tokens / groups),
    }

"""A code of vectors out of a learned book."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar, Literal, NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn

from aeexp.contracts import Capacity, Examples, Latent, Model, Moves
from aeexp.errors import UsageError
from aeexp.ranges import Count, Decay, NonNegative
from aeexp.types import Code, Pass

SMOOTHING = 1e-5  # of the counts, as in the authors' code


@final
class Nearest(NamedTuple):
    """The one-hot posterior of a quantised code, and what it stands for."""

    before: Tensor  # (B, N, width) vectors of the encoder
    entries: Tensor  # (B, N) int64: the entry of the codebook nearest to each


@final
class VQ(Latent):
    """dim / width vectors, each replaced by the nearest of `codes` learned ones (van den Oord et al. 2017).

    The code's gradient goes to the encoder as if nothing had been replaced (section 3.2); so does that of a penalty
    on the mean code. `commitment` draws the encoder to its codes (equation 3). `codebook` says how these move:
    `gradient` by the second term of equation 3, `ema` to the running mean of the vectors that they stand for
    (appendix A.1, with the decay `decay`). They start as encoder outputs of training rows. One that is unused for
    `restart_after` steps becomes a random encoder output of the batch (as in Dhariwal et al. 2020); null: never.

    Formula: z_g = e_k, k = argmin_k |h_g - e_k|²; loss + commitment Σ_g |h_g - sg(z_g)|², and for `gradient` |sg(h_g) -
    z_g|²

    Look at: perplexity of the codebook in history.csv: how many codes are in use.
    """

    constrained: ClassVar = True
    terms: ClassVar = ("commitment", "codebook")
    vectors: Tensor
    sums: Tensor | None
    use_counts: Tensor
    unused: Tensor
    commitment: Tensor

    def __init__(
        self,
        dim: Count,
        codes: Count = 64,
        width: Count = 8,
        codebook: Literal["gradient", "ema"] = "ema",
        decay: Decay = 0.99,
        commitment: NonNegative = 0.25,
        restart_after: Count | None = 100,
    ):
        super().__init__(dim)
        if dim % width != 0:
            raise UsageError(
                f"width={width} must divide latent.dim={dim}: take latent.dim={width * math.ceil(dim / width)}"
            )
        self.codes = codes
        self.width = width
        self.decay = decay
        self.restart_after = restart_after
        self.averages = codebook == "ema"
        self.register_buffer("commitment", torch.tensor(float(commitment)))
        if self.averages:
            self.register_buffer("vectors", torch.randn(codes, width))
        else:
            self.vectors = nn.Parameter(torch.randn(codes, width))
        self.register_buffer("sums", torch.zeros(codes, width) if self.averages else None)
        # vectors assigned, each step counting `decay` of the next
        self.register_buffer("use_counts", torch.zeros(codes))
        self.register_buffer("unused", torch.zeros(codes, dtype=torch.int64))  # steps since the last use

    def forward(self, h: Tensor) -> Code:
        """Each vector of h (B, dim) replaced by the nearest of the book; `losses` move the two towards each other."""
        before = h.unflatten(-1, (-1, self.width))
        entries = self.nearest(before)
        chosen = self.vectors[entries]
        losses = {"commitment": self.commitment * _sum_squares(before, chosen.detach())}
        if not self.averages:
            losses["codebook"] = _sum_squares(before.detach(), chosen)
        # The value of the chosen vectors, to the last bit, with the gradient of those before.
        z = (chosen.detach() + (before - before.detach())).flatten(-2)
        return Code(z=z, mean=z, posterior=Nearest(before, entries), losses=losses)

    def nearest(self, vectors: Tensor) -> Tensor:
        """(...) int64 entries of the codebook for vectors (..., width)."""
        book = self.vectors.detach()
        return (book.square().sum(-1) - 2 * vectors.detach() @ book.T).argmin(-1)

    def project(self, z: Tensor) -> Tensor:
        """(..., D) the valid code nearest to a made-up one (..., D)."""
        return self.vectors[self.nearest(z.unflatten(-1, (-1, self.width)))].flatten(-2)

    def capacity(self) -> Capacity:
        """The number of an entry at each place, in bits that are rounded up."""
        return Capacity(self.dim, bits=math.ceil(self.dim // self.width * math.log2(self.codes)))

    def before_step(self, model: Model, split: Examples, step: int) -> None:
        """Before the first step the book becomes encoder outputs of training rows."""
        if step == 0:
            rows = split.sample(self.codes)
            codes = (model.encode(batch.x, model.condition(batch), batch.mask) for batch in rows.batches(1024))
            before = torch.cat([code.posterior.before for code in codes])  # (R, N, width)
            # one vector of each row, the places in turn
            number = torch.arange(self.codes, device=before.device)
            self.vectors.copy_(before[number % len(before), number % before.shape[1]])

    def observe(self, out: Pass) -> None:
        """Count which entries were used; move the averages, and start dead entries anew."""
        before, entries = out.code.posterior
        before = before.flatten(0, 1)
        assigned = self.one_hot(entries).flatten(0, 1)  # (B N, codes)
        counts = assigned.sum(0)
        self.use_counts.mul_(self.decay).add_(counts)
        self.unused.copy_(torch.where(counts > 0, 0, self.unused + 1))
        if self.sums is not None:
            self.sums.mul_(self.decay).add_(assigned.T @ before)
            total = self.use_counts.sum()
            smoothed = (self.use_counts + SMOOTHING) * total / (total + self.codes * SMOOTHING)
            # An entry without use stays: the smoothing would draw it to 0 as its count fades.
            self.vectors.copy_(torch.where(counts[:, None] > 0, self.sums / smoothed[:, None], self.vectors))
        if self.restart_after is not None:
            self.restart(before, self.unused >= self.restart_after)

    def restart(self, before: Tensor, dead: Tensor) -> None:
        """Dead entries (codes,) start anew, without a past, as one of `before` (M, width)."""
        drawn = before[torch.randint(len(before), (self.codes,), device=before.device)]
        self.vectors.copy_(torch.where(dead[:, None], drawn, self.vectors))
        self.use_counts.masked_fill_(dead, 0)
        self.unused.masked_fill_(dead, 0)
        if self.sums is not None:
            self.sums.masked_fill_(dead[:, None], 0)

    def one_hot(self, entries: Tensor) -> Tensor:
        """(..., codes) float."""
        return (entries.unsqueeze(-1) == torch.arange(self.codes, device=entries.device)).to(self.vectors.dtype)

    def usage(self, passes: Iterable[Pass]) -> dict[str, float]:
        """Perplexity of the entries' use over these passes, and how many entries are used at all."""
        counts = torch.zeros(self.codes, device=self.vectors.device)
        for out in passes:
            counts = counts + self.one_hot(out.code.posterior.entries).sum((0, 1))
        return {"perplexity": float(perplexity(counts)), "codes_used": float((counts > 0).sum())}

    def moves(self, codes: Tensor, steps: int) -> Moves:
        """Each place is set to those `steps` vectors of the book that the training codes (N, D) use most."""
        entries = self.nearest(codes.reshape(-1, self.width).to(self.vectors.device)).cpu().numpy()
        most = np.argsort(-np.bincount(entries, minlength=self.codes), kind="stable")[:steps]
        values = self.vectors.detach().cpu()[torch.from_numpy(most)]
        caption = f"vector of the book: of {self.codes} those that training codes use most"
        return Moves(self.width, "place", values, tuple(str(entry + 1) for entry in most), caption)

    def readings(self) -> dict[str, Tensor]:
        """Perplexity of the running usage, and how many entries were used within the last 1 / (1 - decay) steps."""
        # one that just started anew is not yet used
        recent = (self.use_counts > 0) & (self.unused < 1 / (1 - self.decay))
        return {"perplexity": perplexity(self.use_counts), "codes_used": recent.sum()}


def perplexity(counts: Tensor) -> Tensor:
    """() exp of the entropy of the shares: K where K entries are used alike, 1 where one does everything."""
    shares = counts / counts.sum().clamp(min=1e-12)
    return torch.special.entr(shares).sum().exp()


def _sum_squares(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum((-2, -1))

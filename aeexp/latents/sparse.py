"""Codes of which few units speak: the k largest of a row, or of a batch."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from aeexp.contracts import Capacity, Latent
from aeexp.errors import UsageError
from aeexp.latents.silence import Silence
from aeexp.ranges import Count, Decay
from aeexp.tensors import keep_largest, read_count, whole_rows
from aeexp.types import Code, Pass


@final
class BatchTopK(Latent):
    """Keeps the k B largest units of a batch of B rows: k a row on average (Bussmann et al. 2024, BatchTopK).

    A row that is hard to explain gets more of them. In evaluation rows do not know each other: a unit stays above a
    threshold, the mean over training batches of the smallest unit kept (section 3; the first batches count alike, then
    each `decay` of the next). `k` is a buffer: it may vary in a stack.

    Formula: z_j = h_j where it is among the k B largest of the batch, else 0

    Look at: units that never fire (dead_share in history.csv, latent/dead_units); whether evaluation keeps k a row
    (latent/l0).
    """

    k: Tensor
    threshold: Tensor
    seen: Tensor

    def __init__(
        self, dim: Count, k: Count, decay: Decay = 0.99, dead_after: Count = 20, resample_every: Count | None = None
    ):
        super().__init__(dim)
        if not 1 <= k <= dim:
            raise UsageError(f"k={k} must lie between 1 and latent.dim={dim}")
        self.decay = decay
        self.silence = Silence(dim, dead_after, resample_every)
        self.register_buffer("k", torch.tensor(k))
        self.register_buffer("threshold", torch.tensor(0.0))
        self.register_buffer("seen", torch.tensor(0.0))  # batches in the threshold

    def forward(self, h: Tensor) -> Code:
        """The largest units of h (B, dim): k B of the batch in training, those above the threshold in evaluation."""
        threshold = self.smallest(whole_rows(h.detach())) if self.training else self.threshold
        z = torch.where(h >= threshold, h, torch.zeros_like(h))
        return Code(z=z, mean=z, before=h)

    def find_dead(self) -> Tensor:
        """(D,) bool: 0 for `dead_after` steps."""
        return self.silence.find_dead()

    def capacity(self) -> Capacity:
        """k of its units, on average."""
        return Capacity(self.dim, int(self.k), shared=True)

    def smallest(self, h: Tensor) -> Tensor:
        """() the least unit that this batch keeps; more than k B stay only where units tie with it."""
        if (count := read_count(self.k)) is not None:
            return h.flatten().topk(count * len(h), sorted=False).values.min()
        ordered = h.flatten().sort(descending=True).values
        return ordered.gather(0, (self.k * len(h) - 1).reshape(1))[0]

    def observe(self, out: Pass) -> None:
        """The threshold takes in the least unit that this batch kept."""
        kept = out.code.z != 0
        least = torch.where(kept, out.code.z, torch.inf).min()
        self.seen.add_(1)
        rate = torch.maximum(1 / self.seen, torch.full_like(self.seen, 1 - self.decay))
        moved = self.threshold + rate * (least - self.threshold)
        self.threshold.copy_(torch.where(least.isfinite(), moved, self.threshold))

    def readings(self) -> dict[str, Tensor]:
        """The threshold."""
        return {"threshold": self.threshold}


@final
class TopK(Latent):
    """Keeps the k largest units of each row and sets the others to 0 (Makhzani and Frey 2014, k-sparse).

    Exactly k units stay, also under ties; k = dim is the identity. In evaluation `test_k` of them stay where it is set:
    as in the paper (section 2.2) some more than in training may read better. Both are buffers: they may vary in a
    stack. Dead units come back by regularizer=aux_k, or as rows (`resample_every`).

    Formula: z_j = h_j where it is among the k largest of its row, else 0

    Look at: units that never fire (dead_share in history.csv, latent/dead_units), and the probe over k.
    """

    k: Tensor
    test_k: Tensor | None

    def __init__(
        self,
        dim: Count,
        k: Count,
        test_k: Count | None = None,
        dead_after: Count = 20,
        resample_every: Count | None = None,
    ):
        super().__init__(dim)
        if not 1 <= k <= dim:
            raise UsageError(f"k={k} must lie between 1 and latent.dim={dim}")
        if test_k is not None and test_k > dim:
            raise UsageError(f"test_k={test_k} must lie between 1 and latent.dim={dim}, or be null: as many as k")
        self.register_buffer("k", torch.tensor(k))
        self.register_buffer("test_k", None if test_k is None else torch.tensor(test_k))
        self.silence = Silence(dim, dead_after, resample_every)

    def forward(self, h: Tensor) -> Code:
        """The k largest units of each row of h (B, dim)."""
        z = keep_largest(h, self._count())
        return Code(z=z, mean=z, before=h)

    def find_dead(self) -> Tensor:
        """(D,) bool: 0 for `dead_after` steps."""
        return self.silence.find_dead()

    def capacity(self) -> Capacity:
        """As many of its units as a row keeps in evaluation."""
        return Capacity(self.dim, int(self.k if self.test_k is None else self.test_k))

    def _count(self) -> Tensor:
        return self.k if self.training or self.test_k is None else self.test_k
